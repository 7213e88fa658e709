"""A tiny video whose sound is a few beeps at known times, and where they are heard in another."""

from fractions import Fraction

import av
import numpy as np

BEEPS = (0.48, 1.2, 1.88)  # seconds from the first frame
BEEP_SECS = 0.1
SECS = 2.4
_CODECS = {
    "mp4": ("libx264", "aac", 44100),
    "webm": ("libvpx-vp9", "libopus", 48000),
    "avi": ("mpeg4", "pcm_s16le", 22050),
    "mkv": ("libx264", "ac3", 44100),
    "ts": ("libx264", "aac", 44100),
}


def write_sounding_clip(path, *, side=16, fps=25, gap=(0.0, 0.0)):
    """Writes frames of which each is brighter than the one before, with sine tones at BEEPS; no sound in the gap."""
    video_codec, sound_codec, rate = _CODECS[path.suffix[1:]]
    times = np.arange(round(SECS * rate)) / rate
    heard = np.any([(times >= beep) & (times < beep + BEEP_SECS) for beep in BEEPS], axis=0)
    wave = (16000 * heard * np.sin(2000 * np.pi * times)).astype(np.int16)
    with av.open(str(path), "w") as file:
        pictures = file.add_stream(video_codec, rate=fps, options={"g": "20"} if path.suffix != ".webm" else {})
        pictures.height, pictures.width, pictures.pix_fmt = side, side, "yuv420p"
        sound = file.add_stream(sound_codec, rate=rate, layout="mono")
        for index in range(round(SECS * fps)):
            picture = av.VideoFrame.from_ndarray(np.full((side, side, 3), 3 * index + 20, np.uint8), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, fps)
            file.mux(pictures.encode(picture))
            first, last = round(index * rate / fps), round((index + 1) * rate / fps)
            if not gap[0] <= index / fps < gap[1]:
                samples = av.AudioFrame.from_ndarray(wave[None, first:last], format="s16", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = rate, first, Fraction(1, rate)
                file.mux(sound.encode(samples))
        file.mux(pictures.encode())
        file.mux(sound.encode())
    return path


def sound_codec(path):
    """The canonical name of the sound's codec, None where there is no sound."""
    with av.open(str(path)) as file:
        return file.streams.audio[0].codec_context.codec.canonical_name if file.streams.audio else None


def heard_beeps(path):
    """Seconds from the first frame at which beeps begin, and at which the sound begins and ends."""
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        origin = frame.pts * frame.time_base
    times, loud = [], []
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            samples = frame.to_ndarray().astype(np.float64).reshape(frame.samples, -1)[:, 0]  # of mono
            samples /= 32768 if "s16" in frame.format.name else 1
            times.append(float(frame.pts * frame.time_base - origin) + np.arange(frame.samples) / frame.sample_rate)
            loud.append(np.abs(samples) > 0.05)
    times, loud = np.concatenate(times), np.concatenate(loud)
    at = times[loud]
    return at[np.diff(at, prepend=-1) > BEEP_SECS / 2], times[0], times[-1]
