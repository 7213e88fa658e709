"""The data of an evaluation: prepared, a folder, or puppets, at the model's size."""

import shutil

import numpy as np
import pytest
from corpora import write_corpus
from tiny_model import SIZE, tiny_config

from motion_transformer_jax.data.builders import Preparation, prepare_dataset
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.evaluation.test_set import first_videos, open_test_set


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Film strips of 8 px in `corpus/`, prepared at 32 px in `at32` and at 16 px in `at16`."""
    root = tmp_path_factory.mktemp("test_set")
    source = write_corpus(root / "corpus", train=2, test=3)
    (root / "pairs.csv").write_text("source,driving\nother2#0,other0#0\n")
    for size in (16, SIZE):
        prepare_dataset(
            "vox256",
            root / f"at{size}",
            Preparation(source=source, frame_format=FrameFormat(size), pairs=root / "pairs.csv"),
        )
    return root


def test_prepared_dataset_at_the_models_size(corpus):
    test_set = open_test_set(tiny_config(), corpus / f"at{SIZE}")
    assert (test_set.name, len(test_set), test_set.num_frames, test_set.notices) == ("vox256", 3, 9, [])
    assert [frame.shape for frame in test_set.frames(0)] == [(SIZE, SIZE, 3)] * 3
    assert test_set.pairs == [("other2#0.png", "other0#0.png")]


def test_another_size_is_resized_with_a_notice(corpus):
    test_set = open_test_set(tiny_config(), corpus / "at16")
    assert next(test_set.frames(0)).shape == (SIZE, SIZE, 3)
    assert "16x16 px were resized to the model's 32x32 px" in test_set.notices[0]


def test_folder_of_videos(corpus):
    test_set = open_test_set(tiny_config(), corpus / "corpus", split="train")
    assert (test_set.name, len(test_set), test_set.split) == ("corpus", 2, "train")
    assert "8x8 px were resized to the model's 32x32 px" in test_set.notices[0]
    assert next(test_set.frames(1)).shape == (SIZE, SIZE, 3)


def test_a_folder_named_puppets_is_a_folder(corpus, tmp_path):
    shutil.copytree(corpus / "corpus", tmp_path / "puppets")
    assert not open_test_set(tiny_config(), tmp_path / "puppets").annotated


def test_puppets_of_the_models_training():
    config = tiny_config()
    plain, marked = open_test_set(config), open_test_set(config, "puppets", markers=True)
    assert plain.name == marked.name == "puppets"
    assert len(plain) == 4  # two held-out identities of two clips
    assert not np.array_equal(plain.videos.frame(0, 0), marked.videos.frame(0, 0))
    assert plain.annotated and first_videos(plain, 1).annotated
    joints, visible = plain.videos.annotations(0)
    assert len(joints) == len(visible) == plain.videos.num_frames(0)


def test_first_videos_keep_what_the_source_offers():
    test_set = open_test_set(tiny_config())
    first = first_videos(test_set, 1)
    assert first.videos.names == test_set.videos.names[:1]
    assert first.num_frames == test_set.videos.num_frames(0)
    np.testing.assert_array_equal(first.videos.frame(0, 3), test_set.videos.frame(0, 3))
    assert first.videos.annotations(0)[0].shape[0] == test_set.videos.num_frames(0)
    assert len(first_videos(test_set, 99)) == len(test_set)


def test_missing_data_is_refused(tmp_path, corpus):
    config = tiny_config()
    with pytest.raises(UserError, match=r"there is no folder .*; expected a prepared dataset"):
        open_test_set(config, tmp_path / "nowhere")
    config.data.kind = "folder"
    with pytest.raises(UserError, match="--data DIR"):
        open_test_set(config)
    shutil.copytree(corpus / "corpus" / "train", tmp_path / "half" / "train")
    with pytest.raises(UserError, match="test"):
        open_test_set(config, tmp_path / "half")
