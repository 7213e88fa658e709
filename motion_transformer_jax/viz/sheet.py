"""Contact sheets: labelled tables of pictures."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_transformer_jax.viz.raster import as_uint8, resize

_PAGE = (255, 255, 255)
_INK = (45, 48, 56)
_LEGEND_CELL_PX = 128  # its text is as large as that of a sheet with such cells
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
    font = _font(cell_px)
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


def add_legend(picture: np.ndarray, entries: Sequence[tuple[np.ndarray, str]], *, padding: int = 8) -> np.ndarray:
    """Write what colours mean below a picture: swatches, each with its text behind it, in as many lines as they need.

    Args:
      picture: uint8 `[H, W, 3]`.
      entries: swatch as `as_uint8` takes it, drawn at its own size, and its text.
      padding: white around the entries, in pixels.

    Returns:
      uint8 `[H', W', 3]`, the picture on top; wider than the picture only where an entry is.
    """
    drawn = [_draw_entry(swatch, text, padding) for swatch, text in entries]
    page_width = max(picture.shape[1], *(entry.width + 2 * padding for entry in drawn))
    lines, x = [[]], padding
    for entry in drawn:
        if lines[-1] and x + entry.width + padding > page_width:
            lines.append([])
            x = padding
        lines[-1].append((x, entry))
        x += entry.width + 3 * padding
    heights = [max(entry.height for _, entry in line) for line in lines]
    page = Image.new("RGB", (page_width, picture.shape[0] + sum(heights) + padding * (len(lines) + 1)), _PAGE)
    page.paste(Image.fromarray(as_uint8(picture)))
    top = picture.shape[0] + padding
    for line, height in zip(lines, heights, strict=True):
        for x, entry in line:
            page.paste(entry, (x, top + (height - entry.height) // 2))
        top += height + padding
    return np.asarray(page)


def _draw_entry(swatch: np.ndarray, text: str, padding: int) -> Image.Image:
    font = _font(_LEGEND_CELL_PX)
    height, width = swatch.shape[:2]
    entry = Image.new(
        "RGB", (width + padding + round(font.getlength(text)) + 1, max(height, round(1.4 * font.size))), _PAGE
    )
    entry.paste(Image.fromarray(as_uint8(swatch)), (0, (entry.height - height) // 2))
    at = (width + padding, entry.height / 2)
    ImageDraw.Draw(entry).text(at, text, _INK, font=font, anchor="lm")
    return entry


def _font(cell_px: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=float(np.clip(cell_px / 9, 11, 28)))


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
