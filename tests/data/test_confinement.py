"""Names from files lead nowhere but into their own folder."""

import pytest
from corpora import write_corpus, write_frames

from motion_transformer_jax.data.confinement import is_file_name, is_inner_path
from motion_transformer_jax.data.corpus import list_corpus, read_list
from motion_transformer_jax.errors import UserError


@pytest.mark.parametrize("text", ["a.mp4", "..a", "a..", "…", " ", "a\\b", "C:", "~", "-", "$HOME"])
def test_names_of_files(text):
    assert is_file_name(text) and is_inner_path(text) and is_inner_path(f"videos/{text}")


@pytest.mark.parametrize("text", ["", ".", "..", "../a", "a/../../b", "/", "/etc/passwd", "a\0b", "a/..", "//host/a"])
def test_other_places(text):
    assert not is_file_name(text) and not is_inner_path(text)


def test_paths_inside():
    assert is_inner_path("a/b/c.png") and not is_file_name("a/b")


@pytest.mark.parametrize(
    "line",
    ["../a.mp4", "..", ".", "/etc/passwd", "a/..", "a/.", "a/../../b.png", "a/b/c.png", "a//etc", "a\0b", "a/b\0"],
)
def test_lines_of_lists(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"good/1.png\n{line}\n")
    with pytest.raises(UserError, match=r"list\.txt, line 2: .*; expected VIDEO/FRAME or VIDEO, names without a path"):
        read_list(tmp_path / "list.txt")


def test_links_in_the_users_folder_are_followed(tmp_path):
    """Corpora are often folders of links into a store."""
    store = write_corpus(tmp_path / "store")
    write_frames(tmp_path / "elsewhere" / "v", 1)
    (tmp_path / "linked").symlink_to(store, target_is_directory=True)
    (store / "train" / "v").symlink_to(tmp_path / "elsewhere" / "v", target_is_directory=True)
    (tmp_path / "list.txt").write_text("v/00001.png\n")
    corpus = list_corpus(tmp_path / "linked", {"train": tmp_path / "list.txt"})
    assert (corpus["train"][0].path / "00001.png").is_file() and len(corpus["test"]) == 2
