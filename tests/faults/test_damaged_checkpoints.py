"""Files of the newest checkpoint damaged in every way: the one before is used, or the newest is still whole."""

import gc
import random
import shutil

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from damage import FILE_DAMAGES, bit_flipped, emptied, removed, truncated

from motion_transformer_jax.training.checkpoint_store import CheckpointStore


@flax.struct.dataclass
class State:
    step: jax.Array
    params: dict


def make_state(step):
    kernel = jax.random.normal(jax.random.key(step), (3, 50, 7))
    return State(jnp.int32(step), {"conv": {"kernel": kernel, "bias": jnp.full(7, step, jnp.bfloat16)}})


# Orbax leaves coroutines behind when an array cannot be read; they are collected before the test ends.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with CheckpointStore(folder, keep_last=3) as store:
        for step in (1, 2):
            store.save(step, make_state(step), {"pairs": step}, {"validation/l1": 1 / step})
    return folder


def files(folder):
    return sorted(path for path in (folder / "checkpoints" / "2").rglob("*") if path.is_file() and path.stat().st_size)


def resume_from_damaged(two_steps, folder, damage, index, rng):
    """Returns the step that is resumed from."""
    shutil.copytree(two_steps, folder)
    path = files(folder)[index]
    damage(path, rng)
    try:
        with CheckpointStore(folder, keep_last=3) as store:
            step, state, progress = store.restore_latest(make_state(0))
            expected = make_state(step)
            jax.tree.map(np.testing.assert_array_equal, state, expected)
            assert progress == {"pairs": step}
            store.save(3, make_state(3), {"pairs": 3})
    finally:
        shutil.rmtree(folder)
        gc.collect()
    return step


# One of the four in `make test`, the others by `make faults`.
@pytest.mark.parametrize(
    "damage",
    [bit_flipped, *(pytest.param(damage, marks=pytest.mark.faults) for damage in (truncated, emptied, removed))],
)
def test_every_file(two_steps, tmp_path, damage):
    rng = random.Random(0)
    steps = [resume_from_damaged(two_steps, tmp_path / "run", damage, i, rng) for i in range(len(files(two_steps)))]
    assert 1 in steps and set(steps) <= {1, 2}


@pytest.mark.faults
def test_bits_flipped_anywhere(two_steps, tmp_path):
    rng, steps = random.Random(1), []
    for _ in range(400):
        index = rng.randrange(len(files(two_steps)))
        steps.append(resume_from_damaged(two_steps, tmp_path / "run", rng.choice(FILE_DAMAGES), index, rng))
    print(f"400 damages: {steps.count(1)} times the step before was used, {steps.count(2)} times the newest, unharmed")
