"""The poster's capacity table, and the networks of any config."""

import dataclasses

import jax
import pytest

from motion_transformer_jax.configs import demo, taichi256, vox256
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.evaluation import capacity
from motion_transformer_jax.evaluation.capacity import Capacity, PosterFigures, config_capacities, poster_capacities
from motion_transformer_jax.evaluation.multiply_adds import MultiplyAdds
from motion_transformer_jax.training.checkpoint import variable_shapes

# Parameters, and billions of the layers' multiply-adds on the poster.
QUICK = {
    "FOMM's keypoint detector": (14_215_368, 1.28),
    "MRAA's region predictor": (14_146_728, None),  # the poster's is of another configuration
    "motion transformer: HRNet-W32, 12 layers": (12_234_310, 7.54),
    "motion transformer: stem": (5_561_862, None),
    "image generator, with dense motion": (45_575_391, 53.64),
}
SLOW = {
    "motion transformer: HRNet-W48": (21_303_654, None),
    "motion transformer: 4 layers": (9_271_366, None),
    "motion transformer: 8 layers": (10_752_838, None),
    "motion transformer: no position encoding": (12_234_310, None),
}


@pytest.fixture(scope="module")
def quick_lines():
    return count_lines(QUICK)


def count_lines(networks):
    lines = [line for line in capacity.POSTER_LINES if line[0] in networks]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capacity, "POSTER_LINES", lines)
        return {line.network: line for line in poster_capacities()}


def check_figures(line, parameters, billions):
    assert line.parameters == parameters
    assert line.image_size == 256
    if billions is not None:
        assert line.multiply_adds.layers / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize("network", QUICK)
def test_figures_are_the_posters(quick_lines, network):
    line = quick_lines[network]
    check_figures(line, *QUICK[network])
    assert line.poster is not None
    assert bool(line.misses) == ("MRAA" in network)


def test_what_is_known_to_differ_is_said(quick_lines):
    line = quick_lines["MRAA's region predictor"]
    assert line.misses == [
        "14.15 M parameters, 14.20 M on the poster",
        "1.05 G multiply-adds, 1.26 G on the poster",
    ]
    assert "no official configuration" in line.note


def test_exact_products_of_the_attention_and_the_antialiasing(quick_lines):
    tokens, width, layers = 16 * 16 + 2 * 10, 192, 12
    counted = quick_lines["motion transformer: HRNet-W32, 12 layers"].multiply_adds
    assert counted.activations == layers * 2 * tokens * tokens * width
    assert counted.fixed == 0
    # Blocks of 4 x 4 pixels, 64 and three more along a side, each by its weights at 4 x 4 places under the kernel.
    assert quick_lines["FOMM's keypoint detector"].multiply_adds.fixed == 67 * 67 * (4 * 4 * 3) * (4 * 4 * 3)


@pytest.mark.long
def test_the_other_lines(quick_lines):
    lines = count_lines(SLOW)
    for network, figures in SLOW.items():
        check_figures(lines[network], *figures)
        assert lines[network].misses == []
    layers = {network: line.multiply_adds.layers for network, line in (quick_lines | lines).items()}
    assert layers["motion transformer: 8 layers"] * 2 == (
        layers["motion transformer: 4 layers"] + layers["motion transformer: HRNet-W32, 12 layers"]
    )


def test_these_are_all_lines():
    assert {line[0] for line in capacity.POSTER_LINES} == QUICK.keys() | SLOW.keys()


@pytest.mark.parametrize(
    ("variant", "networks"),
    [
        ("debug", ["motion estimator", "dense motion", "generator"]),
        ("fomm_adv,debug", ["motion estimator", "dense motion", "generator", "discriminator"]),
        ("mraa_avd,debug", ["motion estimator", "dense motion", "generator", "background predictor", "disentangler"]),
    ],
)
def test_every_network_of_a_config(variant, networks):
    config = demo.get_config(variant)
    lines = config_capacities(config)
    assert [line.network for line in lines] == networks
    assert {(line.config, line.image_size, line.poster) for line in lines} == {(config.name, 32, None)}
    assert all(line.multiply_adds.layers > 0 for line in lines)
    parameters = sum(line.parameters for line in lines if line.network != "discriminator")
    assert parameters == sum(leaf.size for leaf in jax.tree.leaves(variable_shapes(config)["params"]))


def test_spectral_norms_are_no_layers():
    plain, normed = demo.get_config("fomm_adv,debug"), demo.get_config("fomm_adv,debug")
    normed.discriminator.spectral_norm = True
    plain, normed = config_capacities(plain)[-1], config_capacities(normed)[-1]
    assert normed.parameters == plain.parameters
    assert normed.multiply_adds.layers == plain.multiply_adds.layers
    assert normed.multiply_adds.fixed > plain.multiply_adds.fixed == 0


def test_a_config_is_counted_at_its_own_size():
    small, large = demo.get_config("debug"), demo.get_config("debug")
    large.model.image_size = 64
    for before, after in zip(config_capacities(small)[1:], config_capacities(large)[1:], strict=True):
        assert after.image_size == 64 and after.parameters == before.parameters
        assert after.multiply_adds.layers == 4 * before.multiply_adds.layers


def test_the_compute_type_changes_nothing():
    wide, narrow = demo.get_config("debug"), demo.get_config("debug")
    narrow.dtype = "bfloat16"
    assert config_capacities(narrow) == config_capacities(wide)


def test_an_impossible_config():
    config = vox256.get_config("debug")
    config.model.image_size = 30
    with pytest.raises(UserError, match=r"model.image_size=30 is not a multiple"):
        config_capacities(config)


def test_misses():
    line = Capacity("x", "y", 256, 12_239_999, MultiplyAdds(layers=10**9), PosterFigures(12.23, 1.0))
    assert line.misses == []
    assert dataclasses.replace(line, parameters=12_225_000).misses == []  # rounded
    assert dataclasses.replace(line, parameters=12_241_000).misses == ["12.24 M parameters, 12.23 M on the poster"]
    assert dataclasses.replace(line, multiply_adds=MultiplyAdds(1_011 * 10**6)).misses == [
        "1.01 G multiply-adds, 1.00 G on the poster"
    ]
    assert dataclasses.replace(line, poster=PosterFigures(12.23), multiply_adds=MultiplyAdds(5)).misses == []
    assert dataclasses.replace(line, poster=None).misses == []


def test_every_line_names_a_variant():
    for _, variant, *_ in capacity.POSTER_LINES:
        assert taichi256.get_config(variant).model.image_size == 256
