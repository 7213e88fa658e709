"""What may be uploaded: looked at before the model is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path

from motion_transformer_jax.data.image import image_size, read_image
from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.errors import UserError


@dataclass(frozen=True)
class UploadLimits:
    """The most that a visitor may upload.

    Attributes:
        max_bytes: Of a file.
        max_pixels: Of a picture, or of a frame of a clip.
        max_seconds: Of a clip.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 50_000_000
    max_seconds: float = 60

    def check_picture(self, path: Path) -> None:
        """Reads a picture.

        Raises:
            UserError: It is too large, damaged, or no picture.
        """
        self._check_size(path, *image_size(path))
        read_image(path)

    def check_clip(self, path: Path) -> None:
        """Reads a clip's header and first frame.

        Raises:
            UserError: It is too large, longer than it may be, or no video.
        """
        info = probe_video(path)
        self._check_size(path, info.height, info.width)
        self._check_length(path, (info.num_frames or 0) / info.fps)

    def check_all_frames(self, path: Path, *, on_read: Callable[[], None] = lambda: None) -> None:
        """Reads a clip to its end, but no further than it may last: a header may lie, or say nothing.

        Args:
            path: The clip.
            on_read: Called for each frame; what it raises ends the reading.

        Raises:
            UserError: As `check_clip`.
        """
        self.check_clip(path)
        fps = probe_video(path).fps
        most = ceil(self.max_seconds * fps)
        frames = read_frames(path, warn=lambda complaint: None)  # they come again when the clip is animated
        count = 0
        for _ in islice(frames, most + 1):
            on_read()
            count += 1
        self._check_length(path, count / fps)

    def _check_size(self, path: Path, height: int, width: int) -> None:
        if height * width > self.max_pixels:
            raise UserError(
                f"{path} has {width}x{height} pixels, {height * width / 1e6:.3g} million; "
                f"at most {self.max_pixels / 1e6:.3g} million are taken, so make it smaller"
            )

    def _check_length(self, path: Path, seconds: float) -> None:
        if seconds > self.max_seconds:
            raise UserError(f"{path} lasts longer than the {self.max_seconds:g} seconds that are taken; cut it")
