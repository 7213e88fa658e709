"""Puppets: videos of articulated figures drawn from a seed, with true joints; nothing to download.

Each identity has a build, a face and clothes of its own and appears in several clips, each with a
motion and a static background of its own. Joints are `(x, y)` in [-1, 1], where -1 and +1 are the
centres of the first and the last pixel.
"""

import dataclasses
import functools
import operator
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from motion_transformer_jax.data.puppet_body import HEAD_SOLID, assemble, visible_joints
from motion_transformer_jax.data.puppet_drawing import Solids, draw_shadow, draw_solids
from motion_transformer_jax.data.puppet_head import HeadPaint
from motion_transformer_jax.data.puppet_identity import Puppet, sample_puppet
from motion_transformer_jax.data.puppet_markers import draw_markers
from motion_transformer_jax.data.puppet_motion import MOTIONS, sample_pose
from motion_transformer_jax.data.puppet_scenery import Scenery, sample_scenery
from motion_transformer_jax.data.puppet_skeleton import BONES, GROUND, JOINTS, Skeleton, create_skeleton
from motion_transformer_jax.errors import UserError

__all__ = ["BONES", "JOINTS", "MOTIONS", "PuppetClip", "PuppetVideos", "write_puppets"]

_SPLITS = ("train", "test")
_PAN_SECS = 12  # to and fro


@dataclasses.dataclass(frozen=True)
class PuppetClip:
    """One video: uint8 frames [T, S, S, 3]; of JOINTS float32 [T, J, 2] and bool [T, J]."""

    name: str
    frames: np.ndarray
    joints: np.ndarray
    visible: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Scene:
    """What one clip shows: everything but the pixels of the puppet."""

    puppet: Puppet
    skeleton: Skeleton
    solids: Solids
    names: list[str]
    paints: list
    scenery: Scenery
    background: np.ndarray | None  # [S, S, 3] where it stands still

    @functools.cached_property
    def places(self) -> np.ndarray:
        """Of JOINTS, [T, J, 3] in scene units."""
        return np.stack([self.skeleton.joints[joint] for joint in JOINTS], 1)

    @functools.cached_property
    def visible(self) -> np.ndarray:
        """Of JOINTS, bool [T, J]: shown by the body, and in the frame."""
        inside = (np.abs(self.places[..., :2]) <= 1).all(-1)
        return inside & visible_joints(self.puppet, self.skeleton, self.solids, self.names)


