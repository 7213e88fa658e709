"""The house: a file imports from lower floors or its own, never upwards; light commands stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import motion_transformer_jax

ROOT = Path(motion_transformer_jax.__file__).parent
FLOORS = {"ops": 0, "models": 1, "data": 2, "viz": 2, "training": 3, "torch_io": 3, "inference": 4, "evaluation": 4}
GROUND = {"errors", "configs"}  # may be imported from anywhere
COMMAND_FLOOR = 5
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def floor_of(parts: tuple[str, ...]) -> int:
    return FLOORS.get(parts[0], COMMAND_FLOOR)


def imported_rooms(path: Path) -> set[str]:
    """First names below the package of everything that a file imports, in functions too."""
    names = []
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    prefix = "motion_transformer_jax."
    return {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_do_not_climb(path):
    rooms = imported_rooms(path) - GROUND
    climbing = {room for room in rooms if floor_of((room,)) > floor_of(path.parts)}
    assert not climbing, f"{path} is on floor {floor_of(path.parts)} and imports {climbing} from above"


def test_every_room_has_a_floor():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(FLOORS)


def test_ground_imports_nothing_of_the_package_but_itself():
    assert imported_rooms(Path("errors.py")) == set()


def test_ops_import_neither_flax_nor_configs():
    for path in (ROOT / "ops").glob("*.py"):
        text = path.read_text()
        assert "flax" not in text
        assert "ml_collections" not in text


@pytest.mark.parametrize("module", ["animate", "inference.animator", "data.puppets"])
def test_light_modules_load_no_training_libraries(module):
    code = (
        f"import sys, motion_transformer_jax.{module}; "
        "heavy = {'tensorflow', 'clu', 'grain', 'torch', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
