"""Attention of the motion tokens: over the image as heat maps on the patches, over each other as matrices."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from motion_transformer_jax.viz.heat import heat_colors
from motion_transformer_jax.viz.keypoints import draw_keypoints
from motion_transformer_jax.viz.raster import keypoint_colors, resize
from motion_transformer_jax.viz.sheet import add_legend, contact_sheet

_HEAT = 0.65  # share of the heat in a heat map; the rest is the frame in dark grey
_BAR_PX = (14, 120)
_PAGE = (255, 255, 255)
_INK = (45, 48, 56)


def draw_attention(
    frame: np.ndarray,
    mask: np.ndarray,
    attention: np.ndarray,
    *,
    keypoints: np.ndarray | None = None,
    cell_px: int = 112,
) -> np.ndarray:
    """The poster's attention figure: for each motion the frame, its mask, and its token's attention layer by layer.

    Each map goes from 0 to its own peak, which stands in its corner.

    Args:
      frame: `[H, W, 3]`, uint8 or float in [0, 1].
      mask: dense motion's, `[h, w, K + 1]`, index 0 = background.
      attention: of a frame's K keypoint tokens, or of its K affine tokens, over the image tokens, averaged over heads:
        `[layers, K, rows, columns]`.
      keypoints: `[K, 2]`, (x, y) in [-1, 1], drawn on the frame; or None.
      cell_px: side of a picture, in pixels.

    Returns:
      uint8 `[H', W', 3]`.
    """
    motions = range(attention.shape[1])
    rows = [
        [*_origin(frame, mask, keypoints, k, cell_px), *_heat_maps(frame, attention[:, k], cell_px)] for k in motions
    ]
    return _table(rows, [f"motion {k + 1}" for k in motions], len(attention), cell_px)


def draw_attention_heads(
    frame: np.ndarray,
    mask: np.ndarray,
    attention: np.ndarray,
    motion: int,
    *,
    keypoints: np.ndarray | None = None,
    cell_px: int = 112,
) -> np.ndarray:
    """One motion's row of the attention figure, head by head.

    Args:
      frame, mask, keypoints, cell_px: as of `draw_attention`.
      attention: `[layers, heads, K, rows, columns]`.
      motion: which, from 0.

    Returns:
      uint8 `[H', W', 3]`.
    """
    origin = _origin(frame, mask, keypoints, motion, cell_px)
    heads = range(attention.shape[1])
    rows = [[*origin, *_heat_maps(frame, attention[:, head, motion], cell_px)] for head in heads]
    return _table(rows, [f"head {head + 1}" for head in heads], len(attention), cell_px)


def draw_motion_attention(attention: np.ndarray, *, cell_px: int = 16) -> np.ndarray:
    """Motion tokens' attention over each other, a matrix for each layer: rows look at columns.

    Each matrix goes from 0 to its own peak. Its title tells that, and how much of the layer's attention goes to motion
    tokens at all.

    Args:
      attention: averaged over heads, `[layers, 2K, 2K]`, K keypoint tokens before K affine tokens.
      cell_px: side of a matrix's cell, in pixels.

    Returns:
      uint8 `[H', W', 3]`.
    """
    panels = [Image.fromarray(_matrix(weights, f"layer {i + 1}", cell_px)) for i, weights in enumerate(attention)]
    columns = min(4, len(panels))
    (width, height), gap = panels[0].size, cell_px
    lines = -(-len(panels) // columns)
    page = Image.new("RGB", (columns * (width + gap) + gap, lines * (height + gap) + gap), _PAGE)
    for i, panel in enumerate(panels):
        page.paste(panel, (gap + i % columns * (width + gap), gap + i // columns * (height + gap)))
    text = "attention of a row to a column: from 0 to the matrix's peak"
    return add_legend(np.asarray(page), [(_bar(), text)], padding=gap)


def _table(rows: list[list[np.ndarray]], labels: Sequence[str], layers: int, cell_px: int) -> np.ndarray:
    columns = ["frame", "mask", *(f"layer {i + 1}" for i in range(layers))]
    sheet = contact_sheet(rows, row_labels=labels, column_labels=columns, cell_px=cell_px)
    return add_legend(sheet, [(_bar(), "attention to a patch: from 0 to the map's peak (in its corner)")])


def _origin(frame, mask, keypoints, motion: int, cell_px: int) -> list[np.ndarray]:
    """The frame with one keypoint, and the frame in dark grey with that keypoint's mask."""
    color = keypoint_colors(motion + 1)[motion]
    picture = resize(frame, cell_px, cell_px)
    if keypoints is not None:
        others = np.arange(len(keypoints)) != motion
        picture = draw_keypoints(picture, np.where(others[:, None], np.nan, keypoints), radius_px=cell_px / 24)
    share = resize(np.asarray(mask, np.float32)[..., motion + 1], cell_px, cell_px) / 255
    return [picture, _blend(_dark(frame, cell_px), color, 0.9 * share)]


