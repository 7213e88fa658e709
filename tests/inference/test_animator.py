"""The engine against the plain model; streaming, batches, best frame."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_model import SIZE, random_frames, tiny_avd_config, tiny_avd_variables, tiny_config, tiny_variables

from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference import animator as animator_module
from motion_transformer_jax.inference.animated_frame import DrivingFrame
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.inference.retarget import movement_scale, nearest_frame, retarget
from motion_transformer_jax.inference.smoothing import smoothed
from motion_transformer_jax.models.animation_model import create_animation_model

BATCH = 4
SOURCE = random_frames(1, seed=9)[0]
DRIVING = random_frames(6)


@pytest.fixture(scope="module")
def animator():
    return Animator(tiny_config(), tiny_variables(), batch_size=BATCH)


@pytest.fixture(scope="module")
def plain():
    """The model on one frame, without the engine."""
    model = create_animation_model(tiny_config())

    @jax.jit
    def estimate(image):
        return model.apply(tiny_variables(), image[None] / 255, method="estimate")

    @jax.jit
    def generate(source, driving_motion):
        source = source[None] / 255
        source_motion = model.apply(tiny_variables(), source, method="estimate")
        features = model.apply(tiny_variables(), source, method="encode")
        return model.apply(tiny_variables(), source, features, source_motion, driving_motion, method="generate")

    def animate(source, driving, *, mode, adapt_scale=False, best_frame=0):
        source_motion, initial = estimate(source), estimate(driving[best_frame])
        scale = movement_scale(source_motion.keypoints[0], initial.keypoints[0]) if adapt_scale else 1.0
        for frame in driving:
            motion = retarget(source_motion, estimate(frame), initial, mode=mode, movement_scale=scale)
            yield generate(source, motion)

    animate.estimate = estimate
    animate.generate = generate
    return animate


def assert_same_frames(got, expected):
    got, expected = np.stack(list(got)).astype(int), np.stack(list(expected)).astype(int)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1  # rounding to uint8 of floats that differ in the last digits
    assert np.abs(got - expected).mean() < 0.01


def mean_difference(frames, others):
    return np.mean(np.abs(np.stack(list(frames)).astype(float) - np.stack(list(others))))


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "relative"},
        {"mode": "absolute"},
        {"mode": "relative", "adapt_scale": True},
        {"mode": "relative", "best_frame": 3},
    ],
    ids=str,
)
def test_equals_the_plain_model(animator, plain, options):
    details = list(animator.animate_with_details(SOURCE, DRIVING, **options))
    expected = list(plain(SOURCE, DRIVING, **options))
    assert len(details) == len(DRIVING)
    assert all(frame.image.dtype == np.uint8 and frame.image.shape == (SIZE, SIZE, 3) for frame in details)
    assert_same_frames([frame.image for frame in details], [np.round(g.prediction[0] * 255) for g in expected])
    for frame, generation, driving in zip(details, expected, DRIVING, strict=True):
        np.testing.assert_array_equal(frame.driving, driving)
        np.testing.assert_allclose(frame.mask, generation.dense.mask[0], atol=1e-4)
        np.testing.assert_allclose(frame.motion.keypoints, generation.driving_motion.keypoints, atol=1e-5)
        np.testing.assert_allclose(frame.motion.affine, generation.driving_motion.affine, atol=1e-4)
        np.testing.assert_allclose(frame.driving_motion.keypoints, plain.estimate(driving).keypoints, atol=1e-5)


def test_options_change_the_result(animator):
    """Without this, the comparison above would say nothing about them."""
    relative = list(animator.animate(SOURCE, DRIVING, mode="relative"))
    for options in ({"mode": "absolute"}, {"adapt_scale": True}, {"best_frame": 3}):
        assert mean_difference(relative, animator.animate(SOURCE, DRIVING, **options)) > 0.1


@pytest.fixture(scope="module")
def avd_animator():
    return Animator(tiny_avd_config(), tiny_avd_variables(), batch_size=BATCH)


def test_disentangled_motion(avd_animator):
    """Each frame shows the driving pose in the source's shape, whichever frame came first."""
    model, variables = create_animation_model(tiny_avd_config()), tiny_avd_variables()
    disentangle = jax.jit(lambda source, driving: model.apply(variables, source, driving, method="disentangle"))
    source = avd_animator.encode_source(SOURCE).motion
    details = list(avd_animator.animate_with_details(SOURCE, DRIVING, mode="avd"))
    for frame in details:
        expected = disentangle(source, frame.driving_motion)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), frame.motion, expected)
    images = [frame.image for frame in details]
    assert_same_frames(avd_animator.animate(SOURCE, DRIVING[::-1], mode="avd"), images[::-1])
    np.testing.assert_array_equal(list(avd_animator.animate(SOURCE, DRIVING)), images)  # the config's mode
    for mode in ("relative", "absolute"):
        assert mean_difference(avd_animator.animate(SOURCE, DRIVING, mode=mode), images) > 0.1


