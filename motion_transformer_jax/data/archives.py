"""Zip archives from outside, before anything in them is unpacked."""

import os
import zipfile
from typing import BinaryIO


def is_packed(file: BinaryIO) -> bool:
    """Whether what is in a zip archive is compressed or overlaps, so that it may be far larger than the file.

    NumPy and PyTorch store arrays as they are.

    Args:
        file: open for reading; it stands at its start afterwards.

    Raises:
        zipfile.BadZipFile, ValueError, NotImplementedError: it is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return sum(entry.file_size for entry in entries) > size or any(
        entry.compress_type != zipfile.ZIP_STORED for entry in entries
    )
