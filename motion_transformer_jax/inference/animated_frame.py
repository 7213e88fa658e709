"""What passes through the animation engine: a source, driving frames, and frames of the result."""

from dataclasses import dataclass

import flax.struct
import jax
import numpy as np

from motion_transformer_jax.models.motion import Motion


@flax.struct.dataclass
class SourceState:
    """All that the model needs of a source image, on the device.

    Attributes:
        image: [1, S, S, 3] in [0, 1].
        features: of the generator's encoder.
        motion: Motion of the source, [1, K, 2].
    """

    image: jax.Array
    features: tuple[jax.Array, ...]
    motion: Motion


@dataclass(frozen=True)
class DrivingFrame:
    """One frame of the driving video, on the host.

    Attributes:
        motion: Motion of the frame, [1, K, 2].
        image: uint8 [S, S, 3], the frame at the model's size, or at that of a view that shows it; None where only its
            motion was kept.
    """

    motion: Motion
    image: np.ndarray | None = None


@dataclass(frozen=True)
class AnimatedFrame:
    """One frame of the result and what it was made of, on the host.

    Attributes:
        image: uint8 [S, S, 3], the result.
        driving: The `DrivingFrame`'s image.
        driving_motion: Motion of the driving frame, [1, K, 2].
        motion: Motion that the result shows, [1, K, 2]: the driving motion, retargeted.
        mask: float32 [h, w, K + 1], 0 = background.
    """

    image: np.ndarray
    driving: np.ndarray | None
    driving_motion: Motion
    motion: Motion
    mask: np.ndarray
