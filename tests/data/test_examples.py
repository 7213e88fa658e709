import numpy as np
import pytest

from motion_transformer_jax.bundled import EXAMPLES
from motion_transformer_jax.data.examples import draw_examples, list_examples
from motion_transformer_jax.data.image import read_image
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.errors import UserError


def test_the_packages_examples_are_what_is_drawn(tmp_path):
    """Whoever changes puppets draws them anew: python -m motion_transformer_jax.data.examples."""
    draw_examples(tmp_path / "examples")
    drawn, bundled = list_examples(tmp_path / "examples"), list_examples(EXAMPLES)
    assert [path.name for path in bundled.pictures] == [f"puppet-{i}.png" for i in (1, 2, 3, 4)]
    assert [path.name for path in bundled.clips] == ["dance.mp4", "squat.mp4", "turn.mp4", "wave.mp4"]
    for old, new in zip(bundled.pictures, drawn.pictures, strict=True):
        difference = np.abs(read_image(old).astype(int) - read_image(new))
        assert difference.max() <= 1  # another processor may round another way
    for old, new in zip(bundled.clips, drawn.clips, strict=True):
        assert probe_video(old).num_frames == probe_video(new).num_frames == 50
        frames = zip(read_frames(old), read_frames(new), strict=True)
        assert max(np.abs(a.astype(float) - b).mean() for a, b in frames) < 1


def test_a_folder_is_listed(tmp_path):
    for name in ("b.png", "a.png", "c.mp4", "notes.txt"):
        (tmp_path / name).touch()
    examples = list_examples(tmp_path)
    assert [path.name for path in examples.pictures] == ["a.png", "b.png"]
    assert [path.name for path in examples.clips] == ["c.mp4"]


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        list_examples(tmp_path / "none")
    with pytest.raises(UserError, match=r"no pictures .* and no clips"):
        list_examples(tmp_path)
