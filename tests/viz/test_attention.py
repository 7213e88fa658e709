import numpy as np
import pytest

from motion_transformer_jax.viz.attention import draw_attention, draw_attention_heads, draw_motion_attention
from motion_transformer_jax.viz.heat import heat_colors
from motion_transformer_jax.viz.raster import keypoint_colors

CELL = 128
STEP = CELL + 6  # with the sheet's padding
LAYERS, HEADS, MOTIONS = 3, 2, 4
FRAME = np.full((32, 32, 3), 128, np.uint8)


@pytest.fixture
def mask():
    """Each motion has one quarter of the frame."""
    mask = np.zeros((8, 8, MOTIONS + 1), np.float32)
    for k in range(MOTIONS):
        mask[4 * (k // 2) :, 4 * (k % 2) :, 1:] = 0
        mask[4 * (k // 2) :, 4 * (k % 2) :, k + 1] = 1
    return mask


def cell(picture, rows, row, column):
    """A cell of a figure with labels above and to the left and a legend below, found from the top right."""
    columns = LAYERS + 2
    right = picture.shape[1] - 6 - (columns - 1 - column) * STEP
    top = next(y for y in range(picture.shape[0]) if (picture[y, -8] < 255).any()) + 1
    assert picture.shape[0] > top + rows * STEP
    return picture[top + row * STEP :, right - CELL : right][:CELL]


def test_a_row_shows_the_keypoint_the_mask_and_the_attention_of_every_layer(mask):
    attention = np.full((LAYERS, MOTIONS, 4, 4), 0.01)
    attention[1, 2, 3, 0] = 0.2  # layer 2, motion 3: bottom left patch
    keypoints = np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    picture = draw_attention(FRAME, mask, attention, keypoints=keypoints, cell_px=CELL)
    assert picture.dtype == np.uint8
    frame, masked, first, second, third = (cell(picture, MOTIONS, 2, j).astype(int) for j in range(5))
    color = keypoint_colors(3)[2]
    np.testing.assert_allclose(frame[95, 32], color, atol=2)
    np.testing.assert_array_equal(frame[32, 32], FRAME[0, 0])  # other motions' keypoints are in other rows
    assert np.abs(masked[96, 32] - color).sum() < 60 and np.ptp(masked[32, 96]) < 4
    # A patch is CELL / 4 wide; its upper half is free of the number.
    assert second[100, 16].sum() > second[16, 16].sum() + 200
    assert np.abs(first[16, 16] - first[80, 80]).max() == 0 and first[16, 16].sum() > second[16, 16].sum()
    np.testing.assert_array_equal(first[:80], third[:80])


def test_heads_have_rows_of_their_own(mask):
    attention = np.full((LAYERS, HEADS, MOTIONS, 4, 4), 0.01)
    attention[0, 1, 3, 0, 0] = 0.3  # layer 1, head 2, motion 4
    picture = draw_attention_heads(FRAME, mask, attention, 3, cell_px=CELL).astype(int)
    assert np.abs(np.subtract(cell(picture, HEADS, 0, 1)[96, 96], keypoint_colors(4)[3].astype(int))).sum() < 60
    plain, peaked = (cell(picture, HEADS, row, 2) for row in range(2))
    assert (plain[16, 16] == plain[16, 80]).all()
    assert peaked[16, 16].sum() > peaked[16, 80].sum() + 200
    other = draw_attention_heads(FRAME, mask, attention, 2, cell_px=CELL).astype(int)
    assert (cell(other, HEADS, 1, 2)[16, 16] == cell(other, HEADS, 1, 2)[16, 80]).all()


def test_a_dead_map_is_dark_and_no_error(mask):
    picture = draw_attention(FRAME, mask, np.zeros((LAYERS, MOTIONS, 4, 4)), cell_px=CELL)
    assert cell(picture, MOTIONS, 0, 2)[:80].max() < 80


def test_a_matrix_for_each_layer_with_rows_that_look_at_columns():
    attention = np.full((5, 6, 6), 0.01)
    attention[:, 0, 4] = 0.3  # keypoint token 1 looks at affine token 2
    four, five = (draw_motion_attention(attention[:n], cell_px=20) for n in (4, 5))
    assert five.shape[1] == four.shape[1] and five.shape[0] > 1.5 * four.shape[0]
    one = draw_motion_attention(attention[:1], cell_px=20)[:-60]  # without the legend
    high, low = ((one == heat_colors(value)).all(-1).nonzero() for value in (1.0, 0.01 / 0.3))
    assert high[0].size == 20 * 20 and low[0].size == 35 * 20 * 20
    gap = 3  # parts affines from keypoints
    assert (high[1].min() - low[1].min(), high[0].min() - low[0].min()) == (4 * 20 + gap, 0)
    assert np.ptp(low[0]) + 1 == np.ptp(low[1]) + 1 == 6 * 20 + gap
