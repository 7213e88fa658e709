"""A trained model as StableHLO programs, weights within, which run without this package: by `jax.export`.

FOLDER/estimator.jaxexport, encoder.jaxexport, generator.jaxexport, and disentangler.jaxexport where there is one
FOLDER/manifest.json     shapes and types of what goes in and comes out, and what the model is
FOLDER/README.md         how to use them
"""

import importlib.metadata
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jinja2
import numpy as np
from jax import export
from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_folder, check_target, system_errors
from motion_transformer_jax.inference.animator import SourceState, disentangle, encode, estimate, generate
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.training.checkpoint import chosen_step, load_variables

PLATFORMS = ("cpu", "cuda", "tpu")
MANIFEST_FILE = "manifest.json"
README_FILE = "README.md"
SUFFIX = ".jaxexport"

_FORMAT = 1  # of the manifest


def export_run(
    run: str | Path, out: str | Path, *, step: int | str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Writes a run's model as programs for CPU, NVIDIA GPU and TPU, whole or not at all.

    Args:
        run: a run's folder.
        out: the folder to make.
        step: as for `load_variables`.
        overwrite: replace an earlier export.

    Returns:
        What manifest.json holds.

    Raises:
        UserError: the run cannot be read, the folder cannot be written, or there is one that may not be replaced.
    """
    out = Path(out)
    check_target(out, overwrite=overwrite, what="an exported model", own=(MANIFEST_FILE, README_FILE, f"*{SUFFIX}"))
    with atomic_folder(out) as folder:
        config, variables = load_variables(run, step=step)
        exported = export_model(config, variables)
        manifest = _manifest(config, exported) | {"step": chosen_step(run, step)}
        with system_errors(out):
            for name, program in exported.items():
                (folder / f"{name}{SUFFIX}").write_bytes(program.serialize())
            (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")
            (folder / README_FILE).write_text(readme(manifest))
    return manifest


def export_model(config: ConfigDict, variables: Any) -> dict[str, export.Exported]:
    """The model's programs by name, for any batch of driving frames; the weights are constants in them.

    Args:
        config: the config that the model was trained with.
        variables: {"params": ..., "batch_stats": ...}.
    """
    model, size = create_animation_model(config), config.model.image_size

    def estimator(frames: jax.Array) -> dict:
        return _fields(estimate(model, variables, frames))

    def encoder(source: jax.Array) -> dict:
        state = encode(model, variables, source, None)
        return {"image": state.image, "features": state.features}

    def generator(source: dict, source_motion: dict, motion: dict) -> dict:
        state = SourceState(**source, motion=Motion(**source_motion))
        image, mask = generate(model, variables, state, Motion(**motion))
        return {"image": image, "mask": mask}

    def disentangler(source_motion: dict, driving_motion: dict) -> dict:
        return _fields(disentangle(model, variables, Motion(**source_motion), Motion(**driving_motion)))

    (batch,) = export.symbolic_shape("b")
    image, frames = (jax.ShapeDtypeStruct((count, size, size, 3), np.uint8) for count in (1, batch))
    source_motion, motion = (jax.eval_shape(estimator, images) for images in (image, frames))
    programs: dict[str, tuple[Callable, tuple]] = {
        "estimator": (estimator, (frames,)),
        "encoder": (encoder, (image,)),
        "generator": (generator, (jax.eval_shape(encoder, image), source_motion, motion)),
    }
    if config.disentangler.enabled:
        programs["disentangler"] = (disentangler, (source_motion, motion))
    with _without_locations():
        return {
            name: export.export(jax.jit(program), platforms=PLATFORMS)(*arguments)
            for name, (program, arguments) in programs.items()
        }


@contextmanager
def _without_locations() -> Iterator[None]:
    """Leaves out where in the source each operation comes from, which names folders of this machine."""
    name = "jax_traceback_in_locations_limit"
    limit = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, limit)


def _fields(motion: Motion) -> dict[str, jax.Array]:
    """The motion as a plain dict, which can be read without this package."""
    return {name: array for name, array in vars(motion).items() if array is not None}


def _manifest(config: ConfigDict, exported: dict[str, export.Exported]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "name": config.name,
        "motion_transformer_jax": importlib.metadata.version("motion_transformer_jax"),
        "jax": jax.__version__,
        "platforms": list(PLATFORMS),
        "image_size": config.model.image_size,
        "num_keypoints": config.model.num_keypoints,
        "motion_estimator": config.model.estimator,
        "mode": config.animate.mode,
        "adapt_scale": config.animate.adapt_scale,
        "programs": {name: {"file": f"{name}{SUFFIX}"} | _interface(program) for name, program in exported.items()},
    }


def _interface(program: export.Exported) -> dict[str, Any]:
    """Shapes and types of a program's arguments and of its result, nested as those are."""
    arguments, _ = jax.tree.unflatten(program.in_tree, map(_describe, program.in_avals))
    return {"arguments": arguments, "result": jax.tree.unflatten(program.out_tree, map(_describe, program.out_avals))}


def _describe(array: Any) -> dict[str, Any]:
    return {"shape": [n if isinstance(n, int) else str(n) for n in array.shape], "dtype": array.dtype.name}


def readme(manifest: dict[str, Any]) -> str:
    """How to use the programs, with code that animates in the model's own mode."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("motion_transformer_jax.inference"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return environment.get_template("stablehlo.md").render(manifest)
