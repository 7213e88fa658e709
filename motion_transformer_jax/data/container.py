"""A video file as FFmpeg sees it: its frames with their times, and what was wrong with it."""

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from motion_transformer_jax.data.image import over_white
from motion_transformer_jax.data.limits import MediaLimits
from motion_transformer_jax.errors import UserError

DEFAULT_FPS = Fraction(25)

# Start in seconds from the first frame, duration in seconds, uint8 [H, W, 3].
TimedFrame = tuple[Fraction, Fraction, np.ndarray]

# Only real video containers: FFmpeg would also take text, play lists and scripts that name other files.
_FORMATS = "mov,matroska,avi,gif,mpeg,mpegts,asf,flv,ogg"
# A rate above this is a container that has none (browsers record "1000 fps" webm), a longer pause a broken clock.
_MAX_FPS = 240
_MAX_PAUSE_SECS = Fraction(60)
_ROUNDING_PX = 2**16
# Pixels as oblong as in no format are damage, and those less so than 16:15, the least of a format, come from scaling to
# whole pixels.
_OBLONG = Fraction(21, 20), 8
# Without it FFmpeg doubles the chroma pixels: 6 dB are lost on a photograph.
_CHROMA_UPSAMPLING = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
# Files whose index tells where a time is to be found; others are decoded from their beginning.
_INDEXED = ("mov,", "matroska,")
_WORTH_SEEKING_SECS = 2
# What is no UTF-8 in a file's remarks does not keep it from opening; from version 19 on PyAV sees to that itself.
_METADATA = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_GIF_TRAILER = b"\x3b"
_GIF_TAIL = 4096  # bytes in which it is looked for: padding may follow it


