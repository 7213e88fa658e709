"""Contact sheets: labelled tables of pictures."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_transformer_jax.viz.raster import as_uint8, resize

_PAGE = (255, 255, 255)
_INK = (45, 48, 56)
_FRAME = (196, 200, 208)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    cell_px: int | None = None,
    padding: int = 6,
) -> np.ndarray:
    """Lay pictures out in a table, for example rows = source, driving, result and columns = time.

    Args:
      rows: pictures as `as_uint8` takes them, of any sizes; each is fitted into its cell, its shape
        kept. None and what a short row lacks stay blank.
      row_labels: one a row, written to its left.
      column_labels: one a column, written above it.
      cell_px: side of a cell; None for the longest side among the pictures, at least 64.
      padding: white around each cell, in pixels.

    Returns:
      uint8 `[H, W, 3]`.

    Raises:
      ValueError: when there is no picture, or not one label for each row or column.
    """
    pictures = [image for row in rows for image in row if image is not None]
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    num_columns = max(len(row) for row in rows)
    _check_labels("row_labels", row_labels, len(rows))
    _check_labels("column_labels", column_labels, num_columns)
    if cell_px is None:
        cell_px = max(64, *(side for image in pictures for side in np.shape(image)[:2]))
    font = ImageFont.load_default(size=float(np.clip(cell_px / 9, 11, 28)))
    left = padding + _text_width(font, row_labels)
    top = padding + (round(1.4 * font.size) if column_labels is not None else 0)
    step = cell_px + padding
    page = Image.new("RGB", (left + num_columns * step, top + len(rows) * step), _PAGE)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            if image is not None:
                _paste(page, image, left + j * step, top + i * step, cell_px)
    draw = ImageDraw.Draw(page)
    for i, label in enumerate(row_labels or ()):
        middle = top + i * step + cell_px / 2
        draw.text((left - 1.5 * padding - 2, middle), label, _INK, font=font, anchor="rm")
    for j, label in enumerate(column_labels or ()):
        middle = left + j * step + cell_px / 2
        draw.text((middle, top - 0.3 * font.size), label, _INK, font=font, anchor="ms")
    return np.asarray(page)


def _check_labels(name, labels, count):
    if labels is not None and len(labels) != count:
        raise ValueError(f"{name} has {len(labels)} entries; expected {count}")


def _text_width(font, labels):
    """Room that the row labels take beside the cells, in pixels."""
    if not labels:
        return 0
    return round(max(font.getlength(label) for label in labels) + 0.8 * font.size)


def _paste(page, image, x, y, cell_px):
    image = as_uint8(image)
    height, width = image.shape[:2]
    scale = cell_px / max(height, width)
    height, width = max(1, round(height * scale)), max(1, round(width * scale))
    corner = (x + (cell_px - width) // 2, y + (cell_px - height) // 2)
    page.paste(Image.fromarray(resize(image, height, width)), corner)
    # White flow and occlusion would run into the page without a frame.
    box = (corner[0] - 1, corner[1] - 1, corner[0] + width, corner[1] + height)
    ImageDraw.Draw(page).rectangle(box, outline=_FRAME)
