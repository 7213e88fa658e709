"""Frames from a webcam, by Video4Linux."""

import logging
from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)


def read_camera(device: str, *, size: tuple[int, int] | None = None, fps: float | None = None) -> Iterator[np.ndarray]:
    """Opens a camera and streams what it sees, without end.

    Args:
        device: Such as /dev/video0.
        size: (width, height) that the camera is asked for; None: its own.
        fps: Frames per second that it is asked for; None: its own.

    Yields:
        uint8 [H, W, 3], RGB.

    Raises:
        UserError: There is no such camera, or it does not give what it is asked for; by the call itself.
    """
    options = {} if size is None else {"video_size": f"{size[0]}x{size[1]}"}
    if fps is not None:
        options["framerate"] = f"{fps:g}"
    try:
        return _decoded(av.open(device, format="v4l2", options=options), device)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot open the camera {device} ({reason}); expected a Video4Linux device such as /dev/video0, which no "
            "other program uses, and a --driving-size and --fps that it knows"
        ) from error


def _decoded(container: av.container.InputContainer, device: str) -> Iterator[np.ndarray]:
    converter = VideoReformatter()
    with container:
        try:
            for frame in container.decode(video=0):
                yield converter.reformat(frame, format="rgb24").to_ndarray()
        except (av.error.FFmpegError, OSError) as error:
            logger.warning("the camera %s gives no more frames (%s)", device, error.strerror)
