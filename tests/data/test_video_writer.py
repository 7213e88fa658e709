import os

import av
import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.data.video_encoders import Encoder
from motion_transformer_jax.data.video_writer import atomic_path, write_image, write_video
from motion_transformer_jax.errors import UserError

SUFFIXES = (".mp4", ".webm", ".gif")


def smooth_frames(count, height=48, width=64):
    """Soft colours that drift."""
    y, x = np.mgrid[:height, :width]
    for index in range(count):
        channels = np.sin(x / 9 + index / 5), np.cos(y / 7), np.sin((x + y) / 15 + index / 3)
        yield (127 + 60 * np.stack(channels, -1)).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize(("suffix", "decibel"), [(".mp4", 35), (".webm", 37), (".gif", 29)])
def test_round_trip(tmp_path, suffix, decibel):
    path = tmp_path / f"a{suffix}"
    write_video(path, smooth_frames(12), fps=25)
    read = list(read_frames(path))
    assert len(read) == 12
    for got, expected in zip(read, smooth_frames(12), strict=True):
        assert psnr(got, expected) > decibel
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("fps", [25, 30000 / 1001, 23.976, 12.5, 60, 0.3])
def test_frame_rate_is_kept(tmp_path, suffix, fps):
    path = tmp_path / f"a{suffix}"
    write_video(path, smooth_frames(9), fps=fps)
    info = probe_video(path)
    assert abs(info.fps - fps) < 1e-3
    assert info.num_frames == 9
    assert sum(1 for _ in read_frames(path)) == 9


def test_gif_delays_do_not_drift(tmp_path):
    write_video(tmp_path / "a.gif", smooth_frames(31, 8, 8), fps=30)
    with av.open(str(tmp_path / "a.gif")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(31) / 30, atol=0.0051)


def test_gif_faster_than_viewers_show_keeps_its_duration(tmp_path):
    write_video(tmp_path / "a.gif", smooth_frames(60, 8, 8), fps=100)
    info = probe_video(tmp_path / "a.gif")
    assert (info.fps, info.num_frames) == (50, 30)


def test_gif_frames_have_palettes_of_their_own(tmp_path):
    """Two frames that share no colour; one palette of 256 could not serve both."""
    ramp = np.linspace(0, 255, 16).astype(np.uint8)
    red, green = np.meshgrid(ramp, ramp)
    first = np.stack([red, green, 0 * red], -1)
    second = np.stack([red, 0 * red + 255, green], -1)
    write_video(tmp_path / "a.gif", [first, second], fps=10)
    for got, expected in zip(read_frames(tmp_path / "a.gif"), [first, second], strict=True):
        assert psnr(got, expected) > 35


