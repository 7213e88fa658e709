import gc
import itertools
import logging
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax.data.container import VideoContainer
from motion_transformer_jax.data.limits import MediaLimits, applied
from motion_transformer_jax.data.video import at_constant_rate, list_videos, probe_video, read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError

CODECS = {"mp4": "libx264", "mov": "libx264", "webm": "libvpx-vp9", "mkv": "libx264", "avi": "mjpeg"}


def flat_frames(count, height=32, width=48):
    """Frame i is grey of level 10 i, so that a frame that was read tells which one it is."""
    return [np.full((height, width, 3), 10 * index, np.uint8) for index in range(count)]


def noise_frames(count, side=64):
    """Frames that do not compress, so that a byte's place in a file tells its frame."""
    return list(np.random.default_rng(0).integers(0, 255, (count, side, side, 3), np.uint8))


def indices(frames):
    return [round(frame.mean() / 10) for frame in frames]


def encode(path, frames, *, times=None, rate=25, codec=None, rotate=None, aspect=None, options=None, time_base=None):
    """Writes a test video with PyAV; `times` are the frames' presentation times in ticks of `time_base`."""
    with av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix in (".mp4", ".mov") else {}) as file:
        stream = file.add_stream(codec or CODECS[path.suffix[1:]], rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if stream.codec_context.name == "mjpeg" else "yuv420p"
        if rotate is not None:
            stream.set_display_rotation(*rotate)
        if aspect is not None:
            stream.sample_aspect_ratio = Fraction(aspect)
        ticks = time_base or 1 / Fraction(rate)
        stream.codec_context.time_base = ticks
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index if times is None else times[index], ticks
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


def write_folder(folder, frames, name="frame_{}.png"):
    folder.mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(index))
    return folder


def truncate(path, fraction):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    return path


def one_warning(caplog):
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    return caplog.records[0].getMessage()


@pytest.mark.parametrize("suffix", CODECS)
def test_containers(tmp_path, suffix, caplog):
    path = encode(tmp_path / f"a.{suffix}", flat_frames(10), rate=Fraction(30000, 1001))
    info = probe_video(path)
    assert (info.path, info.width, info.height, info.num_frames) == (path, 48, 32, 10)
    assert abs(info.fps - 30000 / 1001) < 1e-3
    frames = list(read_frames(path))
    assert indices(frames) == list(range(10))
    assert {(frame.dtype, frame.shape) for frame in frames} == {(np.dtype(np.uint8), (32, 48, 3))}
    assert not caplog.records


def test_non_ascii_and_colon_names(tmp_path):
    for name in ("ролик é.mp4", "a:b.mp4", "100%d.mp4"):
        assert indices(read_frames(encode(tmp_path / name, flat_frames(3)))) == [0, 1, 2]


def test_suffix_does_not_matter_to_the_content(tmp_path):
    path = encode(tmp_path / "a.mp4", flat_frames(3)).rename(tmp_path / "clip.dat")
    assert indices(read_frames(path)) == [0, 1, 2]


