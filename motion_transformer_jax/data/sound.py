"""The sound of one video carried into another: as it is where the new file can hold it, else encoded anew.

Packets are read as the pictures proceed, so that memory does not grow with the length.
"""

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from motion_transformer_jax.data.container import open_media
from motion_transformer_jax.data.image import IMAGE_SUFFIXES
from motion_transformer_jax.data.limits import current_limits

logger = logging.getLogger(__name__)

# What browsers play in such files; others, which an mp4 could hold too (AC-3, ALAC), are encoded anew.
_COPIED = {"mp4": ("aac", "mp3", "opus", "flac"), "webm": ("opus", "vorbis")}
_ENCODERS = {"mp4": ("aac", "fltp", 192_000), "webm": ("libopus", "flt", 128_000)}
_ENCODED_RATE = 48_000
# A webm whose sound begins before 0 has everything moved; an opus decoder's delay is less than this.
_WEBM_EARLIEST_SECS = Fraction(-1, 100)
_ENTERED_EARLY_SECS = 1


@dataclass(frozen=True)
class Sound:
    """A video's sound from some time on.

    Attributes:
        path: The video.
        start: When it begins to be heard, in seconds on the file's own clock (`VideoInfo.origin`).
    """

    path: Path
    start: Fraction


def has_sound(path: Path) -> bool:
    """Whether a video file has sound that FFmpeg knows how to read; an animated image has none.

    Raises:
        UserError: It is no video.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return False
    with open_media(path, current_limits()) as container:
        return bool(container.streams.audio) and container.streams.audio[0].codec_context is not None


class SoundTrack:
    """A sound's way into a video that is being written."""

    def __init__(self, sound: Sound, output: av.container.OutputContainer):
        """Adds a stream to the output, whose header must not be written yet.

        Raises:
            UserError: The file cannot be read.
        """
        self._sound, self._output, self._format = sound, output, output.format.name
        self._input = open_media(sound.path, current_limits())
        self._source = self._input.streams.audio[0]
        if self._source.codec_context.codec.canonical_name in _COPIED[self._format] and _is_held(sound, self._format):
            self._stream = output.add_stream_from_template(self._source)
            packets = self._copied()
        else:
            codec, sample_format, bit_rate = _ENCODERS[self._format]
            layout = "mono" if self._source.codec_context.layout.nb_channels == 1 else "stereo"
            self._stream = output.add_stream(
                codec, rate=_ENCODED_RATE, layout=layout, format=sample_format, bit_rate=bit_rate
            )
            packets = self._encoded()
        self._packets = iter(packets)
        self._waiting: av.Packet | None = None

    def advance(self, seconds: Fraction) -> None:
        """Writes what is heard before that time of the output."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            if self._waiting is None or self._waiting.pts * self._waiting.time_base >= seconds:
                return
            with contextlib.suppress(av.error.InvalidDataError):  # damaged; the gap is silent
                self._output.mux(self._waiting)
            self._waiting = None

    def close(self) -> None:
        """Closes the file that the sound comes from."""
        self._packets.close()
        self._input.close()

    def _copied(self) -> Iterator[av.Packet]:
        last = None
        for packet in self._read():
            packet.pts -= round(self._sound.start / packet.time_base)
            packet.dts = packet.pts
            if self._is_early(packet) or (last is not None and packet.pts <= last):  # a broken clock, which none takes
                continue
            last = packet.pts
            packet.stream = self._stream
            yield packet

    def _is_early(self, packet: av.Packet) -> bool:
        if self._format == "webm":
            return packet.pts * packet.time_base < _WEBM_EARLIEST_SECS
        # One more than is heard prepares the decoder, since packets overlap; an mp4's edit list leaves it out.
        return packet.pts + 2 * (packet.duration or 0) <= 0

    def _encoded(self) -> Iterator[av.Packet]:
        graph = None
        for packet in self._read():
            for frame in _decode(packet):
                frame.pts -= round(self._sound.start / frame.time_base)
                graph = graph or self._resampling(frame)
                graph.push(frame)
                yield from self._encode(graph)
        if graph is not None:
            graph.push(None)
            yield from self._encode(graph)
        yield from self._stream.encode(None)

    def _read(self) -> Iterator[av.Packet]:
        """Packets with a time, from a little before the start on."""
        if self._sound.start > _ENTERED_EARLY_SECS:
            self._input.seek(
                int((self._sound.start - _ENTERED_EARLY_SECS) / self._source.time_base), stream=self._source
            )
        packets = self._input.demux(self._source)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                logger.warning("%s: its sound breaks off (%s)", self._sound.path, error.strerror)
                return
            if packet.pts is not None and not packet.is_corrupt:
                yield packet

    def _resampling(self, frame: av.AudioFrame) -> av.filter.Graph:
        """Brings frames like that one to the encoder's format; gaps become silence, what lies before 0 is cut."""
        graph = av.filter.Graph()
        context = self._stream.codec_context
        links = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=frame.time_base,
            ),
            graph.add("atrim", "start=0"),
            graph.add("aresample", f"{_ENCODED_RATE}:async=1:first_pts=0"),
            graph.add("aformat", f"sample_fmts={context.format.name}:channel_layouts={context.layout.name}"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*links).configure()
        return graph

    def _encode(self, graph: av.filter.Graph) -> Iterator[av.Packet]:
        while True:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield from self._stream.encode(frame)


def _is_held(sound: Sound, file_format: str) -> bool:
    """Whether a file of that format takes the sound as it is, which a damaged header prevents; tried in memory."""
    try:
        with (
            open_media(sound.path, current_limits()) as source,
            av.open(io.BytesIO(), "w", format=file_format) as trial,
        ):
            stream = trial.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(source.streams.audio[0]):
                if packet.pts is not None and not packet.is_corrupt:
                    packet.pts = packet.dts = 0
                    packet.stream = stream
                    trial.mux(packet)
                    break
    except av.error.FFmpegError:
        return False
    return True


def _decode(packet: av.Packet) -> list[av.AudioFrame]:
    try:
        return [frame for frame in packet.decode() if frame.pts is not None]
    except av.error.FFmpegError:  # damaged; the gap becomes silence
        return []
