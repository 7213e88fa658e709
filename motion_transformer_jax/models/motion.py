"""What every motion estimator returns, and all that anything downstream takes from it."""

import flax.struct
import jax


@flax.struct.dataclass
class Motion:
    """The motion of one frame against the model's own abstract reference frame.

    Attributes:
        keypoints: [B, K, 2] as (x, y) in [-1, 1].
        affine: [B, K, 2, 2]; `affine[..., i, j]` is d out_i / d in_j around the keypoint (the papers' "Jacobian").
        covariance: [B, K, 2, 2], extent of the regions that the keypoints stand for; None where the estimator has no
            regions (all but MRAA's).
    """

    keypoints: jax.Array
    affine: jax.Array
    covariance: jax.Array | None = None
