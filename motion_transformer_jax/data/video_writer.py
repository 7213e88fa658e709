"""Videos and images to the disk: whole under their name, or not there at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.data.video import at_constant_rate
from motion_transformer_jax.errors import UserError

# Constant quality: 18 is the customary "visually lossless" of x264, 24 its like in VP9.
_CODECS = {
    ".mp4": ("libx264", {"crf": "18", "preset": "medium"}),
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}),
}
# x264's macroblock tree reads past the ends of rows that are no multiple of this, and equal frames do not give equal
# files; there it is left out, at the price of a few more bytes.
_MACROBLOCK_ROW_PX = 256
FPS_RANGE = (0.01, 1000)  # frames per second that can be written
# Delays in a gif are whole hundredths of a second, and viewers slow those below two down to ten.
_GIF_TIME_BASE = Fraction(1, 100)
_GIF_MAX_FPS = Fraction(50)


def write_video(path: str | Path, frames: Iterable[np.ndarray], *, fps: float) -> None:
    """Encodes frames as they come: H.264 (yuv420p) in mp4, VP9 in webm, or gif, by the name's ending.

    Frames of odd height or width are padded to even by repeating the last row or column (mp4, webm). The frame rate
    is kept as a fraction (29.97 as 30000/1001); in a gif single delays are rounded to 10 ms without drift, and above 50
    frames a second some are left out. The file appears under its name when complete; of a failure nothing is left.

    Args:
        path: Ends in .mp4, .webm or .gif. A file of that name is replaced.
        frames: uint8 [H, W, 3], RGB, all of one size.
        fps: Frames per second.

    Raises:
        UserError: Another ending, a folder that is missing or cannot be written to, a frame rate that is not between
            0.01 and 1000, or no frames.
        ValueError: A frame has another shape than the first, or is not uint8 [H, W, 3].
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix != ".gif" and suffix not in _CODECS:
        raise UserError(f"cannot write {path}: videos are written as .mp4, .webm or .gif; rename it")
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise UserError(f"cannot write {path} at {fps} frames per second; expected between 0.01 and 1000")
    rate = Fraction(fps).limit_denominator(1001)
    if suffix == ".gif" and rate > _GIF_MAX_FPS:
        frames, rate = at_constant_rate(_timed(frames, rate), _GIF_MAX_FPS), _GIF_MAX_FPS
    with atomic_path(path) as temporary:
        encoder = None
        try:
            for frame in frames:
                if encoder is None:
                    encoder = (_GifEncoder if suffix == ".gif" else _Encoder)(temporary, rate, _checked(frame).shape)
                encoder.add(_checked(frame, encoder.shape))
            if encoder is None:
                raise UserError(f"there are no frames to write to {path}; expected at least one")
            encoder.finish()
        finally:
            if encoder is not None:
                encoder.close()


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] as a PNG, whole or not at all.

    Raises:
        UserError: The name does not end in .png, or the folder is missing or cannot be written to.
        ValueError: The image is not uint8 [H, W, 3].
    """
    if Path(path).suffix.lower() != ".png":
        raise UserError(f"cannot write {path}: images are written as .png; rename it")
    with atomic_path(path) as temporary:
        picture = Image.fromarray(_checked(image))
        with system_errors(path):
            picture.save(temporary, format="PNG")


def _timed(frames: Iterable[np.ndarray], rate: Fraction) -> Iterator[tuple[Fraction, Fraction, np.ndarray]]:
    for index, frame in enumerate(frames):
        yield index / rate, 1 / rate, frame


def _checked(frame: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"expected uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}")
    if shape is not None and frame.shape != shape:
        raise ValueError(f"all frames must be of one size; got {frame.shape} after {shape}")
    return frame


class _Encoder:
    """H.264 or VP9 into a file; frames in, packets out, nothing kept."""

    def __init__(self, path: Path, rate: Fraction, shape: tuple[int, ...]):
        self.shape = shape
        self._path, self._rate, self._count = path, rate, 0
        file_format = path.suffix.lower().removeprefix(".")
        options = {"movflags": "+faststart"} if file_format == "mp4" else {}
        with system_errors(path):
            self._container = av.open(os.path.abspath(path), "w", format=file_format, options=options)
        self._open_stream()

    def _open_stream(self) -> None:
        codec, options = _CODECS[self._path.suffix.lower()]
        if codec == "libx264" and self.shape[1] % _MACROBLOCK_ROW_PX:
            options = options | {"mbtree": "0"}
        self._stream = self._container.add_stream(codec, rate=self._rate, options=options)
        self._stream.height, self._stream.width = (length + length % 2 for length in self.shape[:2])
        self._stream.pix_fmt = "yuv420p"
        # Says which RGB the YUV stands for; else players guess by the size of the picture.
        self._stream.codec_context.colorspace = Colorspace.ITU601
        self._stream.codec_context.color_range = ColorRange.MPEG

    def add(self, frame: np.ndarray) -> None:
        padding = (0, self._stream.height - self.shape[0]), (0, self._stream.width - self.shape[1]), (0, 0)
        picture = av.VideoFrame.from_ndarray(np.pad(frame, padding, mode="edge"), format="rgb24")
        picture = picture.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG, interpolation="AREA"
        )
        picture.pts, picture.time_base = self._count, 1 / self._rate
        self._count += 1
        self._write(picture)

    def finish(self) -> None:
        """Writes what the codec held back, and the file's end."""
        self._write(None)
        with system_errors(self._path):
            self._container.close()

    def close(self) -> None:
        """Lets go of the file, finished or not."""
        with suppress(OSError):
            self._container.close()

    def _write(self, picture: av.VideoFrame | None) -> None:
        with system_errors(self._path):
            self._container.mux(self._stream.encode(picture))


class _GifEncoder(_Encoder):
    """Gif with a palette of its own for every frame."""

    def _open_stream(self) -> None:
        self._stream = self._container.add_stream("gif", rate=self._rate)
        self._stream.height, self._stream.width = self.shape[:2]
        self._stream.pix_fmt = "pal8"
        self._stream.codec_context.time_base = _GIF_TIME_BASE
        self._palette_graph = _palette_graph(*self.shape[:2])

    def add(self, frame: np.ndarray) -> None:
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        # Rounded from the start each time, so that 30 fps become delays of 3, 3, 4, 3, 3, 4 hundredths.
        picture.pts, picture.time_base = round(self._count / self._rate / _GIF_TIME_BASE), _GIF_TIME_BASE
        self._count += 1
        self._palette_graph.push(picture)
        self._write(self._palette_graph.pull())


def _palette_graph(height: int, width: int) -> av.filter.Graph:
    """Turns each RGB frame pushed into one of 256 colours of its own."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=_GIF_TIME_BASE)
    split, sink = graph.add("split"), graph.add("buffersink")
    generate, use = graph.add("palettegen", "stats_mode=single:reserve_transparent=0"), graph.add("paletteuse", "new=1")
    source.link_to(split)
    split.link_to(generate, 0, 0)
    split.link_to(use, 1, 0)
    generate.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
