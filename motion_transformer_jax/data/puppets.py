"""Puppets: videos of articulated figures drawn from a seed, with true joints; a data set that needs no download.

Each identity has a build, a face and clothes of its own and appears in several clips, each with a motion and a static
background of its own. Joints are `(x, y)` in [-1, 1], where -1 and +1 are the centres of the first and the last pixel.
"""

import dataclasses
import functools
import operator
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from motion_transformer_jax.data.puppet_body import (
    OWN_SOLIDS,
    SHADOW_HEIGHT,
    assemble,
    sample_puppet,
)
from motion_transformer_jax.data.puppet_drawing import Solids, draw_shadow, draw_solids, surface
from motion_transformer_jax.data.puppet_head import HeadPaint
from motion_transformer_jax.data.puppet_motion import (
    BONES,
    JOINTS,
    MOTIONS,
    create_skeleton,
    sample_pose,
)
from motion_transformer_jax.data.puppet_scenery import Scenery, sample_scenery

__all__ = ["BONES", "JOINTS", "MOTIONS", "PuppetClip", "PuppetVideos", "write_puppets"]

_SPLITS = ("train", "test")


@dataclasses.dataclass(frozen=True)
class PuppetClip:
    """One video: frames uint8 [T, S, S, 3], joints float32 [T, J, 2] in the order of JOINTS, visible bool [T, J]."""

    name: str
    frames: np.ndarray
    joints: np.ndarray
    visible: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Scene:
    """What one clip shows: everything but the pixels."""

    solids: Solids
    names: list[str]
    paints: list
    head_axes: np.ndarray
    joints: np.ndarray  # [T, J, 3] scene units
    scenery: Scenery
    background: np.ndarray | None  # [S, S, 3] where it stands still


@dataclasses.dataclass(frozen=True)
class PuppetVideos:
    """Clips of puppets, any of which is made on demand; equal arguments give equal bits.

    Identities of the two splits of a seed are disjoint whatever their number: those of "train" have even numbers, those of
    "test" odd ones. The five motions take turns over the clips of an identity.

    Args:
        seed: of everything, >= 0.
        split: "train" or "test".
        num_identities, clips_per_identity: their product is the length.
        num_frames: per clip.
        size: of the square frames in pixels, >= 16.
        fps: frames per second: what tempo means.
        pan: how far the background drifts to and fro, scene units (2 is the frame's width); 0: it stands still.

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
        if not 0 <= t < self.num_frames:
            raise IndexError(f"frame {t} of a clip of {self.num_frames}")
        scene = self._scene(index)
        if scene.background is not None:
            canvas = scene.background.copy()
        else:
            canvas = scene.scenery.draw(self.size, self._pan_at(t))
        solids, frames = scene.solids, scene.solids.frames()
        fields = {
            name: getattr(solids, name)[t].tolist()
            for name in ("start", "end", "radius", "width", "slope", "roll")
        }
        fields |= {name: value[t].tolist() for name, value in frames.items()}
        rows = [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]
        paints = [
            dataclasses.replace(paint, axes=scene.head_axes[t])
            if isinstance(paint, HeadPaint)
            else paint
            for paint in scene.paints
        ]
        x = float(scene.joints[t, JOINTS.index("pelvis"), 0])
        draw_shadow(canvas, x, SHADOW_HEIGHT, 0.34)
        draw_solids(canvas, rows, paints)
        return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)

    def annotations(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Joints float32 [T, J, 2] and their visibility bool [T, J], without drawing.

        A joint is visible when it lies in the frame and what is drawn there is the body part it belongs to.

        Raises:
            IndexError: there is no such clip.
        """
        scene = self._scene(index)
        pixels = (scene.joints[..., :2] + 1) * (self.size / 2) - 0.5
        joints = (2 * pixels / (self.size - 1) - 1).astype(np.float32)
        inside = ((pixels >= -0.5) & (pixels <= self.size - 0.5)).all(-1)
        return joints, inside & _unhidden(scene)

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

    def _pan_at(self, t: int) -> float:
        return self.pan * float(np.sin(2 * np.pi * t / (12 * self.fps)))


def _motion(seed: int, identity: int, clip: int) -> str:
    order = np.random.default_rng([seed, identity, 1]).permutation(len(MOTIONS))
    return MOTIONS[order[clip % len(MOTIONS)]]


# A pair of frames and the frames of one clip share a scene: posing and background cost more than a small frame.
@functools.lru_cache(maxsize=64)
def _create_scene(
    seed: int, identity: int, clip: int, num_frames: int, size: int, fps: float, still: bool
) -> _Scene:
    puppet = sample_puppet(np.random.default_rng([seed, identity, 0]))
    rng = np.random.default_rng([seed, identity, 2, clip])
    scenery = sample_scenery(rng)
    pose = sample_pose(rng, _motion(seed, identity, clip), num_frames=num_frames, fps=fps)
    skeleton = create_skeleton(puppet.build, pose)
    solids, names, keys = assemble(puppet, skeleton)
    radius = 0.94 * puppet.build.head_radius
    head = HeadPaint(puppet.look, radius, 0.2 * puppet.build.head_radius, skeleton.head[0])
    paints = [head if key == "head" else puppet.textures[key] for key in keys]
    joints = np.stack([skeleton.joints[name] for name in JOINTS], 1)
    background = scenery.draw(size, 0.0) if still else None
    return _Scene(solids, names, paints, skeleton.head, joints, scenery, background)


def _unhidden(scene: _Scene) -> np.ndarray:
    """Whether the joint's own solid is in front at each joint, bool [T, J]."""
    solids, frames = scene.solids, scene.solids.frames()
    offset = scene.joints[:, :, None, :2] - solids.start[:, None, :, :2]
    ux, uy = frames["along"][:, None, :, 0], frames["along"][:, None, :, 1]
    distance, z, _, _ = surface(
        offset[..., 0] * uy - offset[..., 1] * ux,
        offset[..., 0] * ux + offset[..., 1] * uy,
        frames["length"][:, None],
        np.moveaxis(solids.radius, -1, 0)[:, :, None],
        np.moveaxis(solids.width, -1, 0)[:, :, None],
        solids.slope[:, None],
        (solids.start[:, None, :, 2], solids.end[:, None, :, 2]),
    )
    z = np.where(distance < 0, z, -np.inf)
    front = z.argmax(-1)
    own = np.array([[name in OWN_SOLIDS[joint] for name in scene.names] for joint in JOINTS])
    nearest = np.take_along_axis(z, front[..., None], -1)[..., 0]
    # The torso is both shoulders' own, but hides the farther one: no part is thicker than this.
    close = nearest - scene.joints[..., 2] < 0.2
    return np.take_along_axis(np.broadcast_to(own, z.shape), front[..., None], -1)[..., 0] & close


def write_puppets(folder: str | os.PathLike, *videos: PuppetVideos) -> list[Path]:
    """Writes clips as folder/SPLIT/NAME.mp4 beside their joints and visibility, folder/SPLIT/NAME.npz.

    Args:
        folder: made where it is missing.
        videos: collections; each goes to the folder of its split.

    Returns:
        The paths of the videos.
    """
    from motion_transformer_jax.data.video import write_video

    paths = []
    for collection in videos:
        target = Path(folder) / collection.split
        target.mkdir(parents=True, exist_ok=True)
        for clip in collection:
            path = target / f"{clip.name}.mp4"
            write_video(path, clip.frames, fps=collection.fps)
            np.savez_compressed(path.with_suffix(".npz"), joints=clip.joints, visible=clip.visible)
            paths.append(path)
    return paths