@dataclasses.dataclass(frozen=True)
class PuppetVideos:
    """Clips of puppets, any of which is made on demand; equal arguments give equal bits.

    Identities of the two splits of a seed are disjoint however many there are: those of "train"
    have even numbers, those of "test" odd ones. The five motions take turns over an identity's
    clips. Recent scenes are kept, so that more frames of one clip cost little but their drawing.

    Args:
        seed: of everything, >= 0.
        split: "train" or "test".
        num_identities, clips_per_identity: their product is the length.
        num_frames: per clip.
        size: of the square frames in pixels, >= 16.
        fps: frames per second: what tempo means.
        pan: how far the background drifts to and fro in scene units (the frame is 2 wide), at most
            0.5; 0: it stands still.
        markers: whether visible joints wear discs in colours of their own (`puppet_markers.py`).

    Raises:
        ValueError: an argument is out of its range.
    """

    seed: int = 0
    _: dataclasses.KW_ONLY
    split: str
    num_identities: int
    clips_per_identity: int
    num_frames: int
    size: int
    fps: float = 25
    pan: float = 0.0
    markers: bool = False

    def __post_init__(self):
        if self.split not in _SPLITS:
            raise ValueError(f"split={self.split!r}: expected 'train' or 'test'")
        least = {
            "seed": 0,
            "num_identities": 1,
            "clips_per_identity": 1,
            "num_frames": 1,
            "size": 16,
        }
        for name, bound in least.items():
            value = getattr(self, name)
            try:
                whole = operator.index(value)
            except TypeError:
                raise ValueError(f"{name}={value!r}: expected a whole number") from None
            if whole < bound:
                raise ValueError(f"{name}={value}: expected at least {bound}")
        if not self.fps > 0:
            raise ValueError(f"fps={self.fps}: expected more than 0")
        if not 0 <= self.pan <= 0.5:
            raise ValueError(f"pan={self.pan}: expected 0 to 0.5")

    def __len__(self) -> int:
        return self.num_identities * self.clips_per_identity

    def __iter__(self) -> Iterator[PuppetClip]:
        return map(self.clip, range(len(self)))

    @property
    def names(self) -> list[str]:
        """Names of the clips: "id0006#walk-1" is the second clip of the identity 6."""
        return [self._name(index) for index in range(len(self))]

    def clip(self, index: int) -> PuppetClip:
        """Draws a whole clip.

        Raises:
            IndexError: there is no such clip.
        """
        frames = np.stack([self.frame(index, t) for t in range(self.num_frames)])
        return PuppetClip(self._name(index), frames, *self.annotations(index))

    def frame(self, index: int, t: int) -> np.ndarray:
        """Draws frame t of a clip, uint8 [S, S, 3]: the same as in the clip.

        Raises:
            IndexError: there is no such clip or frame.
        """
        scene = self._scene(index)
        if not 0 <= t < self.num_frames:
            raise IndexError(f"frame {t} of a clip of {self.num_frames}")
        if scene.background is not None:
            canvas = scene.background.copy()
        else:
            drift = self.pan * float(np.sin(2 * np.pi * t / (_PAN_SECS * self.fps)))
            canvas = scene.scenery.draw(self.size, drift)
        paints = [
            dataclasses.replace(paint, axes=scene.skeleton.head[t]) if isinstance(paint, HeadPaint) else paint
            for paint in scene.paints
        ]
        draw_shadow(canvas, float(scene.skeleton.joints["pelvis"][t, 0]), GROUND, 0.34)
        draw_solids(canvas, scene.solids.at(t), paints)
        if self.markers:
            draw_markers(canvas, scene.places[t], scene.visible[t])
        return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)

    def annotations(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Joints float32 [T, J, 2] and their visibility bool [T, J], without drawing.

        A joint is visible when it lies in the frame and a body part that it belongs to is what is
        drawn there: the torso shows the nearer shoulder but hides the farther one.

        Raises:
            IndexError: there is no such clip.
        """
        scene = self._scene(index)
        pixels = (scene.places[..., :2] + 1) * (self.size / 2) - 0.5  # the scene ends at the frame's edges
        joints = (2 * pixels / (self.size - 1) - 1).astype(np.float32)
        return joints, scene.visible.copy()

    def _check(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        row, clip = divmod(operator.index(index), self.clips_per_identity)
        return 2 * row + _SPLITS.index(self.split), clip

    def _name(self, index: int) -> str:
        identity, clip = self._check(index)
        return f"id{identity:04d}#{_motion(self.seed, identity, clip)}-{clip}"

    def _scene(self, index: int) -> _Scene:
        identity, clip = self._check(index)
        shape = (self.num_frames, self.size, float(self.fps), self.pan == 0)
        return _create_scene(self.seed, identity, clip, *shape)


def _motion(seed: int, identity: int, clip: int) -> str:
    order = np.random.default_rng([seed, identity, 1]).permutation(len(MOTIONS))
    return MOTIONS[order[clip % len(MOTIONS)]]


# The frames of a clip share a scene: posing and background cost more than a small frame.
@functools.lru_cache(maxsize=64)
def _create_scene(seed: int, identity: int, clip: int, num_frames: int, size: int, fps: float, still: bool) -> _Scene:
    puppet = sample_puppet(np.random.default_rng([seed, identity, 0]))
    rng = np.random.default_rng([seed, identity, 2, clip])
    scenery = sample_scenery(rng)
    pose = sample_pose(rng, _motion(seed, identity, clip), num_frames=num_frames, fps=fps)
    skeleton = create_skeleton(puppet.build, pose)
    solids, names, keys = assemble(puppet, skeleton)
    radius, core = (puppet.build.head_radius * part for part in HEAD_SOLID)
    head = HeadPaint(puppet.look, radius, core, skeleton.head[0])
    paints = [head if key == "head" else puppet.textures[key] for key in keys]
    background = scenery.draw(size, 0.0) if still else None
    return _Scene(puppet, skeleton, solids, names, paints, scenery, background)


def write_puppets(folder: str | os.PathLike, *videos: PuppetVideos) -> list[Path]:
    """Writes clips as folder/SPLIT/NAME.mp4, and beside each NAME.npz: its `joints` and `visible`.

    Args:
        folder: Made where it is missing.
        videos: Collections; each goes to the folder of its split.

    Returns:
        The paths of the videos.

    Raises:
        UserError: The folder cannot be made or written to.
    """
    # Drawing needs no codec.
    from motion_transformer_jax.data.video_writer import write_video

    paths = []
    for collection in videos:
        target = Path(folder) / collection.split
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {target}: {error.strerror}; choose another") from None
        for clip in collection:
            path = target / f"{clip.name}.mp4"
            write_video(path, clip.frames, fps=collection.fps)
            _write_annotations(path.with_suffix(".npz"), clip)
            paths.append(path)
    return paths


def _write_annotations(path: Path, clip: PuppetClip) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, joints=clip.joints, visible=clip.visible)
    part.replace(path)
