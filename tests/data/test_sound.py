"""Sound that goes from one video to another: which codec, and when it is heard."""

from fractions import Fraction

import av
import numpy as np
import pytest
from sounding_clip import BEEPS, SECS, heard_beeps, sound_codec, write_sounding_clip

from motion_transformer_jax.data.sound import Sound, SoundTrack, has_sound
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video

FPS = 25
FRAME = 1 / FPS


def carry(clip, out, *, start=0.0, end=None, fps=FPS):
    sound = Sound(clip, probe_video(clip).origin + Fraction(start))
    write_video(out, read_frames(clip, start=start, end=end, fps=fps), fps=fps, sound=sound)
    return out


@pytest.mark.parametrize(
    ("clip", "out", "codec"),
    [
        ("a.mp4", "b.mp4", "aac"),
        ("a.webm", "b.webm", "opus"),
        ("a.webm", "b.mp4", "opus"),
        ("a.ts", "b.mp4", "aac"),
        ("a.mp4", "b.webm", "opus"),
        ("a.avi", "b.mp4", "aac"),
        ("a.mkv", "b.mp4", "aac"),
    ],
)
@pytest.mark.parametrize(("start", "end"), [(0.0, None), (1.0, 2.0)])
def test_sound_stays_with_the_frames(tmp_path, clip, out, codec, start, end):
    clip = write_sounding_clip(tmp_path / clip)
    out = carry(clip, tmp_path / out, start=start, end=end)
    assert sound_codec(out) == codec
    beeps, begins, ends = heard_beeps(out)
    end = end or SECS
    np.testing.assert_allclose(beeps, [beep - start for beep in BEEPS if start <= beep < end], atol=0.005)
    assert abs(begins) < FRAME and abs(ends - (end - start)) < 1.5 * FRAME


def test_a_sound_that_the_container_holds_is_copied(tmp_path):
    clip = write_sounding_clip(tmp_path / "a.mp4")
    out = carry(clip, tmp_path / "b.mp4", start=1.0)

    def packets(path):
        with av.open(str(path)) as file:
            return [bytes(packet) for packet in file.demux(audio=0) if packet.size]

    copied, original = packets(out), packets(clip)
    assert len(copied) > 50 and copied == original[-len(copied) :]


@pytest.mark.parametrize("fps", [10, 50])
def test_another_rate_of_frames_keeps_the_sound(tmp_path, fps):
    out = carry(write_sounding_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4", fps=fps)
    beeps, _, ends = heard_beeps(out)
    np.testing.assert_allclose(beeps, BEEPS, atol=0.005)
    assert abs(ends - SECS) < 1.5 * FRAME


@pytest.mark.parametrize("out", ["b.mp4", "b.webm"])
def test_a_gap_in_the_sound_stays(tmp_path, out):
    clip = write_sounding_clip(tmp_path / "a.mkv", gap=(0.6, 1.6))
    beeps, _, _ = heard_beeps(carry(clip, tmp_path / out))
    np.testing.assert_allclose(beeps, [BEEPS[0], BEEPS[2]], atol=0.01)


def test_frames_that_outlast_the_sound(tmp_path):
    clip = write_sounding_clip(tmp_path / "a.mp4")
    frames = list(read_frames(clip)) * 2
    write_video(tmp_path / "b.mp4", frames, fps=FPS, sound=Sound(clip, Fraction(0)))
    assert len(list(read_frames(tmp_path / "b.mp4"))) == len(frames)
    np.testing.assert_allclose(heard_beeps(tmp_path / "b.mp4")[0], BEEPS, atol=0.005)


def test_a_truncated_file_gives_the_sound_it_has(tmp_path):
    content = write_sounding_clip(tmp_path / "a.ts").read_bytes()
    (tmp_path / "part.ts").write_bytes(content[: len(content) * 2 // 3])
    beeps, _, _ = heard_beeps(carry(tmp_path / "part.ts", tmp_path / "b.mp4"))
    np.testing.assert_allclose(beeps, BEEPS[:2], atol=0.005)


def test_a_sound_whose_header_is_damaged_is_encoded_anew(tmp_path):
    """A muxer would find out at the end of the file."""
    content = write_sounding_clip(tmp_path / "a.webm").read_bytes()
    head = content.index(b"OpusHead") - 3  # after the element's name and length
    (tmp_path / "damaged.webm").write_bytes(content[:head] + b"\x4f\xff" + content[head + 2 :])  # an unknown name
    out = carry(tmp_path / "damaged.webm", tmp_path / "b.mp4")
    assert sound_codec(out) == "aac" and len(list(read_frames(out))) == SECS * FPS


def test_sound_is_read_as_frames_are_written(tmp_path, monkeypatch):
    """Not ahead of them, or memory would grow with the length."""
    clip = write_sounding_clip(tmp_path / "a.mp4")
    read, seen = SoundTrack._read, []

    def recorded(self):
        for packet in read(self):
            seen.append(packet.pts * packet.time_base)
            yield packet

    def frames():
        for index, frame in enumerate(read_frames(clip)):
            assert not seen or seen[-1] < (index + 1) / FPS
            yield frame

    monkeypatch.setattr(SoundTrack, "_read", recorded)
    write_video(tmp_path / "b.mp4", frames(), fps=FPS, sound=Sound(clip, Fraction(0)))
    assert seen[-1] > SECS - 2 * FRAME


def test_a_gif_has_no_sound(tmp_path):
    clip = write_sounding_clip(tmp_path / "a.mp4")
    assert sound_codec(carry(clip, tmp_path / "b.gif")) is None


def test_has_sound(tmp_path):
    clip = write_sounding_clip(tmp_path / "a.mp4")
    assert has_sound(clip)
    write_video(tmp_path / "b.mp4", read_frames(clip), fps=FPS)
    assert not has_sound(tmp_path / "b.mp4")