def test_chroma_is_interpolated(tmp_path):
    """A colour ramp comes back smooth: FFmpeg's default would repeat each chroma sample."""
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    frame = np.stack(np.broadcast_arrays(ramp, 255 - ramp, 128), -1).astype(np.uint8)[None].repeat(64, 0)
    got = next(read_frames(encode(tmp_path / "a.mp4", [frame], options={"crf": "1"})))
    assert np.abs(got.astype(int) - frame)[:, 4:-4].max() <= 4


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [False, True])
def test_display_matrix_is_applied(tmp_path, degrees, mirror):
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, :24, 0] = 255  # red upper left
    stored[16:, :24, 1] = 255  # green lower left
    path = encode(tmp_path / "a.mp4", [stored] * 3, rotate=(degrees, mirror), options={"crf": "1"})
    expected = np.rot90(stored, degrees // 90)
    expected = expected[:, ::-1] if mirror else expected
    info = probe_video(path)
    assert (info.height, info.width) == expected.shape[:2]
    frame = next(read_frames(path))
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 12


@pytest.mark.parametrize(
    ("suffix", "aspect", "rotate", "shape"),
    [
        *[(suffix, "2", None, (64, 64)) for suffix in ("mp4", "mkv", "avi")],
        ("mp4", "1/2", None, (128, 32)),
        ("mp4", "16/15", None, (64, 34)),
        ("mp4", "2", (90, False), (64, 64)),
        ("mp4", "1/2", (90, False), (32, 128)),
    ],
)
def test_oblong_pixels_become_square(tmp_path, suffix, aspect, rotate, shape):
    stored = np.zeros((64, 32, 3), np.uint8)
    stored[:32, :16] = 255
    path = encode(tmp_path / f"a.{suffix}", [stored] * 3, aspect=aspect, rotate=rotate)
    info = probe_video(path)
    frames = list(read_frames(path))
    assert (info.height, info.width) == shape and [frame.shape for frame in frames] == [(*shape, 3)] * 3
    expected = np.rot90(stored) if rotate else stored
    expected = np.asarray(Image.fromarray(expected).resize(shape[::-1]))
    assert np.abs(frames[1].astype(int) - expected).mean() < 5


@pytest.mark.parametrize("aspect", [None, "0", "1", "257/256", "1/9", "9", "8"])
def test_other_pixel_aspects_change_nothing(tmp_path, aspect):
    """Square, unknown, what scaling leaves, absurd, or over the limit of pixels."""
    path = encode(tmp_path / "a.mp4", noise_frames(3), aspect=aspect)
    plain = encode(tmp_path / "plain.mp4", noise_frames(3))
    with applied(MediaLimits(max_pixels=8 * 64 * 64 - 1)):
        np.testing.assert_array_equal(list(read_frames(path)), list(read_frames(plain)))
        assert (probe_video(path).width, probe_video(path).height) == (64, 64)


def test_pixel_aspect_of_a_gif_is_not_looked_at(tmp_path):
    write_video(tmp_path / "a.gif", flat_frames(3), fps=25)
    content = bytearray((tmp_path / "a.gif").read_bytes())
    content[12] = 113  # 2:1
    (tmp_path / "a.gif").write_bytes(content)
    assert (probe_video(tmp_path / "a.gif").width, probe_video(tmp_path / "a.gif").height) == (48, 32)


def test_variable_frame_rate_keeps_the_duration(tmp_path):
    # Ten frames a second, but frame 3 stays for a second: 10 frames in 1.9 seconds.
    times = [0, 100, 200, 300, *range(1300, 1900, 100)]
    path = encode(tmp_path / "a.mp4", flat_frames(10), times=times, rate=10, time_base=Fraction(1, 1000))
    fps = probe_video(path).fps
    assert abs(len(list(read_frames(path))) - 1.9 * fps) <= 1
    got = indices(read_frames(path, fps=10))
    assert got == [0, 1, 2, *[3] * 5, *[4] * 6, 5, 6, 7, 8, 9]


def test_resampling_to_another_rate(tmp_path):
    path = encode(tmp_path / "a.mp4", flat_frames(20), rate=20)
    assert indices(read_frames(path, fps=10)) == list(range(0, 20, 2))
    assert indices(read_frames(path, fps=40))[1:6] == [1, 1, 2, 2, 3]
    assert len(list(read_frames(path, fps=40))) == 40


def test_constant_rate_takes_the_nearest_frame():
    def timed(*times):
        return [(Fraction(time), Fraction(1, 10), index) for index, time in enumerate(times)]

    assert list(at_constant_rate(timed(0, 0.1, 0.2), Fraction(10))) == [0, 1, 2]
    assert list(at_constant_rate(timed(0, 0.11, 0.19, 0.31), Fraction(10))) == [0, 1, 2, 3]
    assert list(at_constant_rate(timed(0, Fraction(4, 10)), Fraction(10))) == [0, 0, 1, 1, 1]
    assert list(at_constant_rate(timed(0), Fraction(1, 100))) == [0]
    assert list(at_constant_rate([], Fraction(10))) == []


def test_broken_clock_does_not_flood(tmp_path):
    """A jump of a day, from damaged timestamps, is taken as the next frame."""
    times = [0, 1, 2, 25 * 86400, 25 * 86400 + 1]
    path = encode(tmp_path / "a.mkv", flat_frames(5), times=times)
    assert len(list(read_frames(path, fps=25))) == 5


def test_gif_with_transparency(tmp_path):
    pictures = []
    for index in range(3):
        picture = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
        picture.paste((255, 0, 0, 255), (4 * index, 0, 4 * index + 4, 16))
        pictures.append(picture)
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=50, disposal=2)
    frames = list(read_frames(tmp_path / "a.gif"))
    assert len(frames) == 3
    assert probe_video(tmp_path / "a.gif").fps == 20
    for index, frame in enumerate(frames):
        expected = np.full((16, 16, 3), 255)
        expected[:, 4 * index : 4 * index + 4] = (255, 0, 0)
        np.testing.assert_array_equal(frame, expected)


