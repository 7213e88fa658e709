"""The house: a file imports from lower floors or its own, never upwards; light commands stay light."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import motion_transformer_jax
from motion_transformer_jax import configs

ROOT = Path(motion_transformer_jax.__file__).parent
FLOORS = {
    "ops": 0,
    "models": 1,
    "data": 2,
    "viz": 2,
    "training": 3,
    "torch_io": 3,
    "inference": 4,
    "detection": 3,
    "reporting": 3,
    "evaluation": 4,
    "benchmarks": 4,
    "web": 4,
}
GROUND = {"errors", "atomic", "bundled", "compilation_cache", "configs", "host_memory"}  # may be imported from anywhere
COMMAND_FLOOR = 5
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def floor_of(parts: tuple[str, ...]) -> int:
    return FLOORS.get(parts[0], COMMAND_FLOOR)


def imported_rooms(path: Path) -> set[str]:
    """First names below the package of everything that a file imports, in functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        assert not getattr(node, "level", 0), f"{path} imports relatively"
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    prefix = "motion_transformer_jax."
    return {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_do_not_climb(path):
    rooms = imported_rooms(ROOT / path) - GROUND
    climbing = {room for room in rooms if floor_of((room,)) > floor_of(path.parts)}
    assert not climbing, f"{path} is on floor {floor_of(path.parts)} and imports {climbing} from above"


def test_every_room_has_a_floor():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(FLOORS) | GROUND


def test_ground_imports_nothing_of_the_package_but_itself():
    ground = [ROOT / "errors.py", ROOT / "atomic.py", *Path(configs.__path__[0]).glob("*.py")]
    assert len(ground) > 8
    for path in ground:
        assert imported_rooms(path) <= GROUND, path


def test_no_circles():
    """Every module of the package can be the first one imported."""
    graph = {module_name(path): imported_modules(path) for path in FILES}
    order = graphlib.TopologicalSorter({name: imports & graph.keys() for name, imports in graph.items()})
    order.prepare()


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path) -> set[str]:
    """Modules of the package that a file imports at its top level, without its prefix."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("motion_transformer_jax."):
            module = node.module.removeprefix("motion_transformer_jax.")
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found - {module_name(path)}


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
