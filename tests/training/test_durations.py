"""Epochs to steps."""

import pytest

from motion_transformer_jax.configs import vox256
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.durations import create_durations


def test_epochs_are_counted_in_whole_batches():
    config = vox256.get_config()  # batch of 64, 100 epochs, milestones at 60 and 90
    durations = create_durations(config, pairs_per_epoch=64 * 7 + 63)
    assert (durations.steps_per_epoch, durations.total_steps) == (7, 700)
    assert durations.milestone_steps == (420, 630)


def test_num_steps_overrides_epochs_but_not_milestones():
    config = vox256.get_config()
    config.train.num_steps = 33
    durations = create_durations(config, pairs_per_epoch=640)
    assert (durations.total_steps, durations.milestone_steps) == (33, (600, 900))


def test_less_than_one_batch():
    with pytest.raises(UserError, match=r"an epoch has 63 pairs, less than one batch of train.batch_size=64"):
        create_durations(vox256.get_config(), pairs_per_epoch=63)