def test_no_disentangler(animator):
    with pytest.raises(UserError, match="mode avd needs a disentangler, which this checkpoint lacks; train one"):
        animator.animate(SOURCE, DRIVING, mode="avd")


def test_options_default_to_the_config(animator):
    config = tiny_config()
    config.animate.mode, config.animate.adapt_scale = "absolute", True
    configured = Animator(config, tiny_variables(), batch_size=BATCH)
    np.testing.assert_array_equal(
        list(configured.animate(SOURCE, DRIVING)), list(animator.animate(SOURCE, DRIVING, mode="absolute"))
    )
    np.testing.assert_array_equal(
        list(configured.animate(SOURCE, DRIVING, mode="relative")),
        list(animator.animate(SOURCE, DRIVING, mode="relative", adapt_scale=True)),
    )


def test_batch_size_does_not_matter(animator):
    single = Animator(tiny_config(), tiny_variables(), batch_size=1)
    assert_same_frames(single.animate(SOURCE, DRIVING), animator.animate(SOURCE, DRIVING))


def test_a_batch_is_spread_over_the_devices_that_divide_it(animator):
    devices = jax.local_devices()[:2]
    pair = Animator(tiny_config(), tiny_variables(), batch_size=BATCH, devices=devices)
    alone = Animator(tiny_config(), tiny_variables(), batch_size=BATCH, devices=devices[:1])
    odd = Animator(tiny_config(), tiny_variables(), batch_size=3, devices=devices)
    assert [engine.num_devices for engine in (animator, pair, alone, odd)] == [BATCH, 2, 1, 1]
    motion = pair._estimate(np.zeros((BATCH, SIZE, SIZE, 3), np.uint8))
    assert {shard.device: shard.data.shape[0] for shard in motion.keypoints.addressable_shards} == dict.fromkeys(
        devices, 2
    )
    assert_same_frames(pair.animate(SOURCE, DRIVING), alone.animate(SOURCE, DRIVING))


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1])
def test_lengths_around_a_batch(animator, count):
    whole = list(animator.animate(SOURCE, DRIVING))
    np.testing.assert_array_equal(list(animator.animate(SOURCE, DRIVING[:count])), whole[:count])


def test_compiles_once(animator):
    for mode in ("relative", "absolute"):
        list(animator.animate(SOURCE, DRIVING, mode=mode))
    functions = (animator_module._estimate_spread, animator_module.encode, animator_module._generate_spread)
    before = [function.jitted()._cache_size() for function in functions]
    for count in range(1, 7):
        list(animator.animate(SOURCE, DRIVING[:count], mode="absolute"))
    list(animator.animate(random_frames(1, 20, 50)[0], random_frames(3, 64, 40), best_frame="auto", adapt_scale=True))
    list(Animator(tiny_config(), tiny_variables(), batch_size=BATCH).animate(SOURCE, DRIVING))
    assert [function.jitted()._cache_size() for function in functions] == before


@pytest.mark.parametrize("adapt_scale", [False, True])
def test_driven_by_itself_is_reconstruction(animator, plain, adapt_scale):
    reconstruction = plain.generate(SOURCE, plain.estimate(SOURCE)).prediction[0]
    frames = animator.animate(SOURCE, [SOURCE] * 2, mode="relative", adapt_scale=adapt_scale)
    assert_same_frames(frames, [np.round(reconstruction * 255)] * 2)


