import logging

import pytest
from corpora import write_corpus, write_frames

from motion_transformer_jax.data.corpus import Clip, identity, list_corpus, read_list, read_pair_list
from motion_transformer_jax.errors import UserError


def test_identity_is_what_stands_before_the_hash():
    assert [identity(name) for name in ("a#1#2.mp4", "b.mp4", "#3")] == ["a", "b.mp4", ""]


def test_a_corpus_is_its_two_splits(tmp_path):
    root = write_corpus(tmp_path, train=11)
    corpus = list_corpus(root)
    assert [clip.name for clip in corpus["train"]] == [f"id{i}#0.png" for i in range(11)]
    assert corpus["test"] == [Clip(root / "test" / f"other{i}#0.png") for i in range(2)]


def test_a_list_chooses_videos_and_frames(tmp_path):
    root = write_corpus(tmp_path)
    write_frames(root / "train" / "a#1.mp4", 7)
    (root / "list.txt").write_text("a#1.mp4/00002.png\na#1.mp4/00000.png\na#1.mp4/00002.png\n\nid1#0.png\ngone/1.png\n")
    corpus = list_corpus(root, {"train": root / "list.txt"})
    assert corpus["train"] == [
        Clip(root / "train" / "a#1.mp4", ("00002.png", "00000.png")),
        Clip(root / "train" / "id1#0.png", None),
        Clip(root / "train" / "gone", ("1.png",)),
    ]
    assert len(corpus["test"]) == 2


def test_a_name_in_both_splits_is_told(tmp_path, caplog):
    root = write_corpus(tmp_path)
    (root / "test" / "id2#0.png").write_bytes((root / "train" / "id2#0.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        list_corpus(root)
    assert "1 videos have the same name in train and test, such as id2#0.png" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, not the list itself; fetch it by"),
        ("\n", "lists no video; expected lines VIDEO/FRAME"),
        ("a/b/c.png\n", "line 1: 'a/b/c.png'; expected VIDEO/FRAME or VIDEO"),
        ("a/0.png\n../x.png\n", r"line 2: '\.\./x.png'; expected"),
        ("/etc/passwd\n", "line 1: '/etc/passwd'; expected"),
        (None, r"cannot read .*list.txt \(No such file"),
    ],
)
def test_bad_lists_are_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_list(tmp_path / "list.txt")


def test_pairs_are_read_with_and_without_endings(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('distance, source, driving, frame\n3.5,a#1.mp4,"b,1",0\n1,b,a#1,2\n')
    assert read_pair_list(path, ["a#1.mp4", "b,1.gif", "b.mp4"]) == [("a#1.mp4", "b,1.gif"), ("b.mp4", "a#1.mp4")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\nx,y\n", "has no columns source and driving"),
        ("source,driving\n", "holds no pair"),
        ("source,driving\nx,y\n", "line 2: 'x' is none of the"),
        ("source,driving\nd.mp4,d\n", "line 2: 'd' could be d.mp4 or d.gif; expected a video's file name"),
        ("source,driving\nd.mp4\n", "line 2: 'None' is none of"),
        ("source,driving\n" + "x" * 200_000 + ",y\n", "is no CSV file"),
    ],
)
def test_bad_pairs_are_refused(tmp_path, text, message):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_pair_list(tmp_path / "pairs.csv", ["d.mp4", "d.gif"])
