"""Frames without a container, as pipes carry them: rgb24, one frame's bytes after the other's."""

import logging
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)


def read_raw_frames(stream: BinaryIO, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Streams frames until the stream ends; of a last one that is cut short is told in a warning.

    Args:
        stream: Whose `read(n)` waits for n bytes, as that of a buffered one does.
        size: (width, height) in pixels.

    Yields:
        uint8 [height, width, 3], RGB.
    """
    width, height = size
    expected = width * height * 3
    while content := stream.read(expected):
        if len(content) < expected:
            logger.warning("the last driving frame is cut short: %d of %d bytes; left out", len(content), expected)
            return
        yield np.frombuffer(content, np.uint8).reshape(height, width, 3)


def write_raw_frames(stream: BinaryIO, frames: Iterable[np.ndarray]) -> None:
    """Writes frames uint8 [H, W, 3] as they come, each at once.

    Raises:
        UserError: Whoever reads the stream has gone.
    """
    try:
        for frame in frames:
            stream.write(np.ascontiguousarray(frame).data)
            stream.flush()
    except BrokenPipeError as error:
        raise UserError("nobody reads the standard output any more; the animation ends") from error
