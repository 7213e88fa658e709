"""What an output's name means, and what is written then."""

import os
import sys

import av
import numpy as np
import pytest
from PIL import Image

from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.outputs import (
    LABEL,
    check_replaceable,
    find_sources,
    is_frame_folder,
    is_still,
    made_folder,
    name_results,
    write_result,
)

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


def test_names(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert is_frame_folder("new/") and is_frame_folder(tmp_path) and is_frame_folder(tmp_path / "a.png")
    assert not is_frame_folder("new") and not is_frame_folder("a.mp4")
    assert is_still("a.png") and is_still("A.PNG")
    assert not is_still(tmp_path / "a.png") and not is_still("a.png/") and not is_still("a.mp4")


@pytest.mark.parametrize("label", [True, False])
def test_every_file_says_that_it_is_synthetic(tmp_path, label):
    for name in ("a.mp4", "a.webm", "a.gif", "a.png", "frames/"):
        frames = FRAMES[:1] if name == "a.png" else FRAMES
        write_result(f"{tmp_path}/{name}", frames, fps=25, label=label)
    said = {}
    for name in ("a.mp4", "a.webm"):
        with av.open(str(tmp_path / name)) as file:
            said[name] = {key.lower(): value for key, value in file.metadata.items()}.get("comment")
    for name in ("a.gif", "a.png", "frames/000000.png", "frames/000002.png"):
        with Image.open(tmp_path / name) as image:
            comment = image.info.get("comment") if name == "a.gif" else image.info.get("Comment")
            said[name] = comment.decode() if isinstance(comment, bytes) else comment
    assert set(said.values()) == {LABEL if label else None}
    assert "synthetic media" in LABEL.lower() and "motion_transformer_jax" in LABEL


def test_a_still(tmp_path):
    write_result(tmp_path / "a.png", FRAMES[:1], fps=25)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), FRAMES[0])
    with pytest.raises(UserError, match=r"the driving video has more than one frame; choose \.mp4"):
        write_result(tmp_path / "b.png", FRAMES, fps=25)
    with pytest.raises(UserError, match="there is no folder"):
        write_result(tmp_path / "no" / "b.png", iter(()), fps=25)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_folder_of_frames(tmp_path):
    for out in (f"{tmp_path}/new/", tmp_path / "new"):
        write_result(out, FRAMES, fps=25, lossless=True)
        np.testing.assert_array_equal(list(read_frames(tmp_path / "new")), FRAMES)


def test_frames_without_the_label_are_kept_unless_told(tmp_path):
    out = f"{tmp_path}/new/"
    write_result(out, FRAMES, fps=25, label=False)
    for refused in (lambda: write_result(out, FRAMES[:1], fps=25), lambda: check_replaceable(out, overwrite=False)):
        with pytest.raises(UserError, match="pass --overwrite to replace all its frames"):
            refused()
    check_replaceable(out, overwrite=True)
    write_result(out, FRAMES[:1], fps=25, overwrite=True)
    check_replaceable(out, overwrite=False)
    assert os.listdir(out) == ["000000.png"]


def test_unknown_endings(tmp_path):
    for name in ("a", "a.avi"):
        with pytest.raises(UserError, match=r"\.webm or \.gif, a single picture as \.png, .* ends in /; rename it"):
            write_result(tmp_path / name, iter(()), fps=25)


def test_without_loss(tmp_path):
    write_result(tmp_path / "a.mp4", FRAMES, fps=25, lossless=True)
    np.testing.assert_array_equal(list(read_frames(tmp_path / "a.mp4")), FRAMES)


def test_raw_frames_on_the_standard_output(capfdbinary):
    write_result("-", FRAMES, fps=25)
    assert capfdbinary.readouterr().out == FRAMES.tobytes()
    print("goes on", file=sys.stdout, flush=True)
    assert capfdbinary.readouterr().out == b"goes on\n"


def test_sources_are_files_and_folders(tmp_path):
    for name in ("a/2.png", "a/10.jpg", "a/11.gif", "a/.hidden.png", "a/notes.txt", "b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([tmp_path / "b.png", str(tmp_path / "a")])
    assert found == [tmp_path / "b.png", *(tmp_path / "a" / name for name in ("2.png", "10.jpg", "11.gif"))]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"there is no image in .*empty; expected \.apng, .*\.bmp, \.gif, "):
        find_sources([tmp_path / "b.png", tmp_path / "empty"])


def test_results_are_named_after_their_sources(tmp_path):
    sources = find_sources(["x/me.png", "you.jpg"])
    assert name_results(sources, "out", "webm") == ["out/me.webm", "out/you.webm"]
    assert name_results(sources, "out", "frames") == ["out/me/", "out/you/"]
    with pytest.raises(UserError, match=r"x/me\.png and me\.jpg would have the same result; rename one"):
        name_results(find_sources(["x/me.png", "me.jpg"]), "out", "mp4")


def test_a_folder_is_made_for_something(tmp_path):
    with made_folder(tmp_path / "a"):
        (tmp_path / "a" / "b").touch()
    with made_folder(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path / "a") == ["b"]
    with pytest.raises(ValueError, match="midway"), made_folder(tmp_path / "c"):
        raise ValueError("midway")
    (tmp_path / "empty").mkdir()
    with made_folder(tmp_path / "empty"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["a", "empty"]
    for name, message in {"a/b": "it is a file; results of several", "no/c": "there is no folder"}.items():
        with pytest.raises(UserError, match=message), made_folder(tmp_path / name):
            pass
