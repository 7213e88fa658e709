import jax
import numpy as np
import pytest

from motion_transformer_jax.models.animation_model import Generation
from motion_transformer_jax.models.dense_motion import DenseMotion
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.viz.generation import COLUMNS, draw_generations

SIZE, KEYPOINTS, PAIRS = 16, 2, 3


@pytest.fixture
def generation():
    """What a model might return: red results, blue warped sources, no flow."""
    motion = Motion(np.zeros((PAIRS, KEYPOINTS, 2)), np.tile(np.eye(2), (PAIRS, KEYPOINTS, 1, 1)))
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 4)), axis=-1)
    dense = DenseMotion(
        deformation=np.tile(grid, (PAIRS, 1, 1, 1)),
        occlusion=np.zeros((PAIRS, 4, 4, 1)),
        mask=np.full((PAIRS, 4, 4, KEYPOINTS + 1), 1 / 3),
        mask_logits=None,
        sparse_motion=None,
        sparse_deformed=None,
        heatmap=None,
    )
    frame = np.broadcast_to(np.eye(3)[0], (PAIRS, SIZE, SIZE, 3))
    return Generation(frame, frame[..., ::-1], dense, motion, motion)


def test_a_row_for_each_pair_and_a_legend(generation):
    frames = np.full((PAIRS, SIZE, SIZE, 3), 90, np.uint8)
    sheet = draw_generations(frames, frames, generation)
    step = 128 + 6
    assert sheet.shape[1] == len(COLUMNS) * step + 6 and PAIRS * step < sheet.shape[0] < (PAIRS + 1) * step
    top = next(y for y in range(100) if (sheet[y, 10] < 255).any()) + 1
    middles = sheet[top + 64, 6 + 20 :: step][: len(COLUMNS)]
    for column, color in (("result", (255, 0, 0)), ("warped source", (0, 0, 255)), ("flow", (255,) * 3)):
        np.testing.assert_allclose(middles[COLUMNS.index(column)], color, atol=1)
    assert middles[COLUMNS.index("occlusion")].max() == 0
    legend = sheet[top + PAIRS * step :].astype(int)
    assert (legend.max(-1) - legend.min(-1) > 200).any()  # the flow's wheel


def test_regions_are_drawn_as_large_as_they_are(generation):
    """MRAA's affines carry a region's extent: the ellipse is one standard deviation."""
    affine = np.tile(0.5 * np.eye(2), (PAIRS, KEYPOINTS, 1, 1))
    frames = np.full((PAIRS, SIZE, SIZE, 3), 90, np.uint8)

    def at_half_radius(covariance):
        motion = Motion(np.zeros((PAIRS, KEYPOINTS, 2)), affine, covariance)
        sheet = draw_generations(frames, frames, generation.replace(source_motion=motion))
        top = next(y for y in range(100) if (sheet[y, 10] < 255).any()) + 1
        return sheet[top + 64 + 32, 6 + 64]

    assert at_half_radius(None).tolist() == [90] * 3
    assert at_half_radius(jax.numpy.square(affine)).tolist() != [90] * 3
