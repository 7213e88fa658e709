"""From an official checkpoint's file to frames: the three systems at full size, against the official frames."""

import functools

import jax
import numpy as np
import pytest
from parity import rule_variables

from motion_transformer_jax.configs import taichi256, vox256
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.torch_io.constants import official_constants
from motion_transformer_jax.torch_io.conversion import from_torch
from motion_transformer_jax.torch_io.pth import write_torch_file
from motion_transformer_jax.torch_io.state_dict import state_dicts_from_variables
from motion_transformer_jax.training.state import create_variables

# Experiment, variant, golden file and prefix of the frames that were made without a background's motion.
SYSTEMS = {
    "motion_transformer": (vox256, "", "generator", "skips__"),
    "fomm": (vox256, "fomm", "fomm", ""),
    "mraa": (taichi256, "mraa", "mraa", "gen_nobg__"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "system", ["motion_transformer", *(pytest.param(name, marks=pytest.mark.long) for name in ("fomm", "mraa"))]
)
def test_converted_weights_animate_as_the_official_code(system, golden, tmp_path):
    """The recorded driving motions are those of the two images, exchanged: each image is driven by the other one."""
    experiment, variant, file, prefix = SYSTEMS[system]
    config = experiment.get_config(variant)
    template = jax.eval_shape(functools.partial(create_variables, config), jax.random.key(0))
    checkpoint = tmp_path / "official.pth.tar"
    tensors = state_dicts_from_variables(rule_variables(template), official_constants(config, template))
    write_torch_file(checkpoint, tensors, {"epoch": 99})
    done = from_torch(checkpoint, tmp_path / "run", lambda recognised: recognised, system=system)
    assert done.config.model.image_size == 256
    animator = Animator.load(tmp_path / "run", batch_size=1)
    images = golden("motion_transformer")["images"]
    expected = golden(file)[f"{prefix}prediction_stride8"]
    for i in range(2):
        [frame] = animator.animate(images[i], [images[1 - i]], mode="absolute")
        # Frames are rounded to 1/255.
        np.testing.assert_allclose(frame[::8, ::8] / 255, expected[i], atol=0.5 / 255 + 1e-3)
