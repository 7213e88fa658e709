"""Frames into one video file as they come: H.264, VP9 or gif, with sound and a comment."""

import os
import shutil
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.data.sound import Sound, SoundTrack


class _Codec(NamedTuple):
    name: str
    pixel_format: str
    options: dict[str, str]


# Constant quality: 18 is the customary "visually lossless" of x264, 24 its like in VP9.
_CODECS = {
    ".mp4": _Codec("libx264", "yuv420p", {"crf": "18", "preset": "medium"}),
    ".webm": _Codec(
        "libvpx-vp9", "yuv420p", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
    ),
}
_LOSSLESS_CODECS = {
    ".mp4": _Codec("libx264rgb", "rgb24", {"qp": "0", "preset": "medium"}),
    ".webm": _Codec("libvpx-vp9", "gbrp", {"lossless": "1", "deadline": "good", "cpu-used": "4", "row-mt": "1"}),
}
# x264's macroblock tree reads past the ends of rows that are no multiple of this, and equal frames do not give equal
# files; there it is left out, at the price of a few more bytes.
_MACROBLOCK_ROW_PX = 256
_RGB_COLORSPACE = 0  # FFmpeg's number, which PyAV has no name for
# Delays in a gif are whole hundredths of a second, and viewers slow those below two down to ten.
_GIF_TIME_BASE = Fraction(1, 100)
GIF_MAX_FPS = Fraction(50)
_GIF_HEADER_BYTES = 13
_GIF_LOOP, _GIF_LOOP_BYTES = b"\x21\xff\x0bNETSCAPE2.0", 19  # must come first
_GIF_COMMENT = b"\x21\xfe"
_GIF_BLOCK_BYTES = 255


class Encoder:
    """H.264 or VP9 into an mp4 or webm; frames in, packets out, nothing kept.

    Attributes:
        shape: of the frames.
    """

    def __init__(
        self,
        path: Path,
        rate: Fraction,
        shape: tuple[int, ...],
        *,
        sound: Sound | None = None,
        comment: str = "",
        lossless: bool = False,
    ):
        """Opens the file.

        Args:
            path: Ends in .mp4 or .webm.
            rate: Frames per second.
            shape: of the frames, (H, W, 3).
            sound: What is heard with the frames, cut where they end.
            comment: Written into the file's metadata.
            lossless: Keep every value of every pixel.
        """
        self.shape = shape
        self._path, self._rate, self._comment, self._count = path, rate, comment, 0
        self._converter = VideoReformatter()  # one for all frames, since each starts threads
        file_format = path.suffix.lower().removeprefix(".")
        options = {"movflags": "+faststart"} if file_format == "mp4" else {}
        with system_errors(path):
            self._container = av.open(os.path.abspath(path), "w", format=file_format, options=options)
        self._open_stream(lossless)
        self._sound = None if sound is None else SoundTrack(sound, self._container)

    def add(self, frame: np.ndarray) -> None:
        """Encodes a frame, uint8 RGB of `shape`, and writes the sound up to its end."""
        picture = self._picture(frame)
        self._count += 1
        if self._sound is not None:
            with system_errors(self._path):
                self._sound.advance(self._count / self._rate)
        self._write(picture)

    def finish(self) -> None:
        """Writes what the codec held back, and the file's end."""
        self._write(None)
        with system_errors(self._path):
            self._container.close()

    def close(self) -> None:
        """Lets go of the files, finished or not."""
        if self._sound is not None:
            self._sound.close()
        with suppress(OSError):
            self._container.close()

    def _open_stream(self, lossless: bool) -> None:
        codec = (_LOSSLESS_CODECS if lossless else _CODECS)[self._path.suffix.lower()]
        if self._comment:
            self._container.metadata["comment"] = self._comment
        options = codec.options
        if codec.name == "libx264" and self.shape[1] % _MACROBLOCK_ROW_PX:
            options = options | {"mbtree": "0"}
        self._stream = self._container.add_stream(codec.name, rate=self._rate, options=options)
        self._stream.height, self._stream.width = (length + length % 2 for length in self.shape[:2])
        self._stream.pix_fmt = codec.pixel_format
        # Says which RGB the YUV stands for; else players guess by the size of the picture.
        self._stream.codec_context.colorspace = _RGB_COLORSPACE if lossless else Colorspace.ITU601
        self._stream.codec_context.color_range = ColorRange.JPEG if lossless else ColorRange.MPEG

    def _picture(self, frame: np.ndarray) -> av.VideoFrame:
        padding = (0, self._stream.height - self.shape[0]), (0, self._stream.width - self.shape[1]), (0, 0)
        picture = av.VideoFrame.from_ndarray(np.pad(frame, padding, mode="edge"), format="rgb24")
        colors = {"dst_colorspace": Colorspace.ITU601, "dst_color_range": ColorRange.MPEG, "interpolation": "AREA"}
        picture = self._converter.reformat(
            picture, format=self._stream.pix_fmt, **(colors if self._stream.pix_fmt == "yuv420p" else {})
        )
        picture.pts, picture.time_base = self._count, 1 / self._rate
        return picture

    def _write(self, picture: av.VideoFrame | None) -> None:
        with system_errors(self._path):
            self._container.mux(self._stream.encode(picture))


class GifEncoder(Encoder):
    """Gif with a palette of its own for every frame; it has no sound and is not lossless."""

    def finish(self) -> None:
        """Writes the file's end, and the comment, of which FFmpeg knows nothing."""
        super().finish()
        if self._comment:
            with atomic_path(self._path) as temporary, system_errors(self._path):
                _copy_gif(self._path, temporary, self._comment.encode())

    def _open_stream(self, lossless: bool) -> None:
        self._stream = self._container.add_stream("gif", rate=self._rate)
        self._stream.height, self._stream.width = self.shape[:2]
        self._stream.pix_fmt = "pal8"
        self._stream.codec_context.time_base = _GIF_TIME_BASE
        self._palette_graph = _palette_graph(*self.shape[:2])

    def _picture(self, frame: np.ndarray) -> av.VideoFrame:
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        # Rounded from the start each time, so that 30 fps become delays of 3, 3, 4, 3, 3, 4 hundredths.
        picture.pts, picture.time_base = round(self._count / self._rate / _GIF_TIME_BASE), _GIF_TIME_BASE
        self._palette_graph.push(picture)
        return self._palette_graph.pull()


def _copy_gif(path: Path, copy: Path, comment: bytes) -> None:
    """Copies a gif with a comment between what holds for all frames and the first of them."""
    with open(path, "rb") as source, open(copy, "wb") as target:
        header = source.read(_GIF_HEADER_BYTES)
        shared = header[-3]  # says whether colours follow that all frames share, and how many
        target.write(header + source.read(3 << (shared % 8 + 1) if shared & 0x80 else 0))
        loop = source.read(_GIF_LOOP_BYTES)
        loops = loop.startswith(_GIF_LOOP)
        blocks = (comment[start : start + _GIF_BLOCK_BYTES] for start in range(0, len(comment), _GIF_BLOCK_BYTES))
        written = _GIF_COMMENT + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
        target.write(loop + written if loops else written + loop)
        shutil.copyfileobj(source, target)


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
