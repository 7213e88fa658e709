import numpy as np
import pytest
from tiny_model import random_frames, tiny_config, tiny_variables

from motion_transformer_jax.inference.animation_sheet import draw_animation_sheet
from motion_transformer_jax.inference.animator import Animator

CELL_PX = 48


@pytest.fixture(scope="module")
def animation():
    source, *driving = random_frames(3)
    return source, list(Animator(tiny_config(), tiny_variables()).animate_with_details(source, driving))


def cells(sheet, num_rows, num_columns):
    """The pictures of a sheet, [rows, columns, CELL_PX, CELL_PX, 3]; their grid ends at its right lower corner."""
    padding = 6
    step = CELL_PX + padding
    grid = sheet[-num_rows * step :, -num_columns * step :]
    rows = [[grid[i * step :, j * step :][:CELL_PX, :CELL_PX] for j in range(num_columns)] for i in range(num_rows)]
    return np.array(rows)


def test_time_goes_across_or_downwards(animation):
    across = cells(draw_animation_sheet(*animation, cell_px=CELL_PX), 5, 2)
    downwards = cells(draw_animation_sheet(*animation, cell_px=CELL_PX, downwards=True), 2, 5)
    np.testing.assert_array_equal(across.swapaxes(0, 1), downwards)


def test_what_it_shows(animation):
    source, frames = animation
    rows = cells(draw_animation_sheet(source, frames, cell_px=CELL_PX), 5, 2)
    for t, frame in enumerate(frames):
        for row, picture in enumerate((source, frame.driving, frame.image)):
            assert np.abs(rows[row, t].mean((0, 1)) - picture.mean((0, 1))).max() < 2
        changed = (rows[3, t] != rows[2, t]).any(-1).mean()
        assert 0.02 < changed < 0.9  # keypoints lie on the result
    assert not np.array_equal(rows[4, 0], rows[4, 1])
