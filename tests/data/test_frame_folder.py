import os

import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax.data.frame_folder import write_frame_folder
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.errors import UserError

FRAMES = np.random.default_rng(0).integers(0, 256, (12, 9, 7, 3), np.uint8)


def test_round_trip(tmp_path):
    write_frame_folder(tmp_path / "a", FRAMES, comment="drawn by a test")
    assert sorted(os.listdir(tmp_path / "a")) == [f"0000{index:02d}.png" for index in range(12)]
    np.testing.assert_array_equal(list(read_frames(tmp_path / "a")), FRAMES)
    with Image.open(tmp_path / "a" / "000011.png") as image:
        assert image.text == {"Comment": "drawn by a test"}


def test_a_folder_of_frames_is_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    write_frame_folder(tmp_path / "a", FRAMES)
    write_frame_folder(tmp_path / "a", FRAMES[:2])
    assert sorted(os.listdir(tmp_path / "a")) == ["000000.png", "000001.png"]


@pytest.mark.parametrize("name", ["notes.txt", "1.png", ".hidden", "000000.png.bak"])
def test_a_folder_of_anything_else_is_not(tmp_path, name):
    write_frame_folder(tmp_path / "a", FRAMES)
    (tmp_path / "a" / name).write_text("mine")
    with pytest.raises(UserError, match=f"it holds {name}; choose a new folder"):
        write_frame_folder(tmp_path / "a", iter(()))
    assert len(os.listdir(tmp_path / "a")) == 13


def test_nothing_is_left_when_the_frames_fail(tmp_path):
    def frames():
        yield FRAMES[0]
        raise RuntimeError("midway")

    write_frame_folder(tmp_path / "old", FRAMES)
    for name in ("new", "old"):
        with pytest.raises(RuntimeError, match="midway"):
            write_frame_folder(tmp_path / name, frames())
    assert os.listdir(tmp_path) == ["old"] and len(os.listdir(tmp_path / "old")) == 12


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match="no frames to write"):
        write_frame_folder(tmp_path / "a", [])
    with pytest.raises(UserError, match="there is no folder"):
        write_frame_folder(tmp_path / "no" / "a", FRAMES)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="it is a file"):
        write_frame_folder(tmp_path / "file", FRAMES)
