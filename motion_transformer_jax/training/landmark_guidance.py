"""Keypoints and affines shown where the parts of a body are, on data whose joints are known.

Not in the papers, whose keypoints are found without labels: for models that must learn in minutes what takes days
otherwise, as LivePortrait's landmark guidance does for faces.
"""

import jax
import jax.numpy as jnp

from motion_transformer_jax.data.puppet_skeleton import JOINTS
from motion_transformer_jax.models.motion import Motion

PARTS = (
    ("head", "neck"),
    ("neck", "pelvis"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
)
_LENGTH = 0.3  # of a part whose affine does not stretch; the frame is 2 wide
_SHORTEST = 0.1  # parts that point to the viewer; the inverse of a shorter one's affine would explode


def part_motion(joints: jax.Array) -> Motion:
    """The motion that tells where each of `PARTS` is.

    Args:
      joints: [B, J, 2] of `JOINTS`, in [-1, 1].

    Returns:
      Keypoints [B, K, 2]: the parts' midpoints. Affines [B, K, 2, 2]: a unit along the first axis goes along the part,
      in proportion to its length; one along the second goes a unit across.
    """
    ends = jnp.array([[JOINTS.index(joint) for joint in part] for part in PARTS])
    first, second = joints[:, ends[:, 0]], joints[:, ends[:, 1]]
    along = second - first
    length = jnp.sqrt(jnp.sum(along**2, axis=-1, keepdims=True) + 1e-12)
    direction = along / length
    across = jnp.stack([-direction[..., 1], direction[..., 0]], axis=-1)
    stretched = direction * jnp.maximum(length, _SHORTEST) / _LENGTH
    return Motion((first + second) / 2, jnp.stack([stretched, across], axis=-1))


def landmark_guidance(motion: Motion, joints: jax.Array) -> jax.Array:
    """Keypoints must lie on the parts' midpoints, and affines lead from there to the ends and across.

    Args:
      motion: of K keypoints, one for each of `PARTS`.
      joints: [B, J, 2] of `JOINTS`, in [-1, 1].

    Returns:
      Scalar, 0 or more, in units of the frame's half width: how far keypoints are off, and what affines carry by half
      the length of a part.

    Raises:
      ValueError: if there are more or fewer keypoints than parts.
    """
    if motion.keypoints.shape[1] != len(PARTS):
        raise ValueError(f"{motion.keypoints.shape[1]} keypoints; expected {len(PARTS)}, one for each part")
    expected = part_motion(joints)
    keypoints = jnp.mean(jnp.abs(motion.keypoints - expected.keypoints))
    return keypoints + _LENGTH / 2 * jnp.mean(jnp.abs(motion.affine - expected.affine))
