"""Where frames come from: one interface to videos, whether prepared, in a folder or drawn."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from motion_transformer_jax.data.folder_videos import FolderVideos
from motion_transformer_jax.data.prepared_videos import PreparedVideos, find_prepared
from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.errors import UserError


class VideoSource(Protocol):
    """Videos of square frames of one size, any frame at hand.

    Attributes:
      names: one a video; what stands before the first '#' is the identity of its subject.
    """

    names: Sequence[str]

    def num_frames(self, index: int) -> int:
        """Number of frames of a video, at least 2."""

    def frame(self, index: int, t: int) -> np.ndarray:
        """Frame `t` of a video as uint8 `[S, S, 3]`."""


@runtime_checkable
class AnnotatedVideos(VideoSource, Protocol):
    """Videos whose true joints are known."""

    def annotations(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Joints of a video, float32 `[T, J, 2]` `(x, y)` in [-1, 1], and whether they are visible, bool `[T, J]`."""


def create_videos(
    split: str,
    *,
    kind: str,
    image_size: int,
    seed: int = 0,
    folder: str = "",
    puppet_identities: int = 64,
    puppet_clips: int = 4,
    puppet_frames: int = 64,
    puppet_markers: bool = False,
    progress: bool = True,
) -> VideoSource:
    """Open the videos that a config's `data` group describes.

    Args:
      split: "train" or "test"; no identity of puppets is in both.
      kind: "folder" or "puppets".
      image_size: side of the frames in pixels.
      seed: of the puppets.
      folder: of "folder"; a prepared dataset, or `train/` and `test/` of videos.
      puppet_identities: in train; test has a quarter as many.
      puppet_clips: of each identity.
      puppet_frames: in each clip.
      puppet_markers: draw a disc of its own colour on every visible joint.
      progress: show a bar while videos are decoded, when standard error is a terminal.

    Returns:
      The videos; those of puppets are `AnnotatedVideos`.

    Raises:
      UserError: for an unknown kind, for puppets that cannot be, and as `PreparedVideos` and `FolderVideos`.
    """
    if kind == "folder":
        if folder and (prepared := find_prepared(folder)):
            return PreparedVideos(prepared, split=split, size=image_size)
        return FolderVideos(folder, split=split, size=image_size, progress=progress)
    if kind == "puppets":
        if puppet_frames < 2:
            raise UserError(f"data.puppet_frames is {puppet_frames}; a pair needs two frames")
        try:
            puppets = PuppetVideos(
                seed,
                split=split,
                num_identities=puppet_identities if split == "train" else max(1, puppet_identities // 4),
                clips_per_identity=puppet_clips,
                num_frames=puppet_frames,
                size=image_size,
                markers=puppet_markers,
            )
        except ValueError as error:
            raise UserError(f"cannot make puppets: {error}") from error
        return _PuppetSource(puppets)
    raise UserError(f'data.kind is "{kind}"; expected "folder" or "puppets"')


class _PuppetSource:
    """Puppets as a `VideoSource`: they draw frames on demand, and all clips are of one length."""

    def __init__(self, puppets: PuppetVideos):
        self._puppets = puppets
        self.names = puppets.names

    def num_frames(self, index: int) -> int:
        return self._puppets.num_frames

    def frame(self, index: int, t: int) -> np.ndarray:
        return self._puppets.frame(index, t)

    def annotations(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self._puppets.annotations(index)