class VideoContainer:
    """A video file, open for reading once, from its first frame to its last.

    Attributes:
        fps: Mean frames per second.
        num_frames: Frames in the file as its header has it, or None.
        origin: When the first frame is shown, in seconds on the file's own clock; None until it is decoded.
        has_clock: Frames have times.
    """

    has_clock = True

    def __init__(self, path: Path, limits: MediaLimits):
        """Opens a file; no frame is decoded for the caller yet.

        Raises:
            UserError: There is no video in it, or its header claims more than the limits.
        """
        self._path, self._limits = path, limits
        self._broken = 0
        self._end = Fraction(0)  # of the last packet seen, in seconds on the file's own clock
        self.origin: Fraction | None = None
        self._display_matrices: dict[int, np.ndarray | None] = {}
        self._converter = VideoReformatter()  # one for all frames, since each starts threads
        # FFmpeg's decoders look at this before they take memory for a frame, whose sides they round up.
        options = {"max_pixels": str(2 * limits.max_pixels + _ROUNDING_PX)}
        self._container = open_media(path, limits, **options)
        try:
            self._read_header(options)
        except UserError:
            self.close()
            raise

    def _read_header(self, options: dict[str, str]) -> None:
        if not self._container.streams.video:
            raise UserError(f"{self._path} has no picture, only sound or text; expected a video")
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None:
            raise UserError(f"{self._path} has a picture that is coded in no known way; convert it to mp4 or webm")
        self._stream.codec_context.options = options
        self.fps = self._mean_rate()
        self._declared_end = self._find_declared_end()
        seconds = None if self._declared_end is None else self._declared_end - self._start_secs()
        self.num_frames = max(1, round(seconds * self.fps)) if seconds else self._stream.frames or None
        self._limits.check_size(self._path, self._stream.codec_context.width, self._stream.codec_context.height)
        # More frames than the file has bytes are a broken clock; what comes is counted in any case.
        if self.num_frames is not None and self.num_frames <= os.path.getsize(self._path):
            self._limits.check_length(self._path, frames=self.num_frames, seconds=seconds)

    def timed_frames(self, since: Fraction = Fraction(0)) -> Iterator[TimedFrame]:
        """Decodes the frames in order of time; those that cannot be decoded are counted and left out.

        Args:
            since: Seconds from the first frame. Frames before it may be left out, save the one shown then.

        Raises:
            UserError: There are more frames than the limit, or larger ones.
        """
        start = None
        for count, (frame, image) in enumerate(self._decoded_since(since), 1):
            self._limits.check_length(self._path, frames=count)
            seconds = _shown_at(frame)
            self.origin = seconds if self.origin is None else self.origin
            if start is None:
                start = Fraction(0) if seconds is None else seconds - self.origin
            elif seconds is None or not start < seconds - self.origin <= start + _MAX_PAUSE_SECS:
                start += 1 / self.fps
            else:
                start = seconds - self.origin
            duration = min(frame.duration * frame.time_base, _MAX_PAUSE_SECS) if frame.duration else 1 / self.fps
            yield start, duration, image

    def complaints(self) -> list[str]:
        """Says what was wrong with the frames read so far, one clause each."""
        return [*self._truncation(), *broken_frames(self._broken)]

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def _decoded_since(self, since: Fraction) -> Iterator[tuple[av.VideoFrame, np.ndarray]]:
        frames = self._decoded()
        first = next(frames, None)
        if first is None:
            return
        self.origin = _shown_at(first[0])
        if self._seek(since):
            yield from self._decoded()
        else:
            yield first
            yield from frames

    def _seek(self, since: Fraction) -> bool:
        """Goes to a frame before that time, where that saves decoding and the file has an index."""
        indexed = self.origin is not None and self._container.format.name.startswith(_INDEXED)
        if not indexed or since < _WORTH_SEEKING_SECS:
            return False
        # A second earlier: FFmpeg seeks by the order of decoding, which runs a little ahead of that of showing.
        target = int((self.origin + since - 1) / self._stream.time_base)
        try:
            self._container.seek(target, stream=self._stream)
        except av.error.FFmpegError:
            return False
        return True

    def _decoded(self) -> Iterator[tuple[av.VideoFrame, np.ndarray]]:
        for packet in self._packets():
            try:
                if packet.is_corrupt:  # cut short by the end of the file
                    raise av.error.InvalidDataError(0, "partial packet")
                frames = packet.decode()
            except av.error.FFmpegError:
                self._broken += 1
                continue
            for frame in frames:
                image = self._image(frame)
                if image is not None:
                    yield frame, image

    def _image(self, frame: av.VideoFrame) -> np.ndarray | None:
        self._limits.check_size(self._path, frame.width, frame.height)
        try:
            if not frame.is_corrupt:
                return _upright(self._to_rgb(frame), self._display_matrix(frame))
        except av.error.FFmpegError:  # damaged colour tags
            pass
        self._broken += 1
        return None

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        width, height = self._shown_size(frame)
        size = {} if (width, height) == (frame.width, frame.height) else {"width": width, "height": height}
        if any(component.is_alpha for component in frame.format.components):
            return over_white(self._converter.reformat(frame, format="rgba", **size).to_ndarray())
        return self._converter.reformat(frame, format="rgb24", interpolation=_CHROMA_UPSAMPLING, **size).to_ndarray()

    def _shown_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Width and height of the frame with square pixels: enlarged along one side where the file's are oblong."""
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        least, most = _OBLONG
        oblong = aspect > 0 and least <= max(aspect, 1 / aspect) <= most
        if oblong and self._container.format.name != "gif":  # of gifs no browser looks at it
            width, height = round(frame.width * max(aspect, 1)), round(frame.height * max(1 / aspect, 1))
            if width * height <= self._limits.max_pixels:
                return width, height
        return frame.width, frame.height

    def _display_matrix(self, frame: av.VideoFrame) -> np.ndarray | None:
        # Of one frame for each angle: a frame whose side data was asked for is part of a reference cycle, and its
        # picture stays until the garbage collector comes.
        if frame.rotation not in self._display_matrices:
            side_data = frame.side_data.get("DISPLAYMATRIX")
            matrix = None if side_data is None else np.frombuffer(bytes(side_data), np.int32)
            self._display_matrices[frame.rotation] = matrix
        return self._display_matrices[frame.rotation]

    def _packets(self) -> Iterator[av.Packet]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):  # the file cannot be followed further
                return
            timestamp = packet.dts if packet.pts is None else packet.pts
            if timestamp is not None and not packet.is_corrupt:
                self._end = max(self._end, (timestamp + (packet.duration or 0)) * packet.time_base)
            yield packet

    def _mean_rate(self) -> Fraction:
        stream = self._stream
        if self._container.format.name == "gif" and stream.frames and stream.duration:
            return stream.frames / (stream.duration * stream.time_base)  # FFmpeg's own mean is of a few frames
        rates = (stream.average_rate, stream.guessed_rate)
        return next((rate for rate in rates if rate and rate <= _MAX_FPS), DEFAULT_FPS)

    def _start_secs(self) -> Fraction:
        return (self._stream.start_time or 0) * self._stream.time_base

    def _find_declared_end(self) -> Fraction | None:
        """Where the header says that the video ends, in seconds on the file's own clock."""
        stream = self._stream
        if self._container.format.name == "avi" and stream.frames:
            return self._start_secs() + stream.frames / self.fps  # FFmpeg cuts the duration of a truncated file
        if stream.duration:
            return self._start_secs() + stream.duration * stream.time_base
        clock = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d*)?)", stream.metadata.get("DURATION", ""), re.ASCII)
        if clock:  # Matroska and webm
            return int(clock[1]) * 3600 + int(clock[2]) * 60 + Fraction(clock[3])
        if self._container.duration and len(self._container.streams) == 1:
            return Fraction(self._container.duration, av.time_base)
        return None

    def _truncation(self) -> list[str]:
        if self._container.format.name == "gif":  # has no header that tells its length
            with open(self._path, "rb") as file:
                file.seek(-min(_GIF_TAIL, os.path.getsize(self._path)), os.SEEK_END)
                whole = file.read().rstrip(b"\0").endswith(_GIF_TRAILER)
            return [] if whole else ["the file ends early"]
        # A container's idea of its own length is off by a frame or a rounding; of a truncated file, by much more.
        end = self._declared_end
        if end is None or end - self._end <= max(Fraction(3, 2) / self.fps, end / 50):
            return []
        return [broken_end(f"{float(self._end):.2f}", f"{float(end):.2f}", "seconds")]