def _heat_maps(frame: np.ndarray, attention: np.ndarray, cell_px: int) -> list[np.ndarray]:
    """One picture a layer of attention `[layers, rows, columns]`."""
    dark = _dark(frame, cell_px)
    return [_heat_map(dark, weights) for weights in attention]


def _heat_map(dark: np.ndarray, weights: np.ndarray) -> np.ndarray:
    size, peak = len(dark), float(weights.max())
    rows, columns = (np.arange(size) * count // size for count in weights.shape)
    heat = heat_colors(weights / max(peak, 1e-12))[rows][:, columns]
    picture = Image.fromarray(_blend(dark, heat, np.float32(_HEAT)))
    font = ImageFont.load_default(size=max(9.0, size / 10))
    text = f"{100 * peak:.2g} %"
    ImageDraw.Draw(picture).text(
        (3, size - 2), text, (255, 255, 255), font=font, anchor="lb", stroke_width=1, stroke_fill=(0, 0, 0)
    )
    return np.asarray(picture)


def _dark(frame: np.ndarray, size: int) -> np.ndarray:
    grey = resize(frame, size, size).mean(-1, keepdims=True)
    return np.repeat((0.7 * grey).astype(np.uint8), 3, axis=-1)


def _blend(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.round(below + share * (above.astype(np.float32) - below)).astype(np.uint8)


def _bar() -> np.ndarray:
    height, width = _BAR_PX
    return np.broadcast_to(heat_colors(np.linspace(0, 1, width)), (height, width, 3))


def _matrix(weights: np.ndarray, name: str, cell_px: int) -> np.ndarray:
    """A titled, labelled matrix; a gap parts keypoint tokens from affine tokens."""
    peak, share = float(weights.max()), float(weights.sum(-1).mean())
    half, gap = len(weights) // 2, max(2, cell_px // 6)
    place = [i * cell_px + (gap if i >= half else 0) for i in range(len(weights))]
    title, font = (ImageFont.load_default(size=max(9.0, share * cell_px)) for share in (0.85, 0.7))
    margin, heading = round(2.6 * cell_px), round(1.5 * cell_px)
    side = place[-1] + cell_px
    picture = Image.new("RGB", (margin + side, heading + margin + side), _PAGE)
    draw = ImageDraw.Draw(picture)
    draw.text((margin, 0), f"{name}: {100 * share:.0f} % to motions, peak {100 * peak:.2g} %", _INK, font=title)
    colors = heat_colors(weights / max(peak, 1e-12))
    for i, y in enumerate(place):
        for j, x in enumerate(place):
            left, top = margin + x, heading + margin + y
            draw.rectangle((left, top, left + cell_px - 1, top + cell_px - 1), tuple(colors[i, j].tolist()))
    for kind, start in (("keypoints", 0), ("affines", half)):
        _label_tokens(picture, kind, margin, heading, place[start : start + half], cell_px, font)
    return np.asarray(picture)


def _label_tokens(
    picture: Image.Image, kind: str, margin: int, heading: int, place: Sequence[int], cell_px: int, font
) -> None:
    """Numbers and the tokens' kind, above and left of the matrix."""
    draw = ImageDraw.Draw(picture)
    for number, start in enumerate(place, 1):
        middle = margin + start + cell_px / 2
        draw.text((margin - 4, heading + middle), str(number), _INK, font=font, anchor="rm")
        draw.text((middle, heading + margin - 4), str(number), _INK, font=font, anchor="ms")
    middle = margin + (place[0] + place[-1] + cell_px) // 2
    draw.text((middle, heading + margin - 1.4 * cell_px), kind, _INK, font=font, anchor="ms")
    length, height = round(font.getlength(kind)) + 2, round(1.4 * font.size)
    upright = Image.new("RGB", (length, height), _PAGE)
    ImageDraw.Draw(upright).text((length / 2, height / 2), kind, _INK, font=font, anchor="mm")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    picture.paste(turned, (round(margin - 1.4 * cell_px) - height, heading + middle - length // 2))
