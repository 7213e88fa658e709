import itertools

import jax
import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.retarget import check_mode, movement_scale, nearest_frame, retarget
from motion_transformer_jax.models.motion import Motion

FLAGS = list(itertools.product([0, 1], repeat=3))


def random_motion(seed, frames=1, num_keypoints=10):
    rng = np.random.default_rng(seed)
    affine = np.eye(2) + 0.2 * rng.standard_normal((frames, num_keypoints, 2, 2))
    return Motion(
        keypoints=rng.uniform(-0.8, 0.8, (frames, num_keypoints, 2)).astype(np.float32),
        affine=affine.astype(np.float32),
    )


def official(golden, prefix):
    return Motion(keypoints=golden[f"{prefix}value"], affine=golden[f"{prefix}jacobian"])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("adapt", "relative_movement", "relative_jacobian"), FLAGS)
def test_official_flags(golden, batch, adapt, relative_movement, relative_jacobian):
    """The official flags map onto ours so.

    use_relative_movement: `mode`; use_relative_jacobian: `relative_affine`, which acts in relative mode alone;
    adapt_movement_scale: `movement_scale` of the first of the batch, which acts in relative mode alone.
    """
    arrays = golden("normalize_kp")
    source, driving, initial = (
        official(arrays, f"b{batch}_{name}_") for name in ("source", "driving", "driving_initial")
    )
    got = retarget(
        source,
        driving,
        initial,
        mode="relative" if relative_movement else "absolute",
        movement_scale=movement_scale(source.keypoints[0], initial.keypoints[0]) if adapt else 1.0,
        relative_affine=bool(relative_jacobian),
    )
    expected = official(arrays, f"b{batch}_adapt{adapt}_relmove{relative_movement}_reljac{relative_jacobian}__")
    np.testing.assert_allclose(got.keypoints, expected.keypoints, atol=2e-6)
    np.testing.assert_allclose(got.affine, expected.affine, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_official_hull_areas(golden, batch):
    arrays = golden("normalize_kp")
    scale = movement_scale(arrays[f"b{batch}_source_value"][0], arrays[f"b{batch}_driving_initial_value"][0])
    areas = arrays[f"b{batch}_hull_area_source"], arrays[f"b{batch}_hull_area_driving_initial"]
    np.testing.assert_allclose(scale, np.sqrt(areas[0] / areas[1]), rtol=1e-6)


@pytest.mark.parametrize(("mode", "name"), [("relative", "relative"), ("absolute", "standard")])
def test_official_modes_of_regions(golden, mode, name):
    """MRAA's relative mode always adapts the scale, and leaves the driving frame's covariance."""
    arrays = golden("normalize_kp")
    fields = ("shift", "affine", "covar")
    source, driving, initial = (
        Motion(*(arrays[f"mraa_{frame}_{field}"] for field in fields))
        for frame in ("source", "driving", "driving_initial")
    )
    scale = movement_scale(source.keypoints[0], initial.keypoints[0])
    got = retarget(source, driving, initial, mode=mode, movement_scale=scale)
    for value, field in zip((got.keypoints, got.affine, got.covariance), fields, strict=True):
        np.testing.assert_allclose(value, arrays[f"mraa_{name}__{field}"], atol=5e-6)


def test_covariance_is_the_driving_frames():
    source, driving, initial = (
        random_motion(seed).replace(covariance=np.full((1, 10, 2, 2), seed, np.float32)) for seed in range(3)
    )
    for options in ({"mode": "relative"}, {"mode": "relative", "relative_affine": False}, {"mode": "absolute"}):
        np.testing.assert_array_equal(retarget(source, driving, initial, **options).covariance, driving.covariance)


def test_no_change_gives_the_source():
    source, driving = random_motion(0), random_motion(1)
    got = retarget(source, driving, driving, mode="relative", movement_scale=3.0)
    np.testing.assert_allclose(got.keypoints, source.keypoints, atol=1e-6)
    np.testing.assert_allclose(got.affine, source.affine, atol=1e-5)


def test_source_as_initial_gives_the_driving():
    source, driving = random_motion(0), random_motion(1)
    got = retarget(source, driving, source, mode="relative")
    np.testing.assert_allclose(got.keypoints, driving.keypoints, atol=1e-6)
    np.testing.assert_allclose(got.affine, driving.affine, atol=1e-5)


def test_one_source_serves_a_batch_under_jit():
    source, driving, initial = random_motion(0), random_motion(1, 4), random_motion(2)
    jitted = jax.jit(retarget, static_argnames=("mode", "relative_affine"))
    got = jitted(source, driving, initial, mode="relative", movement_scale=1.5)
    assert (got.keypoints.shape, got.affine.shape) == ((4, 10, 2), (4, 10, 2, 2))
    for index in range(4):
        one = jax.tree.map(lambda array, index=index: array[index : index + 1], driving)
        alone = retarget(source, one, initial, mode="relative", movement_scale=1.5)
        np.testing.assert_allclose(got.keypoints[index], alone.keypoints[0], atol=1e-6)
        np.testing.assert_allclose(got.affine[index], alone.affine[0], atol=1e-5)


@pytest.mark.parametrize("multiply", [0.0, 0.5, 1.0, 1.7])
def test_change_is_multiplied(multiply):
    source, driving, initial = random_motion(0), random_motion(1, 4), random_motion(2)
    once = retarget(source, driving, initial, mode="relative", movement_scale=1.3)
    got = retarget(source, driving, initial, mode="relative", movement_scale=1.3, multiply=multiply)
    expected = source.keypoints + multiply * (once.keypoints - source.keypoints)
    np.testing.assert_allclose(got.keypoints, expected, atol=1e-5)
    np.testing.assert_allclose(got.affine, source.affine + multiply * (once.affine - source.affine), atol=1e-4)


def test_scale_per_frame():
    source, driving, initial = random_motion(0), random_motion(1, 2), random_motion(2)
    got = retarget(source, driving, initial, mode="relative", movement_scale=np.array([0.0, 1.0])[:, None, None])
    np.testing.assert_allclose(got.keypoints[0], source.keypoints[0], atol=1e-6)
    moved = driving.keypoints[1] - initial.keypoints[0] + source.keypoints[0]
    np.testing.assert_allclose(got.keypoints[1], moved, atol=1e-6)


def test_unknown_mode():
    motion = random_motion(0)
    with pytest.raises(ValueError, match="relative"):
        retarget(motion, motion, motion, mode="avd")


def test_modes_that_a_model_can_do():
    for mode, has_disentangler in (("relative", False), ("absolute", False), ("avd", True)):
        check_mode(mode, has_disentangler=has_disentangler)
    with pytest.raises(UserError, match=r"needs a disentangler, .* train one upon it with --config .*:mraa_avd"):
        check_mode("avd", has_disentangler=False)
    with pytest.raises(ValueError, match="mode must be one of relative, absolute, avd; got 'sideways'"):
        check_mode("sideways", has_disentangler=True)


def test_scale_of_squares():
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0.5, 0.5]])
    assert movement_scale(square, square / 4 + 0.3) == pytest.approx(4)


