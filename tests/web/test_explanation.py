"""The explanation is of the very frames that the result has."""

import numpy as np
import pytest
from PIL import Image
from tiny_model import SIZE, random_frames, tiny_avd_config, tiny_avd_variables, tiny_config, tiny_variables

from motion_transformer_jax.data.image import read_image, resize_image
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.inference.options import AnimationOptions
from motion_transformer_jax.web import explanation
from motion_transformer_jax.web.animation import Wish, fulfil
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.explanation import explain
from motion_transformer_jax.web.uploads import UploadLimits

NUM_FRAMES = 9
SHOWN = [0, 2, 3, 5, 6, 8]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    frames = random_frames(NUM_FRAMES, 48, 64)
    Image.fromarray(frames[4]).save(folder / "picture.png")
    write_video(folder / "clip.mp4", frames, fps=10)
    return folder / "picture.png", folder / "clip.mp4"


def create_checkpoint(config, variables):
    return Checkpoint(config, variables, Animator(config, variables))


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "relative", "best_frame": "auto"},
        {"mode": "relative", "smooth": True, "multiply": 2},
        {"mode": "absolute"},
    ],
    ids=str,
)
def test_of_a_motion_transformer(files, tmp_path, monkeypatch, options):
    checkpoint = create_checkpoint(tiny_config(), tiny_variables())
    wish = Wish(*files, checkpoint, AnimationOptions(**options))
    told = []
    moments = fulfil(wish, UploadLimits(), tmp_path / "out.mp4", told.append)
    drawn = [frame.image for frame in told if frame is not None]
    assert len(drawn) == NUM_FRAMES

    given, draw = {}, explanation.draw_animation_sheet

    def record(source, frames, **options):
        given.update(source=source, frames=frames)
        return draw(source, frames, **options)

    monkeypatch.setattr(explanation, "draw_animation_sheet", record)
    explained = explain(wish, moments)
    np.testing.assert_array_equal(given["source"], read_image(files[0], size=(SIZE, SIZE)))
    driving = list(read_frames(files[1], size=(SIZE, SIZE)))
    for frame, index in zip(given["frames"], SHOWN, strict=True):
        np.testing.assert_array_equal(frame.driving, driving[index])
        np.testing.assert_array_equal(frame.image, drawn[index])
    assert explained.sheet.shape[0] > len(SHOWN) * 192
    assert list(explained.attention) == [
        "attention of keypoint tokens",
        "attention of affine tokens",
        "attention of motions to motions",
    ]


def test_of_a_single_frame_and_a_model_without_attention(files, tmp_path):
    write_video(tmp_path / "one.mp4", random_frames(1), fps=10)
    checkpoint = create_checkpoint(tiny_avd_config(), tiny_avd_variables())
    wish = Wish(files[0], tmp_path / "one.mp4", checkpoint, AnimationOptions(mode="avd"))
    explained = explain(wish, fulfil(wish, UploadLimits(), tmp_path / "out.mp4", lambda frame: None))
    assert explained.sheet.shape[0] < 2 * 192 + 60 and explained.attention == {}


def test_the_source_is_the_square_that_was_animated(files, tmp_path, monkeypatch):
    checkpoint = create_checkpoint(tiny_config(), tiny_variables())
    wish = Wish(*files, checkpoint, AnimationOptions(mode="absolute", crop=(3, 5, 40, 40), paste_back=True))
    given, draw = [], explanation.draw_animation_sheet
    monkeypatch.setattr(
        explanation,
        "draw_animation_sheet",
        lambda source, *rest, **more: given.append(source) or draw(source, *rest, **more),
    )
    explain(wish, fulfil(wish, UploadLimits(), tmp_path / "out.mp4", lambda frame: None))
    square = resize_image(read_image(files[0])[5:45, 3:43], (SIZE, SIZE))
    np.testing.assert_array_equal(given, [square])
