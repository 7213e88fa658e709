"""What comes with the package: trained models by name, and examples to animate."""

import os
from pathlib import Path

_FOLDER = Path(__file__).parent
EXAMPLES = _FOLDER / "examples"  # pictures and clips; data/examples.py draws them


def bundled_names() -> list[str]:
    """The models' names, such as "puppets"."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/config.json"))


def run_folder(run: str | os.PathLike) -> Path:
    """The folder of a run, or of a model that comes with the package; a folder of that name goes first."""
    if str(run) in bundled_names() and not os.path.isdir(run):
        return _FOLDER / str(run)
    return Path(run)


def is_bundled(run: str | os.PathLike) -> bool:
    """Whether that is a model that comes with the package."""
    return run_folder(run).parent == _FOLDER
