"""A wish ends soon when nobody waits for it, whatever is being done."""

import pytest
from PIL import Image
from tiny_model import SIZE, random_frames, tiny_config, tiny_variables

from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.inference.options import AnimationOptions
from motion_transformer_jax.web.animation import DrawnFrame, Wish, fulfil
from motion_transformer_jax.web.checkpoints import Checkpoint
from motion_transformer_jax.web.uploads import UploadLimits
from motion_transformer_jax.web.worker import Stopped

NUM_FRAMES = 20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(random_frames(1, 60, 44)[0]).save(folder / "picture.png")
    write_video(folder / "clip.mp4", random_frames(NUM_FRAMES, 48, 64), fps=10)
    return folder / "picture.png", folder / "clip.mp4"


@pytest.fixture(scope="module")
def checkpoint():
    config, variables = tiny_config(), tiny_variables()
    return Checkpoint(config, variables, Animator(config, variables))


@pytest.mark.parametrize(
    "reads",
    [3, NUM_FRAMES + 3, 2 * NUM_FRAMES + 3],
    ids=["the clip is checked", "its crop is looked for", "its best frame is looked for"],
)
def test_it_ends_before_the_first_frame_while(files, checkpoint, tmp_path, reads):
    told = []

    def report(frame):
        told.append(frame)
        if len(told) == reads:
            raise Stopped

    options = AnimationOptions(mode="relative", best_frame="auto", driving_crop="auto")
    with pytest.raises(Stopped):
        fulfil(Wish(*files, checkpoint, options), UploadLimits(), tmp_path / "out.mp4", report)
    assert told == [None] * reads and list(tmp_path.iterdir()) == []


def test_frames_are_told_and_moments_returned(files, checkpoint, tmp_path):
    told = []
    wish = Wish(*files, checkpoint, AnimationOptions(mode="relative", paste_back=True))
    moments = fulfil(wish, UploadLimits(), tmp_path / "out.mp4", told.append)
    drawn = [frame for frame in told if isinstance(frame, DrawnFrame)]
    assert [(frame.index, frame.total) for frame in drawn] == [(index, NUM_FRAMES) for index in range(NUM_FRAMES)]
    assert {frame.image.shape for frame in drawn} == {(60, 44, 3)}
    assert [frame.image.shape for frame in moments] == [(SIZE, SIZE, 3)] * 6