def test_relative_motion_starts_at_the_initial_frame(animator, plain):
    """Frame N shows the source in its own motion."""
    reconstruction = np.round(plain.generate(SOURCE, plain.estimate(SOURCE)).prediction[0] * 255)
    for best_frame in (0, 2, 5):
        frames = list(animator.animate(SOURCE, DRIVING, mode="relative", best_frame=best_frame))
        assert_same_frames([frames[best_frame]], [reconstruction])


def test_best_frame_is_found(animator):
    for planted in (0, 3, 5):
        source = DRIVING[planted]
        motion = animator.encode_source(source).motion
        assert nearest_frame(motion, animator.estimate_motions(iter(DRIVING))) == planted
        auto = animator.animate(source, lambda: iter(DRIVING), mode="relative", best_frame="auto")
        chosen = animator.animate(source, DRIVING, mode="relative", best_frame=planted)
        np.testing.assert_array_equal(list(auto), list(chosen))


def test_motions_are_streamed(animator, plain):
    motions = list(animator.estimate_motions(iter(DRIVING)))
    assert len(motions) == len(DRIVING)
    for motion, frame in zip(motions, DRIVING, strict=True):
        assert isinstance(motion.keypoints, np.ndarray) and motion.keypoints.shape == (1, 4, 2)
        np.testing.assert_allclose(motion.keypoints, plain.estimate(frame).keypoints, atol=1e-5)
        np.testing.assert_allclose(motion.affine, plain.estimate(frame).affine, atol=1e-5)


def test_frames_are_drawn_as_they_are_needed(animator):
    drawn = []

    def frames():
        for index in range(1000):
            drawn.append(index)
            yield DRIVING[index % 6]

    stream = animator.animate(SOURCE, frames())
    assert drawn == [0]
    for count in range(10):
        next(stream)
        assert len(drawn) <= (count // BATCH + 3) * BATCH
    stream.close()


def test_each_frame_is_estimated_once(animator, monkeypatch):
    """The first one too, whose motion the others are relative to."""
    source = animator.encode_source(SOURCE)
    estimate, batches = animator._estimate, []
    monkeypatch.setattr(animator, "_estimate", lambda frames: batches.append(frames) or estimate(frames))
    assert len(list(animator.animate(source, DRIVING))) == len(DRIVING)
    assert len(batches) == -(-len(DRIVING) // BATCH)


def test_in_a_batch_of_one_results_come_before_the_next_frame():
    drawn = []

    def frames():
        for frame in DRIVING:
            drawn.append(1)
            yield frame

    single = Animator(tiny_config(), tiny_variables(), batch_size=1)
    for count, _ in enumerate(single.animate(SOURCE, frames()), 1):
        assert len(drawn) == count


def test_kept_motions_give_the_same_frames(animator):
    source = animator.encode_source(SOURCE)
    tracked = list(animator.track(DRIVING))
    np.testing.assert_array_equal([frame.image for frame in tracked], DRIVING)
    kept = [DrivingFrame(frame.motion) for frame in tracked]
    got = list(animator.animate_tracked(source, kept, tracked[0].motion))
    np.testing.assert_array_equal([frame.image for frame in got], list(animator.animate(SOURCE, DRIVING)))
    assert {frame.driving for frame in got} == {None}


def test_videos_are_opened_as_often_as_needed(animator):
    opened = []

    def frames():
        opened.append(1)
        return iter(DRIVING[:2])

    list(animator.animate(SOURCE, frames))
    assert len(opened) == 1
    list(animator.animate(SOURCE, frames, mode="absolute", best_frame=1))
    assert len(opened) == 2
    with pytest.raises(ValueError, match="read twice; pass a list or a callable"):
        animator.animate(SOURCE, frames(), best_frame=1)


def test_any_size_is_fitted(animator):
    source, driving = random_frames(1, 60, 90)[0], random_frames(3, 100, 40)
    fitted = [resize_image(frame, (SIZE, SIZE)) for frame in driving]
    details = list(animator.animate_with_details(source, driving))
    np.testing.assert_array_equal([frame.driving for frame in details], fitted)
    expected = animator.animate(resize_image(source, (SIZE, SIZE)), fitted)
    np.testing.assert_array_equal([frame.image for frame in details], list(expected))
    assert len(list(animator.animate(source[:1, :1], driving[:, :1, :1]))) == 3


def test_an_encoded_source_serves_again(animator, monkeypatch):
    state = animator.encode_source(SOURCE)
    expected = list(animator.animate(SOURCE, DRIVING))
    monkeypatch.setattr(animator, "_encode", None)
    for _ in range(2):
        np.testing.assert_array_equal(list(animator.animate(state, DRIVING)), expected)


def test_background_predictor_is_left_out(animator):
    config = tiny_config()
    config.background.kind = "affine"
    assert "background_predictor" not in tiny_variables()["params"]  # so that using it would fail
    frames = Animator(config, tiny_variables(), batch_size=BATCH).animate(SOURCE, DRIVING)
    np.testing.assert_array_equal(list(frames), list(animator.animate(SOURCE, DRIVING)))


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_mistakes(animator, mode):
    with pytest.raises(UserError, match="no driving frames"):
        animator.animate(SOURCE, [], mode=mode)
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], got float32"):
        animator.animate(SOURCE, DRIVING.astype(np.float32), mode=mode)
    with pytest.raises(ValueError, match=r"got uint8 \[32, 32\]"):
        animator.animate(SOURCE[..., 0], DRIVING, mode=mode)


def test_mistaken_best_frames(animator):
    with pytest.raises(UserError, match="no driving frame 6; the video has 6, choose a best frame from 0 to 5"):
        animator.animate(SOURCE, DRIVING, best_frame=6)
    with pytest.raises(UserError, match="no driving frames"):
        animator.animate(SOURCE, [], best_frame="auto")
    with pytest.raises(ValueError, match="mode must be"):
        animator.animate(SOURCE, DRIVING, mode="sideways")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"best_frame": -1}, "the best frame is -1; expected auto or a frame's number from 0"),
        ({"multiply": float("nan")}, "multiplied by nan; expected between 0 and 5"),
        ({"multiply": 9}, "multiplied by 9"),
        ({"smooth_fps": 0}, "smoothed at 0 frames per second; expected more than 0"),
    ],
    ids=str,
)
def test_numbers_out_of_range(animator, options, message):
    with pytest.raises(UserError, match=message):
        animator.animate(SOURCE, DRIVING, **options)


