import numpy as np
import pytest
from tiny_model import random_frames, random_variables, tiny_config, tiny_variables

from motion_transformer_jax.configs import demo
from motion_transformer_jax.evaluation.pictures import draw_system_pictures

SOURCE, DRIVING = random_frames(2), random_frames(2, seed=1)


def test_a_motion_transformer_shows_its_attention():
    config = tiny_config()
    pictures = draw_system_pictures(config, tiny_variables(), SOURCE, DRIVING)
    kinds = ("keypoint tokens", "affine tokens", "motions to motions")
    expected = [
        caption
        for pair in ("pair 1", "pair 2")
        for caption in (pair, *(f"{pair}, attention of {kind}" for kind in kinds))
    ]
    assert list(pictures) == expected
    assert all(picture.dtype == np.uint8 and picture.ndim == 3 for picture in pictures.values())
    for name in ("", ", attention of keypoint tokens"):
        assert (pictures[f"pair 1{name}"] != pictures[f"pair 2{name}"]).any()
    assert (pictures[expected[1]] != pictures[expected[2]]).any()

    by_head = draw_system_pictures(config, tiny_variables(), SOURCE[:1], DRIVING[:1], per_head=True)
    assert len(by_head) == 4 + 2 * config.model.num_keypoints
    first, second = (by_head[f"pair 1, attention of affine token {k} by head"] for k in (1, 2))
    assert (first != second).any()
    np.testing.assert_allclose(by_head["pair 1"].astype(int), pictures["pair 1"], atol=2)


@pytest.mark.parametrize("variant", ["fomm,debug", "mraa,debug"])
def test_other_systems_have_the_pairs_alone(variant):
    config = demo.get_config(variant)
    pictures = draw_system_pictures(config, random_variables(config), SOURCE[:1], DRIVING[:1])
    assert list(pictures) == ["pair 1"]
