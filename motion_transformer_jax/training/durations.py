"""Epochs to steps: the only place where durations are converted."""

import dataclasses

from ml_collections import ConfigDict

from motion_transformer_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Durations:
    """How long a run is, in steps.

    Attributes:
      steps_per_epoch: whole batches in an epoch.
      total_steps: of the run.
      milestone_steps: finished steps after which the learning rates are multiplied by gamma.
    """

    steps_per_epoch: int
    total_steps: int
    milestone_steps: tuple[int, ...]


def create_durations(config: ConfigDict, *, pairs_per_epoch: int) -> Durations:
    """The run's durations on data with that many pairs in an epoch (videos times data.repeats).

    Raises:
      UserError: when an epoch does not fill one batch.
    """
    steps_per_epoch = pairs_per_epoch // config.train.batch_size
    if steps_per_epoch == 0:
        raise UserError(
            f"an epoch has {pairs_per_epoch} pairs, less than one batch of train.batch_size={config.train.batch_size}; "
            "add videos, raise data.repeats or take a smaller batch"
        )
    return Durations(
        steps_per_epoch=steps_per_epoch,
        total_steps=config.train.num_steps or config.train.num_epochs * steps_per_epoch,
        milestone_steps=tuple(round(epoch * steps_per_epoch) for epoch in config.optimizer.milestones_epochs),
    )
