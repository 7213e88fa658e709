import numpy as np
import pytest

from motion_transformer_jax.viz.sheet import add_legend, contact_sheet


def solid(height, width, color):
    return np.broadcast_to(np.uint8(color), (height, width, 3))


def test_contact_sheet_places_every_picture_in_its_cell():
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    rows = [[solid(10, 10, red), solid(80, 40, green)], [None, solid(80, 80, blue) / 255.0]]
    sheet = contact_sheet(rows, padding=4)
    assert sheet.shape == (4 + 2 * 84, 4 + 2 * 84, 3) and sheet.dtype == np.uint8
    assert sheet[44, 44].tolist() == list(red) and sheet[6, 6].tolist() == list(red)
    assert sheet[44, 128].tolist() == list(green)
    assert sheet[44, 92].tolist() == [255] * 3  # a portrait keeps its shape
    assert sheet[128, 44].tolist() == [255] * 3  # None is blank
    assert sheet[128, 128].tolist() == list(blue)


def test_contact_sheet_writes_labels_beside_the_cells():
    rows = [[solid(64, 64, (9, 9, 9))] * 3] * 2
    plain = contact_sheet(rows)
    sheet = contact_sheet(rows, row_labels=["source", "result"], column_labels=["0.0 s", "0.4 s", "0.8 s"])
    top, left = sheet.shape[0] - plain.shape[0], sheet.shape[1] - plain.shape[1]
    assert top > 10 and left > 30
    np.testing.assert_array_equal(sheet[top + 6 :, left + 6 :], plain[6:, 6:])
    assert sheet[:top, left:].min() < 100 and sheet[top:, :left].min() < 100
    assert sheet[:, :2].min() == 255 and sheet[0].min() == 255  # nothing is cut off


def test_contact_sheet_refuses_nothing_and_wrong_labels():
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([[None], []])
    with pytest.raises(ValueError, match="row_labels has 1 entries; expected 2"):
        contact_sheet([[np.zeros((4, 4))]] * 2, row_labels=["a"])


def test_legend_fills_lines_below_the_picture():
    picture = solid(40, 300, (1, 2, 3))
    entries = [(solid(10, 20, (255, 0, 0)), "red thing"), (solid(30, 20, (0, 255, 0)), "green thing")]
    wide, narrow = add_legend(picture, entries), add_legend(picture[:, :150], entries)
    np.testing.assert_array_equal(wide[:40], picture)
    np.testing.assert_array_equal(narrow[:40], picture[:, :150])
    assert narrow.shape[0] > wide.shape[0] + 15  # two lines
    for legend in (wide[40:], narrow[40:]):
        for color, count in (((255, 0, 0), 200), ((0, 255, 0), 600)):
            assert (legend == color).all(-1).sum() == count
        assert (legend.max(-1) < 100).any()  # text
    assert wide[40:, -3:].min() == 255