@pytest.mark.parametrize(
    "degenerate",
    [
        np.zeros((5, 2)),
        np.linspace(-1, 1, 10)[:, None] * [[1.0, 0.3]],
        np.array([[0.0, 0.0], [1.0, 1.0]]),
        np.full((5, 2), np.nan),
        1e-6 * np.random.default_rng(0).standard_normal((10, 2)),
    ],
    ids=["point", "line", "two", "nan", "tiny"],
)
def test_figures_without_area_are_not_scaled(degenerate):
    figure = random_motion(0).keypoints[0]
    assert movement_scale(degenerate, figure) == 1
    assert movement_scale(figure, degenerate) == 1


def one_by_one(keypoints):
    return (Motion(frame[None], np.zeros((1, 10, 2, 2))) for frame in keypoints)


def test_nearest_frame_ignores_place_and_size():
    source, driving = random_motion(0), random_motion(1, 6)
    keypoints = driving.keypoints.copy()
    keypoints[4] = source.keypoints[0] * 0.3 + [0.4, -0.2]
    assert nearest_frame(source, one_by_one(keypoints)) == 4
    keypoints[2] = keypoints[4]
    assert nearest_frame(source, one_by_one(keypoints)) == 2


def test_nearest_frame_passes_over_what_is_not_finite():
    source, driving = random_motion(0), random_motion(1, 3)
    keypoints = driving.keypoints.copy()
    keypoints[0] = np.nan
    keypoints[2] = source.keypoints[0]
    assert nearest_frame(source, one_by_one(keypoints)) == 2


def test_nearest_frame_of_figures_without_area():
    line = np.linspace(-1, 1, 10, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    driving = random_motion(1, 3)
    keypoints = driving.keypoints.copy()
    keypoints[1] = line
    source = random_motion(0).replace(keypoints=line[None])
    assert nearest_frame(source, one_by_one(keypoints)) == 1


def test_nearest_frame_of_none():
    with pytest.raises(UserError, match="no driving frames"):
        nearest_frame(random_motion(0), [])
