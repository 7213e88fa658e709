"""Videos and images to the disk: whole under their name, or not there at all."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.data.sound import Sound
from motion_transformer_jax.data.video import at_constant_rate
from motion_transformer_jax.data.video_encoders import GIF_MAX_FPS, Encoder, GifEncoder
from motion_transformer_jax.errors import UserError

VIDEO_ENDINGS = (".mp4", ".webm", ".gif")  # of videos that can be written
FPS_RANGE = (0.01, 1000)  # frames per second that can be written
COMMENT_KEY = "Comment"  # of a PNG's text
# Frames that may wait for the encoder: a large batch of them at once, but no heap of large ones.
_MAX_WAITING, _MAX_WAITING_BYTES = 64, 64 << 20


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float,
    sound: Sound | None = None,
    comment: str = "",
    lossless: bool = False,
) -> None:
    """Encodes frames as they come: H.264 (yuv420p) in mp4, VP9 in webm, or gif, by the name's ending.

    A thread encodes while the next frames are made.

    Frames of odd height or width are padded to even by repeating the last row or column (mp4, webm). The frame rate
    is kept as a fraction (29.97 as 30000/1001); in a gif single delays are rounded to 10 ms without drift, and above 50
    frames a second some are left out. The file appears under its name when complete; of a failure nothing is left.

    Args:
        path: Ends in .mp4, .webm or .gif. A file of that name is replaced.
        frames: uint8 [H, W, 3], RGB, all of one size.
        fps: Frames per second.
        sound: What is heard with the frames, cut where they end; a gif has none.
        comment: Written into the file's metadata.
        lossless: Keep every value of every pixel (mp4: H.264 in RGB, which few browsers play; webm: VP9 in RGB).

    Raises:
        UserError: Another ending, a folder that is missing or cannot be written to, a frame rate that is not between
            0.01 and 1000, a gif that is to be lossless, or no frames.
        ValueError: A frame has another shape than the first, or is not uint8 [H, W, 3].
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in VIDEO_ENDINGS:
        raise UserError(f"cannot write {path}: videos are written as .mp4, .webm or .gif; rename it")
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise UserError(f"cannot write {path} at {fps} frames per second; expected between 0.01 and 1000")
    if suffix == ".gif" and lossless:
        raise UserError(f"cannot write {path} without loss: a gif has 256 colours; choose .mp4 or .webm")
    rate = Fraction(fps).limit_denominator(1001)
    options = {"comment": comment} if suffix == ".gif" else {"comment": comment, "sound": sound, "lossless": lossless}
    if suffix == ".gif" and rate > GIF_MAX_FPS:
        frames, rate = at_constant_rate(_timed(frames, rate), GIF_MAX_FPS), GIF_MAX_FPS
    with atomic_path(path) as temporary, ThreadPoolExecutor(1, "encoder") as worker:
        encoder, waiting = None, deque[Future]()
        try:
            for frame in frames:
                if encoder is None:
                    create = GifEncoder if suffix == ".gif" else Encoder
                    encoder = create(temporary, rate, _checked(frame).shape, **options)
                # A copy, since whoever draws the frames may draw them all into one array.
                waiting.append(worker.submit(encoder.add, _checked(frame, encoder.shape).copy()))
                while len(waiting) > min(_MAX_WAITING, _MAX_WAITING_BYTES // math.prod(encoder.shape)):
                    waiting.popleft().result()
            if encoder is None:
                raise UserError(f"there are no frames to write to {path}; expected at least one")
            for encoded in waiting:
                encoded.result()
            encoder.finish()
        finally:
            worker.shutdown(cancel_futures=True)
            if encoder is not None:
                encoder.close()


def write_image(path: str | Path, image: np.ndarray, *, comment: str = "") -> None:
    """Writes uint8 [H, W, 3] as a PNG, with a comment in its metadata if there is one; whole or not at all.

    Raises:
        UserError: The name does not end in .png, or the folder is missing or cannot be written to.
        ValueError: The image is not uint8 [H, W, 3].
    """
    require_png(path)
    with atomic_path(path) as temporary:
        picture, metadata = Image.fromarray(_checked(image)), PngInfo()
        if comment:
            metadata.add_text(COMMENT_KEY, comment)
        with system_errors(path):
            picture.save(temporary, format="PNG", pnginfo=metadata)


def require_png(path: str | Path) -> None:
    """Raises a UserError for a name that `write_image` cannot write, before there is an image."""
    if Path(path).suffix.lower() != ".png":
        raise UserError(f"cannot write {path}: images are written as .png; rename it")
    if not Path(path).parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {Path(path).parent}; create it first")


def _timed(frames: Iterable[np.ndarray], rate: Fraction) -> Iterator[tuple[Fraction, Fraction, np.ndarray]]:
    for index, frame in enumerate(frames):
        yield index / rate, 1 / rate, frame


def _checked(frame: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"expected uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}")
    if shape is not None and frame.shape != shape:
        raise ValueError(f"all frames must be of one size; got {frame.shape} after {shape}")
    return frame
