"""The trained models that a visitor chooses from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_collections import ConfigDict

from motion_transformer_jax.bundled import is_bundled
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.inference.retarget import Mode
from motion_transformer_jax.training.checkpoint import load_variables


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training run's newest checkpoint.

    Attributes:
        config: The run's.
        variables: The model's, as `load_variables` gives them.
        animator: The engine, one for all animations.
        is_bundled: Whether it comes with the package.
    """

    config: ConfigDict
    variables: dict
    animator: Animator
    is_bundled: bool = False

    @property
    def modes(self) -> list[Mode]:
        """The ways of carrying motion over that the model knows."""
        return ["relative", "absolute", *(["avd"] if self.animator.has_disentangler else [])]


def load_checkpoints(folders: Sequence[str]) -> dict[str, Checkpoint]:
    """Loads the runs in `folders`, by their names: the folders' own, or as given where two have one name.

    Raises:
        UserError: A folder holds no run or no sound checkpoint, or is named twice.
    """
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = list(folders)
    checkpoints = {}
    for name, folder in zip(names, folders, strict=True):
        if name in checkpoints:
            raise UserError(f"the checkpoint {folder} is named twice; name each once")
        config, variables = load_variables(folder)
        checkpoints[name] = Checkpoint(config, variables, Animator(config, variables), is_bundled(folder))
    return checkpoints