def test_pillows_images_serve_too(animator):
    source, driving = Image.fromarray(SOURCE), [Image.fromarray(frame) for frame in DRIVING]
    expected = list(animator.animate(SOURCE, DRIVING))
    np.testing.assert_array_equal(list(animator.animate(source, driving)), expected)
    clear = Image.fromarray(np.dstack([SOURCE, np.zeros((SIZE, SIZE), np.uint8)]))
    white = np.full_like(SOURCE, 255)
    np.testing.assert_array_equal(animator.encode_source(clear).image, animator.encode_source(white).image)


def test_what_is_no_image(animator):
    for source in ("me.png", Path("me.png"), [[1, 2]], None):
        with pytest.raises(TypeError, match=rf"or Pillow's, got a {type(source).__name__}; read files with"):
            animator.animate(source, DRIVING)
    for frames in ("dance.mp4", Path("dance.mp4")):
        with pytest.raises(TypeError, match=r"got a path, dance\.mp4; read it with data\.video\.read_frames"):
            animator.animate(SOURCE, frames)


@pytest.mark.parametrize("best_frame", [0, 3, "auto"])
def test_smoothing(animator, best_frame):
    """Of every motion, that of the initial frame included."""
    source = animator.encode_source(SOURCE)
    driving = list(smoothed(animator.track(DRIVING), 25))
    index = nearest_frame(source.motion, (frame.motion for frame in driving)) if best_frame == "auto" else best_frame
    expected = animator.animate_tracked(source, driving, driving[index].motion)
    got = list(animator.animate(source, DRIVING, best_frame=best_frame, smooth_fps=25))
    np.testing.assert_array_equal(got, [frame.image for frame in expected])
    assert mean_difference(got, animator.animate(source, DRIVING, best_frame=best_frame)) > 0.1
