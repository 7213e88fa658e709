"""Carries the driving motion over to the source: what the generator is shown instead of the driving frame's own motion.

*Absolute* takes the driving motion as it is, so the result also takes over the driving figure's place, size and build.
*Relative* takes only its change since an initial driving frame, which should be in about the source's pose. The third
way, *avd*, is a network's: `AnimationModel.disentangle`.
"""

from collections.abc import Iterable
from numbers import Integral
from typing import Literal, get_args

import jax
import numpy as np
from scipy.spatial import ConvexHull, QhullError

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.motion import Motion
from motion_transformer_jax.ops import affine

Mode = Literal["relative", "absolute", "avd"]

MULTIPLY_RANGE = (0, 5)

# In squared units of the [-1, 1] square: a hull this small is a line or a point but for rounding.
_LEAST_AREA = 1e-8


def check_mode(mode: str, *, has_disentangler: bool) -> None:
    """Raises a ValueError if there is no such mode, a UserError if it needs a disentangler that the model lacks."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}; got {mode!r}")
    if mode == "avd" and not has_disentangler:
        raise UserError(
            "mode avd needs a disentangler, which this checkpoint lacks; train one upon it with "
            "--config configs/NAME.py:mraa_avd --config.train.init_from=RUN, or choose another mode"
        )


def check_motion(
    *, best_frame: int | str | None = None, multiply: float = 1.0, smooth_fps: float | None = None
) -> None:
    """Raises a UserError where an option of `Animator.animate` is out of its range; None is within each."""
    if best_frame not in (None, "auto") and not (isinstance(best_frame, Integral) and best_frame >= 0):
        raise UserError(f"the best frame is {best_frame!r}; expected auto or a frame's number from 0")
    if not MULTIPLY_RANGE[0] <= multiply <= MULTIPLY_RANGE[1]:
        raise UserError(f"motion is multiplied by {multiply:g}; expected between 0 and {MULTIPLY_RANGE[1]}")
    if smooth_fps is not None and not 0 < smooth_fps < float("inf"):
        raise UserError(f"motion is smoothed at {smooth_fps:g} frames per second; expected more than 0")


def retarget(
    source: Motion,
    driving: Motion,
    initial: Motion,
    *,
    mode: Literal["relative", "absolute"],
    movement_scale: float | jax.Array = 1.0,
    multiply: float | jax.Array = 1.0,
    relative_affine: bool = True,
) -> Motion:
    """Gives the motion that the source figure is to show.

    FOMM, section 3.3. Relative: keypoints = movement_scale (driving - initial) + source, and
    affine = driving initial⁻¹ source. Batch axes broadcast, so that one source and one initial frame serve a batch of
    driving frames. A driving frame equal to the initial one gives the source's motion back. May be jitted, with `mode`
    and `relative_affine` static. Beyond the paper, `multiply` strengthens (or weakens) the change in keypoints and
    affines alike.

    Args:
        source: Motion of the source image, keypoints [B or 1, K, 2].
        driving: Motion of the driving frame, [B, K, 2].
        initial: Motion of the initial driving frame, [B or 1, K, 2]; not looked at in absolute mode.
        mode: "relative" or "absolute".
        movement_scale: Factor of the keypoints' movement, such as `movement_scale` gives; relative mode only.
        multiply: Factor of the whole change, 1 for the driving figure's own; relative mode only.
        relative_affine: False takes the driving frame's affines as they are, also in relative mode.

    Returns:
        Motion, [B, K, 2]. Its covariance is the driving frame's in either mode, as in MRAA's official code: that of
        the new affine it is not.

    Raises:
        ValueError: Another mode.
    """
    if mode == "absolute":
        return driving
    if mode != "relative":
        raise ValueError(f'mode must be "relative" or "absolute", got {mode!r}')
    keypoints = multiply * movement_scale * (driving.keypoints - initial.keypoints) + source.keypoints
    if not relative_affine:
        return driving.replace(keypoints=keypoints)
    change = affine.compose(driving.affine, affine.inverse(initial.affine))
    change += (multiply - 1) * (change - np.eye(2, dtype=np.float32))
    return driving.replace(keypoints=keypoints, affine=affine.compose(change, source.affine))


def movement_scale(source_keypoints: np.ndarray, initial_keypoints: np.ndarray) -> float:
    """Says how much larger the source figure is than the driving one: the square root of the ratio of hull areas.

    Runs on the host, once per animation.

    Args:
        source_keypoints: [K, 2], (x, y) of the source image.
        initial_keypoints: [K, 2], (x, y) of the initial driving frame.

    Returns:
        The scale; 1 where either figure has no area (fewer than three keypoints, all on one line, or not finite), since
        then nothing can be said.
    """
    source_area, initial_area = _hull_area(source_keypoints), _hull_area(initial_keypoints)
    if source_area is None or initial_area is None:
        return 1.0
    return float(np.sqrt(source_area / initial_area))


def nearest_frame(source: Motion, driving: Iterable[Motion]) -> int:
    """Finds the driving frame in the pose nearest to the source's: the initial frame that relative motion wants.

    FOMM's search for the best frame, on the model's own keypoints instead of face landmarks: keypoints less their
    mean, divided by the square root of their hull's area, compared by the sum of squares; place and size do not matter.
    A figure whose hull has no area is compared at its own size.

    Args:
        source: keypoints [1, K, 2].
        driving: of one frame after another, keypoints [1, K, 2]; none is kept.

    Returns:
        Index of the frame, the first of equals; frames whose keypoints are not finite are passed over.

    Raises:
        UserError: There are none.
    """
    wanted = _normalized(np.asarray(source.keypoints)[0])
    nearest, least, count = 0, np.inf, 0
    for count, motion in enumerate(driving, 1):
        distance = np.sum((_normalized(np.asarray(motion.keypoints)[0]) - wanted) ** 2)
        if distance < least:
            nearest, least = count - 1, distance
    if not count:
        raise no_driving_frames()
    return nearest


def no_driving_frames() -> UserError:
    """What to raise where a driving video turns out to be empty."""
    return UserError("there are no driving frames; expected a video of at least one")


def _normalized(keypoints: np.ndarray) -> np.ndarray:
    keypoints = keypoints.astype(np.float64)
    area = _hull_area(keypoints)
    return (keypoints - keypoints.mean(axis=0)) / np.sqrt(1.0 if area is None else area)


def _hull_area(keypoints: np.ndarray) -> float | None:
    keypoints = np.asarray(keypoints, np.float64)
    if not np.isfinite(keypoints).all():
        return None
    try:
        area = ConvexHull(keypoints).volume  # of a figure in the plane, `volume` is the area
    except (QhullError, ValueError):  # fewer than three points, or all on one line
        return None
    return area if area > _LEAST_AREA else None
