import os

import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax.data.frame_folder import write_frame_folder
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_image
from motion_transformer_jax.errors import UserError

FRAMES = np.random.default_rng(0).integers(0, 256, (12, 9, 7, 3), np.uint8)


def test_round_trip(tmp_path):
    write_frame_folder(tmp_path / "a", FRAMES, comment="drawn by a test")
    assert sorted(os.listdir(tmp_path / "a")) == [f"0000{index:02d}.png" for index in range(12)]
    np.testing.assert_array_equal(list(read_frames(tmp_path / "a")), FRAMES)
    with Image.open(tmp_path / "a" / "000011.png") as image:
        assert image.text == {"Comment": "drawn by a test"}


def test_own_frames_are_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    write_frame_folder(tmp_path / "a", FRAMES, comment="ours", own="ours")
    write_frame_folder(tmp_path / "a", FRAMES[:2], own="ours")
    assert sorted(os.listdir(tmp_path / "a")) == ["000000.png", "000001.png"]


@pytest.mark.parametrize("foreign", ["another comment", "no comment", "no picture"])
def test_other_frames_are_replaced_only_when_told(tmp_path, foreign):
    write_frame_folder(tmp_path / "a", FRAMES[:3], comment="ours")
    frame = tmp_path / "a" / "000001.png"
    if foreign == "no picture":
        frame.write_text("mine")
    else:
        write_image(frame, FRAMES[4], comment="theirs" if foreign == "another comment" else "")
    before = frame.read_bytes()
    with pytest.raises(UserError, match=r"that its 000001\.png is an earlier result; pass --overwrite"):
        write_frame_folder(tmp_path / "a", iter(()), own="ours")
    assert len(os.listdir(tmp_path / "a")) == 3 and frame.read_bytes() == before
    write_frame_folder(tmp_path / "a", FRAMES[:1], own="ours", overwrite=True)
    assert os.listdir(tmp_path / "a") == ["000000.png"]


def test_no_comment_is_nobodys(tmp_path):
    write_frame_folder(tmp_path / "a", FRAMES)
    with pytest.raises(UserError, match="pass --overwrite"):
        write_frame_folder(tmp_path / "a", FRAMES)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "1.png", ".hidden", "000000.png.bak", "000099.png/x"])
def test_a_folder_of_anything_else_is_not_replaced(tmp_path, name, overwrite):
    write_frame_folder(tmp_path / "a", FRAMES, comment="ours")
    (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "a" / name).write_text("mine")
    with pytest.raises(UserError, match=f"it holds {name.removesuffix('/x')}; choose a new folder"):
        write_frame_folder(tmp_path / "a", iter(()), own="ours", overwrite=overwrite)
    assert len(os.listdir(tmp_path / "a")) == 13


def test_nothing_is_left_when_the_frames_fail(tmp_path):
    def frames():
        yield FRAMES[0]
        raise RuntimeError("midway")

    write_frame_folder(tmp_path / "old", FRAMES)
    for name in ("new", "old"):
        with pytest.raises(RuntimeError, match="midway"):
            write_frame_folder(tmp_path / name, frames(), overwrite=True)
    assert os.listdir(tmp_path) == ["old"] and len(os.listdir(tmp_path / "old")) == 12


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match="no frames to write"):
        write_frame_folder(tmp_path / "a", [])
    with pytest.raises(UserError, match="there is no folder"):
        write_frame_folder(tmp_path / "no" / "a", FRAMES)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="it is a file"):
        write_frame_folder(tmp_path / "file", FRAMES)
