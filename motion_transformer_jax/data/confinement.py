"""Names that come from files: they may name something inside the folder that they belong to, and no other place.

Links that lie in that folder are its owner's affair, and are followed.
"""

from pathlib import PurePosixPath


def is_file_name(text: str) -> bool:
    """Whether a text can only name something directly inside a folder."""
    return text not in ("", ".", "..") and "/" not in text and "\0" not in text


def is_inner_path(text: str) -> bool:
    """Whether a text can only be a path from a folder to something inside of it: not absolute, and without `..`."""
    path = PurePosixPath(text)
    return bool(path.parts) and not path.is_absolute() and all(map(is_file_name, path.parts))
