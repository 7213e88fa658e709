import pytest

from motion_transformer_jax.data.image import image_size
from motion_transformer_jax.data.video import probe_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.web.examples import draw_examples, list_examples


def test_puppets_are_drawn(tmp_path):
    examples = draw_examples(tmp_path / "examples")
    assert [path.name for path in examples.pictures] == [f"puppet {i}.png" for i in (1, 2, 3, 4)]
    assert [path.stem for path in examples.clips] == ["dance", "squat", "turn", "wave"]
    assert len({path.read_bytes() for path in examples.pictures}) == 4
    assert {image_size(path) for path in examples.pictures} == {(256, 256)}
    assert [probe_video(path).num_frames for path in examples.clips] == [50] * 4


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