def _shown_at(frame: av.VideoFrame) -> Fraction | None:
    """Seconds on the file's own clock."""
    return None if frame.pts is None else frame.pts * frame.time_base


def open_media(path: Path, limits: MediaLimits, **options: str) -> av.container.InputContainer:
    """Opens a file that holds pictures, sound or both; options are FFmpeg's.

    Raises:
        UserError: It is missing, no such file, or over the limit of bytes.
    """
    limits.check_file(path)
    options = {"format_whitelist": _FORMATS, **options}
    try:
        # An absolute path, since FFmpeg would take "a:b.mp4" for a protocol.
        return av.open(os.path.abspath(path), options=options, **_METADATA)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"cannot read {path} as a video ({error.strerror}); expected a whole mp4, mov, webm, avi or gif file, "
            "a folder of frames or a film strip"
        ) from error


def broken_frames(count: int) -> list[str]:
    """The complaint about broken frames, if there are any."""
    return [f"{count} broken frame{'s' if count > 1 else ''} skipped"] if count else []


def broken_end(found: int | str, claimed: int | str, unit: str) -> str:
    """The complaint about a file that is cut short."""
    return f"the file ends early, after {found} of {claimed} {unit}"


def _upright(image: np.ndarray, display_matrix: np.ndarray | None) -> np.ndarray:
    """Applies the display matrix, of which only quarter turns and mirrorings are known to exist."""
    if display_matrix is None:
        return image
    x_from_x, y_from_x, _, x_from_y, y_from_y = display_matrix[:5]
    if abs(y_from_x) > abs(x_from_x):
        image, x_sign, y_sign = image.swapaxes(0, 1), x_from_y, y_from_x
    else:
        x_sign, y_sign = x_from_x, y_from_y
    return np.ascontiguousarray(image[:: -1 if y_sign < 0 else 1, :: -1 if x_sign < 0 else 1])
