import io
import struct
import zlib

import numpy as np
import pytest
from corpora import frame, write_frames, write_mp4, write_strip
from PIL import Image

from motion_transformer_jax.data.corpus import Clip
from motion_transformer_jax.data.frame_records import FrameFormat, clip_fps, decode_frame, encoded_frames
from motion_transformer_jax.errors import UserError


def read(clip, frame_format, warn=pytest.fail):
    return list(encoded_frames(clip, frame_format, warn))


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_files_of_the_right_size_keep_their_bytes(tmp_path, ending):
    write_frames(tmp_path / "v", 3, ending=ending)
    files = [path.read_bytes() for path in sorted((tmp_path / "v").iterdir())]
    assert read(Clip(tmp_path / "v"), FrameFormat(8)) == files
    chosen = Clip(tmp_path / "v", (f"00002{ending}", f"00000{ending}"))
    assert read(chosen, FrameFormat(8, encoding="jpeg")) == [files[2], files[0]]
    np.testing.assert_allclose(decode_frame(files[1], 8).astype(int), frame(3, 1), atol=3)
    assert [len(decode_frame(b, 4)) for b in read(Clip(tmp_path / "v"), FrameFormat(4))] == [4, 4, 4]


def write_deep_png(path, image):
    """uint16 [H, W, 3]; Pillow reads such files, but writes none."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


@pytest.mark.parametrize("change", ["grey", "alpha", "sideways", "bmp", "16 bits", "other size"])
def test_files_that_are_not_plain_are_encoded_anew(tmp_path, change):
    write_frames(tmp_path / "v", 1, num_frames=2)
    file = tmp_path / "v" / "00001.png"
    image, options = Image.open(file), {}
    if change == "grey":
        image = image.convert("L")
    elif change == "alpha":
        image.putalpha(0)
    elif change == "sideways":
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    elif change == "other size":
        image = image.resize((16, 16))
    if change == "bmp":
        file.unlink()
        file = file.with_suffix(".bmp")
    image.save(file, **options)
    if change == "16 bits":
        write_deep_png(file, np.asarray(image, np.uint16) * 257)
    second = read(Clip(tmp_path / "v"), FrameFormat(8))[1]
    assert second != file.read_bytes()
    assert Image.open(io.BytesIO(second)).format == "PNG"
    assert decode_frame(second, 8).shape == (8, 8, 3)
    if change == "alpha":
        assert (decode_frame(second, 8) == 255).all()


def test_videos_are_encoded_as_asked(tmp_path):
    write_mp4(tmp_path / "v.mp4")
    png, jpeg = (read(Clip(tmp_path / "v.mp4"), FrameFormat(16, encoding=encoding)) for encoding in ("png", "jpeg"))
    assert [Image.open(io.BytesIO(frames[0])).format for frames in (png, jpeg)] == ["PNG", "JPEG"]
    assert len(png) == len(jpeg) == 4
    np.testing.assert_allclose(decode_frame(png[2], 16).astype(int), decode_frame(jpeg[2], 16), atol=3)
    assert clip_fps(Clip(tmp_path / "v.mp4")) == pytest.approx(10)
    assert clip_fps(Clip(tmp_path)) == 25


def test_crops(tmp_path):
    (tmp_path / "v").mkdir()
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 12:] = 200
    for name in ("0.png", "1.png"):
        Image.fromarray(wide).save(tmp_path / "v" / name)

    def first(crop):
        return decode_frame(read(Clip(tmp_path / "v"), FrameFormat(4, crop))[0], 4)[..., 0]

    assert (first("center") < 20).all()
    assert (first("stretch")[:, -1] > 150).all() and (first("stretch")[:, 0] < 20).all()
    assert (first((4, 4, 12, 0)) == 200).all()
    with pytest.raises(UserError, match="the crop 8:8:9:0 is not inside its frames"):
        first((8, 8, 9, 0))


def test_broken_frames_are_left_out_and_told(tmp_path):
    write_frames(tmp_path / "v", 1, num_frames=4)
    for name in ("00001.png", "00002.png"):
        (tmp_path / "v" / name).write_bytes(b"no image")
    told = []
    frames = read(Clip(tmp_path / "v"), FrameFormat(8), told.append)
    assert [decode_frame(f, 8)[0, 0, 1] for f in frames] == [0, 30]
    assert len(told) == 1 and "2 broken frames skipped" in told[0]
    with pytest.raises(UserError, match=r"00009\.png"):
        read(Clip(tmp_path / "v", ("00009.png",)), FrameFormat(8))


def test_lists_number_the_frames_of_files(tmp_path):
    write_strip(tmp_path / "s.png", 2, num_frames=5)
    frames = read(Clip(tmp_path / "s.png", ("00004.png", "00001.png")), FrameFormat(8))
    assert [decode_frame(f, 8)[0, 0, 1] for f in frames] == [10, 40]
    with pytest.raises(UserError, match=r"s\.png is one file, of which a list names frames such as first\.png"):
        read(Clip(tmp_path / "s.png", ("first.png",)), FrameFormat(8))


def test_strips_are_cut(tmp_path):
    write_strip(tmp_path / "s.png", 2, num_frames=5)
    frames = read(Clip(tmp_path / "s.png"), FrameFormat(8))
    np.testing.assert_array_equal([decode_frame(f, 8) for f in frames], [frame(2, t) for t in range(5)])