def test_h264_is_what_every_player_plays(tmp_path):
    write_video(tmp_path / "a.mp4", smooth_frames(3), fps=25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.codec_context.colorspace == 5  # BT.601, the matrix that the frames were converted with
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts to play before it is loaded whole


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(("height", "width"), [(33, 47), (33, 46), (1, 1)])
def test_odd_sizes_are_padded_by_repeating_the_edge(tmp_path, suffix, height, width):
    frames = list(smooth_frames(3, height, width))
    write_video(tmp_path / f"a{suffix}", frames, fps=25)
    for got, expected in zip(read_frames(tmp_path / f"a{suffix}"), frames, strict=True):
        assert got.shape == (height + height % 2, width + width % 2, 3)
        assert psnr(got, np.pad(expected, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")) > 30


def test_odd_gif_keeps_its_size(tmp_path):
    write_video(tmp_path / "a.gif", smooth_frames(2, 33, 47), fps=25)
    assert next(read_frames(tmp_path / "a.gif")).shape == (33, 47, 3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_frame(tmp_path, suffix):
    write_video(tmp_path / f"a{suffix}", smooth_frames(1), fps=25)
    assert len(list(read_frames(tmp_path / f"a{suffix}"))) == 1


@pytest.mark.parametrize("name", ["видео.mp4", "a:b.mp4", "a%03d b.MP4"])
def test_odd_names(tmp_path, name):
    write_video(tmp_path / name, smooth_frames(2), fps=25)
    assert len(list(read_frames(tmp_path / name))) == 2


def test_frames_may_all_be_drawn_into_one_array(tmp_path):
    """Each is encoded while the next is drawn."""
    frames = list(smooth_frames(90))
    canvas = np.empty_like(frames[0])

    def drawn():
        for frame in frames:
            canvas[:] = frame
            yield canvas

    write_video(tmp_path / "one.mp4", drawn(), fps=25, lossless=True)
    np.testing.assert_array_equal(list(read_frames(tmp_path / "one.mp4")), frames)


def test_an_encoders_failure_is_the_calls_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(encoder, frame):
        raise UserError("the disk is full")

    monkeypatch.setattr(Encoder, "add", fail)
    with pytest.raises(UserError, match="the disk is full"):
        write_video(tmp_path / "video.mp4", smooth_frames(3), fps=25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_encoded_as_they_come(tmp_path, suffix):
    alive, most = set(), 0

    class Frame(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def frames():
        nonlocal most
        for frame in smooth_frames(40, 16, 16):
            frame = frame.view(Frame)
            alive.add(id(frame))
            most = max(most, len(alive))
            yield frame
            del frame

    write_video(tmp_path / f"a{suffix}", frames(), fps=25)
    assert most <= 4


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
def test_nothing_is_left_when_the_frames_fail(tmp_path, suffix, error):
    def frames():
        yield from smooth_frames(3)
        raise error("midway")

    with pytest.raises(error, match="midway"):
        write_video(tmp_path / f"a{suffix}", frames(), fps=25)
    assert not os.listdir(tmp_path)


def test_a_failure_keeps_the_file_that_was_there(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(ValueError, match="of one size"):
        write_video(tmp_path / "a.mp4", [*smooth_frames(2), *smooth_frames(1, 10, 10)], fps=25)
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    write_video(tmp_path / "a.mp4", smooth_frames(2), fps=25)
    assert len(list(read_frames(tmp_path / "a.mp4"))) == 2


def test_umask_decides_the_permissions(tmp_path):
    write_video(tmp_path / "a.mp4", smooth_frames(1), fps=25)
    (tmp_path / "b").touch()
    assert (tmp_path / "a.mp4").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_frames(tmp_path, suffix):
    with pytest.raises(UserError, match="no frames to write"):
        write_video(tmp_path / f"a{suffix}", [], fps=25)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["a.mkv", "a", "a.png"])
def test_unknown_ending(tmp_path, name):
    with pytest.raises(UserError, match=r"\.mp4, \.webm or \.gif"):
        write_video(tmp_path / name, smooth_frames(1), fps=25)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e-9])
def test_impossible_frame_rate(tmp_path, fps):
    with pytest.raises(UserError, match="frames per second"):
        write_video(tmp_path / "a.mp4", smooth_frames(1), fps=fps)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        write_video(tmp_path / "no" / "a.mp4", smooth_frames(1), fps=25)


def test_unwritable_folder():
    with pytest.raises(UserError, match="cannot write /proc/a"):
        write_video("/proc/a.mp4", smooth_frames(1), fps=25)


def test_folder_in_the_way(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(UserError, match="it is a folder"):
        write_video(tmp_path / "a.mp4", smooth_frames(1), fps=25)


def test_name_too_long_for_the_file_system(tmp_path):
    with pytest.raises(UserError, match="too long"):
        write_video(tmp_path / f"{'a' * 300}.mp4", smooth_frames(1), fps=25)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "frame", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)]
)
def test_wrong_frames(tmp_path, frame):
    with pytest.raises(ValueError, match="expected uint8"):
        write_video(tmp_path / "a.mp4", [frame], fps=25)
    with pytest.raises(ValueError, match="expected uint8"):
        write_image(tmp_path / "a.png", frame)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_without_loss(tmp_path, suffix):
    frames = list(np.random.default_rng(0).integers(0, 256, (3, 34, 48, 3), np.uint8))
    write_video(tmp_path / f"a{suffix}", frames, fps=25, lossless=True)
    np.testing.assert_array_equal(list(read_frames(tmp_path / f"a{suffix}")), frames)


def test_a_gif_is_not_without_loss(tmp_path):
    with pytest.raises(UserError, match="a gif has 256 colours"):
        write_video(tmp_path / "a.gif", smooth_frames(1), fps=25, lossless=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_comments(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for comment in ("", "drawn by a test ✓", "long " * 100):
        write_video(path, smooth_frames(3), fps=25, comment=comment)
        assert comment_of(path) == comment
        assert len(list(read_frames(path))) == 3


def comment_of(path):
    if path.suffix == ".gif":
        with Image.open(path) as image:
            return image.info.get("comment", b"").decode()
    with av.open(str(path)) as container:
        metadata = {key.lower(): value for key, value in container.metadata.items()}
        return metadata.get("comment", "")


def test_comment_of_an_image(tmp_path):
    image = next(smooth_frames(1, 31, 17))
    write_image(tmp_path / "a.png", image, comment="drawn by a test")
    with Image.open(tmp_path / "a.png") as written:
        assert written.text == {"Comment": "drawn by a test"}
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


def test_image_round_trip_is_exact(tmp_path):
    image = next(smooth_frames(1, 31, 17))
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
    with pytest.raises(UserError, match=r"written as \.png"):
        write_image(tmp_path / "a.jpg", image)


def test_atomic_path_renames_only_after_success(tmp_path):
    with atomic_path(tmp_path / "a.json") as temporary:
        temporary.write_text("{}")
        assert not (tmp_path / "a.json").exists()
        assert temporary.suffix == ".json"
    assert (tmp_path / "a.json").read_text() == "{}"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(("width", "used"), [(64, 0), (192, 0), (256, 1), (768, 1)])
def test_the_macroblock_tree_is_used_where_it_repeats_itself(tmp_path, width, used):
    write_video(tmp_path / "a.mp4", np.zeros((2, 32, width, 3), np.uint8), fps=25)
    assert f" mbtree={used} ".encode() in (tmp_path / "a.mp4").read_bytes()