def test_video_with_alpha_goes_over_white(tmp_path):
    with av.open(str(tmp_path / "a.mov"), "w") as file:
        stream = file.add_stream("png", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "rgba"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 4), np.uint8), format="rgba")))
        file.mux(stream.encode())
    assert (next(read_frames(tmp_path / "a.mov")) == 255).all()


def test_greyscale_video(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "gray"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((16, 16), 99, np.uint8), format="gray")))
        file.mux(stream.encode())
    assert np.abs(next(read_frames(tmp_path / "a.mkv")).astype(int) - 99).max() <= 1


def test_folder_of_frames_in_natural_order(tmp_path):
    folder = write_folder(tmp_path / "clip", flat_frames(12))
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not a frame")
    assert indices(read_frames(folder)) == list(range(12))
    info = probe_video(folder)
    assert (info.fps, info.width, info.height, info.num_frames) == (25, 48, 32, 12)


def test_frames_of_another_size_are_brought_to_the_first(tmp_path):
    folder = write_folder(tmp_path / "clip", [*flat_frames(2), *flat_frames(1, 50, 50)])
    assert {frame.shape for frame in read_frames(folder)} == {(32, 48, 3)}


def test_film_strip(tmp_path):
    strip = np.concatenate(flat_frames(7, 32, 32), axis=1)
    Image.fromarray(strip).save(tmp_path / "a.png")
    assert indices(read_frames(tmp_path / "a.png")) == list(range(7))
    info = probe_video(tmp_path / "a.png")
    assert (info.fps, info.width, info.height, info.num_frames) == (25, 32, 32, 7)


def test_image_that_is_no_strip_is_one_frame(tmp_path):
    Image.fromarray(flat_frames(1)[0]).save(tmp_path / "a.png")
    assert [frame.shape for frame in read_frames(tmp_path / "a.png")] == [(32, 48, 3)]


def test_size_crops_the_centre(tmp_path):
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:, 16:48] = 200
    path = encode(tmp_path / "a.mp4", [frame] * 2, options={"crf": "1"})
    for got in read_frames(path, size=(16, 16)):
        assert got.shape == (16, 16, 3)
        assert got[:, 1:-1].min() > 180


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
def test_very_short_videos(tmp_path, suffix, count, caplog):
    write_video(tmp_path / f"a.{suffix}", flat_frames(count), fps=25)
    assert len(list(read_frames(tmp_path / f"a.{suffix}"))) == count
    assert not caplog.records


def test_frames_are_drawn_lazily(tmp_path, monkeypatch):
    """The first frame is there before the second image of the folder is opened."""
    opened = []
    monkeypatch.setattr(
        "motion_transformer_jax.data.video.read_image", lambda path: opened.append(path) or np.zeros((8, 8, 3))
    )
    folder = write_folder(tmp_path / "clip", flat_frames(9))
    frames = read_frames(folder)
    assert not opened
    next(frames)
    assert len(opened) <= 2


def test_reading_a_long_video_holds_few_frames(tmp_path):
    path = encode(tmp_path / "a.mp4", flat_frames(20, 128, 128) * 10)
    tracemalloc.start()
    for _ in read_frames(path):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 128 * 128 * 3


@pytest.mark.parametrize("suffix", ["mp4", "webm", "avi"])
def test_truncated_file_gives_its_readable_part(tmp_path, suffix, caplog):
    path = truncate(encode(tmp_path / f"a.{suffix}", noise_frames(20)), 0.6)
    frames = list(read_frames(path))
    assert 4 <= len(frames) <= 12
    assert "a." + suffix in one_warning(caplog)
    assert "ends early" in caplog.text


def test_truncated_gif(tmp_path, caplog):
    write_video(tmp_path / "a.gif", noise_frames(20, 32), fps=25)
    assert 8 <= len(list(read_frames(truncate(tmp_path / "a.gif", 0.6)))) <= 13
    assert "ends early" in one_warning(caplog)


