import numpy as np
import pytest
from torch_files import make_config, shapes_of

from motion_transformer_jax.torch_io.constants import differing_constants, official_constants


def constants_of(name, **fields):
    config = make_config(name)
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in fields.items()})
    return official_constants(config, shapes_of(config))


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125])
@pytest.mark.parametrize(
    ("name", "group", "key"),
    [
        ("mtia", "dense_motion", ("generator", "dense_motion_network.down.weight")),
        ("fomm", "keypoint_detector", ("kp_detector", "down.weight")),
        ("mraa", "region_predictor", ("region_predictor", "down.weight")),
        ("mraa", "dense_motion", ("generator", "pixelwise_flow_predictor.down.weight")),
    ],
)
def test_official_antialias_kernels(golden, name, group, key, scale):
    kernel = golden("ops")[f"aa_kernel_{scale}"]
    weight = constants_of(name, **{f"{group}__scale": scale, "model__image_size": 64})[key]
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, np.broadcast_to(kernel, (3, 1, *kernel.shape)), atol=1e-8)


def test_no_kernel_where_nothing_is_shrunk():
    keys = constants_of("fomm", keypoint_detector__scale=1.0, dense_motion__scale=1.0)
    assert not [key for _, key in keys if key.endswith("down.weight")]


@pytest.mark.parametrize("position", ["sine", "sine_every_layer"])
def test_official_sine_table(golden, position):
    fields = {"transformer__position": position, "transformer__dim": 192, "model__image_size": 128}
    table = constants_of("mtia", **fields)[("kp_detector", "features.pos_embedding")]
    assert table.shape == (1, 256, 192) and table.dtype == np.float32
    np.testing.assert_allclose(table[0], golden("motion_transformer")["pos_sine_16x16"], atol=1e-6)
    for other in ("learnable", "none"):
        assert ("kp_detector", "features.pos_embedding") not in constants_of("mtia", transformer__position=other)


def test_mask_of_image_tokens():
    masks = {name: mask for name, mask in constants_of("mtia_masked").items() if name[1].endswith("attn_mask")}
    assert [key for _, key in masks] == [f"features.transformer.layers.{i}.0.fn.fn.attn_mask" for i in range(2)]
    for mask in masks.values():
        assert mask.shape == (1, 1, 8 + 16, 8 + 16)
        assert (mask[0, 0, 8:, :8] == -1000).all() and mask.sum() == -1000 * 16 * 8


def test_tokens_that_the_stem_never_uses():
    """Without position encoding the official stem keeps its motion tokens and ignores them; we have none."""
    assert constants_of("mtia_no_position")[("kp_detector", "features.keypoint_token")].shape == (1, 8, 32)
    assert ("kp_detector", "features.keypoint_token") not in constants_of("mtia")


def test_every_batch_norm_counts():
    counters = [name for name in constants_of("mraa_avd") if name[1].endswith("num_batches_tracked")]
    assert ("avd_network", "decoder.7.num_batches_tracked") in counters
    assert ("region_predictor", "predictor.encoder.down_blocks.0.norm.num_batches_tracked") in counters
    assert all(
        array.dtype == np.int64 and array.shape == () for array in [constants_of("mraa")[c] for c in counters[-2:]]
    )


def test_differences():
    expected = {("m", "down.weight"): np.ones(3), ("m", "a.num_batches_tracked"): np.zeros(())}
    assert differing_constants({("m", "down.weight"): np.ones(3) + 1e-6}, expected) == []
    assert differing_constants({("m", "down.weight"): np.ones(3) + 1e-3}, expected) == [("m", "down.weight")]
    assert differing_constants({("m", "a.num_batches_tracked"): np.array(5)}, expected) == []
    assert differing_constants({("m", "down.weight"): np.full(3, np.nan)}, expected) == [("m", "down.weight")]