def test_truncated_before_the_first_frame(tmp_path):
    path = encode(tmp_path / "a.mp4", noise_frames(5))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 20])
    with pytest.raises(UserError, match="no readable frame"):
        list(read_frames(path))
    with pytest.raises(UserError, match="no readable frame"):
        probe_video(path)


def test_broken_frame_in_the_middle_is_skipped(tmp_path, caplog):
    path = encode(tmp_path / "a.avi", flat_frames(9), codec="mjpeg")
    content = bytearray(path.read_bytes())
    starts = [i for i in range(len(content)) if content[i : i + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 9
    content[starts[4] : starts[5] - 16] = bytes(starts[5] - 16 - starts[4])
    path.write_bytes(content)
    got = indices(read_frames(path))
    assert got in ([0, 1, 2, 3, 3, 5, 6, 7, 8], [0, 1, 2, 3, 5, 5, 6, 7, 8])  # a neighbour in its place
    assert "1 broken frame skipped" in one_warning(caplog)


def test_broken_h264_packets_in_the_middle(tmp_path, caplog):
    path = encode(tmp_path / "a.mp4", noise_frames(12), options={"g": "1"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 9000] = b"\xff" * 9000
    path.write_bytes(content)
    assert len(list(read_frames(path))) == 12
    assert "broken frame" in one_warning(caplog)


def test_broken_image_in_a_folder_is_skipped(tmp_path, caplog):
    folder = write_folder(tmp_path / "clip", flat_frames(6))
    (folder / "frame_2.png").write_bytes(b"no image")
    truncate(folder / "frame_4.png", 0.5)
    assert indices(read_frames(folder)) == [0, 1, 3, 5]
    assert "2 broken frames skipped" in one_warning(caplog)


def test_no_warning_without_reading_to_the_end(tmp_path, caplog):
    path = truncate(encode(tmp_path / "a.mp4", noise_frames(20)), 0.6)
    assert len(list(itertools.islice(read_frames(path), 2))) == 2
    assert not caplog.records


def test_nothing_is_printed_by_ffmpeg(tmp_path, capfd):
    list(read_frames(truncate(encode(tmp_path / "a.mp4", noise_frames(20)), 0.6)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.txt", "a.m3u8", "a.png"])
@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n/etc/passwd\n" * 20])
def test_not_a_video(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    for read in (probe_video, lambda path: list(read_frames(path))):
        with pytest.raises(UserError, match=r"expected .*(mp4|png)") as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)


def test_an_unknown_codec(tmp_path):
    path = encode(tmp_path / "a.mp4", flat_frames(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(UserError, match="has a picture that is coded in no known way; convert it to mp4 or webm"):
        probe_video(path)


def test_tags_in_another_encoding(tmp_path):
    path = encode(tmp_path / "a.mkv", flat_frames(3))
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"DURATI\xd6N").replace(b"Lavc", b"L\xe4vc"))
    assert indices(read_frames(path)) == [0, 1, 2]


def test_duration_tag_that_is_none(tmp_path, caplog):
    path = encode(tmp_path / "a.webm", flat_frames(3))
    content = path.read_bytes()
    assert b"00:00:00.1" in content
    path.write_bytes(content.replace(b"00:00:00.1", b"x0:0:!0..1"))
    assert indices(read_frames(path)) == [0, 1, 2]
    assert not caplog.records


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16000, 0
        file.mux(stream.encode(sound))
        file.mux(stream.encode())
    with pytest.raises(UserError, match="no picture"):
        probe_video(tmp_path / "a.mp4")


def test_missing_file_is_reported_at_once(tmp_path):
    with pytest.raises(UserError, match="there is no file or folder"):
        read_frames(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="there is no file or folder"):
        probe_video(tmp_path / "a.mp4")


def test_empty_folder(tmp_path):
    (tmp_path / "notes.txt").touch()
    for read in (probe_video, lambda path: list(read_frames(path))):
        with pytest.raises(UserError, match=r"holds no image; expected frames of a video: .*\.jpg, .*\.webp"):
            read(tmp_path)


def test_impossible_arguments(tmp_path):
    with pytest.raises(ValueError, match="size"):
        read_frames(tmp_path, size=(0, 4))
    with pytest.raises(ValueError, match="fps"):
        read_frames(tmp_path, fps=0)


def test_list_videos(tmp_path):
    for name in ("clip_10.mp4", "clip_2.GIF", "clip_1.webm", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).touch()
    Image.new("RGB", (64, 16)).save(tmp_path / "strip.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "portrait.png")
    shades = [Image.new("RGB", (16, 16), shade) for shade in ("red", "blue")]
    shades[0].save(tmp_path / "shades.webp", save_all=True, append_images=shades[1:])
    (tmp_path / "broken.png").touch()
    write_folder(tmp_path / "clip_3", flat_frames(2))
    (tmp_path / "empty").mkdir()
    names = [path.name for path in list_videos(tmp_path)]
    clips = ["clip_1.webm", "clip_2.GIF", "clip_3", "clip_10.mp4"]
    assert names == ["broken.png", *clips, "empty", "shades.webp", "strip.png"]
    with pytest.raises(UserError, match="no folder"):
        list_videos(tmp_path / "none")


@pytest.mark.parametrize("suffix", ["mp4", "webm", "mkv", "avi", "gif", "folder"])
@pytest.mark.parametrize(("start", "end"), [(0, 0.2), (0.44, 0.8), (3.0, 3.2), (3.96, None), (3.88, 60), (0.44, 0.45)])
def test_a_part_is_what_it_is_in_the_whole(tmp_path, suffix, start, end):
    """Also where the file is entered in its middle: the first key frame but one is at 2.4 seconds."""
    frames = [np.full((16, 16, 3), 2 * index + 20, np.uint8) for index in range(100)]
    if suffix == "folder":
        path = write_folder(tmp_path / "a", frames)
    elif suffix == "gif":
        path = tmp_path / "a.gif"
        write_video(path, frames, fps=25)
    else:
        path = encode(tmp_path / f"a.{suffix}", frames, options={"g": "30"})
    whole = list(read_frames(path))
    first, last = round(start * 25), 100 if end is None else min(100, max(round(start * 25) + 1, round(end * 25)))
    np.testing.assert_array_equal(list(read_frames(path, start=start, end=end)), whole[first:last])


def test_a_part_at_another_rate(tmp_path):
    path = encode(tmp_path / "a.mp4", flat_frames(24), options={"g": "5"}, rate=8)
    assert indices(read_frames(path, fps=4, start=2.25, end=2.75)) == [18, 20]
    assert indices(read_frames(path, fps=16, start=2.25, end=2.5)) == indices(read_frames(path, fps=16))[36:40]


def test_a_part_of_a_video_whose_clock_starts_late(tmp_path):
    path = encode(tmp_path / "a.mkv", flat_frames(20), times=range(100, 120), rate=5)
    assert probe_video(path).origin == 20
    assert indices(read_frames(path, start=3, end=3.4)) == [15, 16]


def test_a_start_behind_the_end(tmp_path):
    path = encode(tmp_path / "a.mp4", flat_frames(20))
    for start in (0.8, 3, 1000):
        with pytest.raises(UserError, match=f"ends before {start:g} seconds; choose an earlier start"):
            list(read_frames(path, start=start))
    with pytest.raises(ValueError, match="end must be after it"):
        read_frames(path, start=1, end=1)


def test_a_part_is_not_called_truncated(tmp_path, caplog):
    path = encode(tmp_path / "a.mp4", noise_frames(60))
    list(read_frames(path, end=0.5))
    list(read_frames(path, start=2.1))
    assert not caplog.records


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_what_lies_before_a_part_is_not_decoded(tmp_path, monkeypatch, suffix):
    path = encode(tmp_path / f"a.{suffix}", flat_frames(20) * 10, options={"g": "25"})
    convert, converted = VideoContainer._to_rgb, []
    monkeypatch.setattr(VideoContainer, "_to_rgb", lambda self, frame: converted.append(1) or convert(self, frame))
    assert len(list(read_frames(path, start=7, end=7.2))) == 5
    assert len(converted) < 70


def test_frames_are_freed_without_the_garbage_collector(tmp_path):
    path = encode(tmp_path / "a.mp4", flat_frames(25) * 4)
    gc.collect()
    gc.disable()
    try:
        for _ in read_frames(path):
            pass
        assert gc.collect() < 50
    finally:
        gc.enable()
