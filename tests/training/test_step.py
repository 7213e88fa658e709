"""Training steps held to the official code's: losses, gradients and parameters, three steps in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from parity import abstract_variables, rule_tensor, rule_variables
from tiny_model import random_variables

from motion_transformer_jax.configs import taichi256, vox256
from motion_transformer_jax.data.puppet_skeleton import JOINTS
from motion_transformer_jax.models import token_transformer
from motion_transformer_jax.models.animation_model import create_animation_model
from motion_transformer_jax.models.vgg import random_vgg19
from motion_transformer_jax.ops.thin_plate import ThinPlate, sample_thin_plate
from motion_transformer_jax.torch_io.names import to_torch_layout, torch_names
from motion_transformer_jax.torch_io.vgg import CONVOLUTION_INDICES
from motion_transformer_jax.training.landmark_guidance import PARTS, landmark_guidance
from motion_transformer_jax.training.optimizer import create_configured_optimizer
from motion_transformer_jax.training.state import DISCRIMINATOR, TrainState, create_variables, with_fresh_average
from motion_transformer_jax.training.step import (
    apply_gradients,
    compute_gradients,
    compute_losses,
    estimate_frames,
    sample_warps,
)

# Our names of the losses, and the official ones: of Motion Transformer and FOMM, or of MRAA.
LOSSES = {
    "total": "total",
    "perceptual": "perceptual",
    "equivariance_keypoints": "equivariance_value",
    "equivariance_affine": "equivariance_jacobian",
    "adversarial": "gen_gan",
    "feature_matching": "feature_matching",
    "discriminator": "disc_gan",
    "background_mask": "bg_mask_loss",
    "mask_concentration": "fg_mask_concentration",
}


MRAA_LOSSES = {
    "total": "total",
    "perceptual": "perceptual",
    "equivariance_keypoints": "equivariance_shift",
    "equivariance_affine": "equivariance_affine",
}


def reduced_config(module, image_size: int, variant: str = ""):
    """The official experiment with the reductions of the recorded run."""
    config = module.get_config(variant)
    config.model.image_size = image_size
    config.transformer.depth = 4
    config.generator.update(base_features=16, max_features=64, num_bottleneck_blocks=2)
    config.dense_motion.update(base_features=16, max_features=64, num_blocks=3)
    config.background.update(base_features=8, max_features=64, num_blocks=4)
    for detector in (config.keypoint_detector, config.region_predictor):
        detector.update(base_features=16, max_features=64, num_blocks=3)
    config.discriminator.update(base_features=8, max_features=32)
    config.loss.scales = (1.0, 0.5, 0.25) if image_size == 64 else (1.0, 0.5, 0.25, 0.125)
    return config


def rule_vgg(dtype) -> dict:
    params = {}
    for name, layer in jax.eval_shape(lambda: random_vgg19(0)).items():
        index = CONVOLUTION_INDICES[int(name.removeprefix("conv_"))]
        h, w, inputs, outputs = layer["kernel"].shape
        kernel = rule_tensor(f"vgg.features.{index}.weight", (outputs, inputs, h, w)).transpose(2, 3, 1, 0)
        bias = rule_tensor(f"vgg.features.{index}.bias", (outputs,))
        params[name] = {"kernel": jnp.asarray(kernel, dtype), "bias": jnp.asarray(bias, dtype)}
    return params


@dataclasses.dataclass
class Run:
    """What some steps computed: each step's losses, the first step's gradients, the states before and after each."""

    losses: list[dict[str, float]]
    gradients: dict[str, np.ndarray]
    states: list[dict[str, np.ndarray]]


def named(variables: dict) -> dict[str, np.ndarray]:
    flat = traverse_util.flatten_dict(variables)
    return {
        ".".join(name): to_torch_layout(path, np.asarray(flat[path])) for path, name in torch_names(variables).items()
    }


def run_steps(config, official: dict, dtype, num_steps: int) -> Run:
    """Steps with the recorded sine table: it is a weight of the official modules, and ours may differ by its last bit,
    which three steps of Adam amplify to some 1e-3 of a parameter's change.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "position_table" in official:
            patch.setattr(token_transformer, "sine_position_table", lambda *_: official["position_table"])
        return _run_steps(config, official, dtype, num_steps)


def _run_steps(config, official: dict, dtype, num_steps: int) -> Run:
    model = create_animation_model(config, train=True, estimated_batches=3)
    template = jax.eval_shape(functools.partial(create_variables, config), jax.random.key(0))
    variables = jax.tree.map(lambda x: jnp.asarray(x, dtype), rule_variables(template, "train"))
    optimizer = create_configured_optimizer(config, milestone_steps=())
    state = TrainState(0, variables["params"], variables["batch_stats"], optimizer.init(variables["params"]))
    source, driving = (jnp.asarray(np.float32(official[f"{n}_u8"]) / np.float32(255), dtype) for n in FRAMES)
    weights = official["tps_control_params"][:, 0]
    transform = ThinPlate(jnp.asarray(official["tps_theta"], dtype), jnp.asarray(weights, dtype))

    @jax.jit
    def step(state, vgg_params):
        gradients, batch_stats, terms = compute_gradients(
            config, model, state.params, state.batch_stats, vgg_params, source, driving, transform
        )
        return apply_gradients(config, optimizer, state, gradients, batch_stats), terms, gradients

    run, vgg_params = Run([], {}, [named(variables)]), rule_vgg(dtype)
    for i in range(num_steps):
        state, terms, gradients = step(state, vgg_params)
        run.losses.append({name: float(value) for name, value in terms.items()})
        run.states.append(named({"params": state.params, "batch_stats": state.batch_stats}))
        if i == 0:
            run.gradients = named({"params": gradients})
    return run


FRAMES = ("source", "driving")


@pytest.mark.long
def test_losses_without_a_background_predictor(golden):
    """The first keypoint's mask then counts as background; one forward pass, in float32."""
    official = golden("train_step_mtia")
    config = reduced_config(taichi256, 64)
    config.background.kind = "none"
    model = create_animation_model(config, train=True, estimated_batches=3)
    variables = rule_variables(abstract_variables(create_animation_model(config), 64), "train")
    frames = (jnp.float32(official[f"{name}_u8"]) / 255 for name in FRAMES)
    transform = ThinPlate(jnp.asarray(official["tps_theta"]), jnp.asarray(official["tps_control_params"][:, 0]))
    losses = jax.jit(lambda v, vgg, source, driving: compute_losses(config, model, v, vgg, source, driving, transform))
    _, outcome = losses(variables, rule_vgg(np.float32), *frames)
    for name, value in outcome.terms.items():
        expected = official[f"losses_without_bg_predictor__{LOSSES[name]}"]
        np.testing.assert_allclose(value, expected, rtol=2e-5, err_msg=name)


@pytest.mark.slow
def test_landmark_guidance_is_one_of_the_losses():
    config = vox256.get_config("debug")
    config.model.num_keypoints, config.loss.landmark_guidance = len(PARTS), 3.0
    model = create_animation_model(config, train=True, estimated_batches=3)
    source, driving = jax.random.uniform(jax.random.key(0), (2, 2, 32, 32, 3))
    joints = jax.random.uniform(jax.random.key(1), (2, len(JOINTS), 2), minval=-1, maxval=1)
    transform = sample_thin_plate(jax.random.key(2), 2, sigma_affine=0.05, sigma_tps=0.005, points=3)

    @jax.jit
    def compute(variables, joints):
        arguments = (config, model, variables, random_vgg19(0, num_taps=2), source, driving, transform)
        (_, plain), (total, guided) = compute_losses(*arguments), compute_losses(*arguments, joints)
        [_, motion, _], _ = estimate_frames(model, variables, jnp.stack([source, driving, driving]))
        return plain.terms, guided.terms, total, landmark_guidance(motion, joints)

    plain, guided, total, value = compute(random_variables(config), joints)
    assert guided.keys() - plain.keys() == {"landmark_guidance"}
    np.testing.assert_allclose(guided["landmark_guidance"], 3 * value, rtol=1e-4)
    np.testing.assert_allclose(total, sum(guided.values()), rtol=1e-5)


def norms_and_sums(arrays: dict, names) -> np.ndarray:
    return np.array([[np.linalg.norm(arrays[n].ravel()), arrays[n].sum(dtype=np.float64)] for n in names])


def assert_losses(run: Run, official: dict, rtol: float) -> None:
    names = LOSSES if "step0_loss__equivariance_value" in official else MRAA_LOSSES
    for i, terms in enumerate(run.losses):
        keys = {name: f"step{i}_loss__{key}" for name, key in names.items()} | {"total": f"step{i}_loss_total"}
        expected = {name: official[key] for name, key in keys.items() if key in official}
        assert terms.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(terms[name], value, rtol=rtol, err_msg=f"step {i}, {name}")


# Recorded run: experiment, image size, variant.
RUNS = {
    "train_step_mtia": (taichi256, 64),
    "train_step_mtia_vox128": (vox256, 128),
    "train_step_fomm": (vox256, 64, "fomm_adv"),
    "train_step_mraa": (taichi256, 64, "mraa"),
}


MARKS = {
    "train_step_mtia": [pytest.mark.slow],  # compiles longer than it computes
    "train_step_mtia_vox128": [pytest.mark.long, pytest.mark.optimized],  # the same networks at another size
    "train_step_fomm": [pytest.mark.slow, pytest.mark.optimized],
    "train_step_mraa": [pytest.mark.slow, pytest.mark.optimized],
}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=MARKS[name]) for name in RUNS])
def float64_run(request, golden):
    official = golden(request.param)
    with jax.enable_x64(True):
        return run_steps(reduced_config(*RUNS[request.param]), official, np.float64, 3), official


def test_losses_of_three_steps(float64_run):
    run, official = float64_run
    assert_losses(run, official, rtol=1e-5)


def test_gradients_of_the_first_step(float64_run):
    run, official = float64_run
    keep = ~official["grad_is_zero"].astype(bool)
    names = official["grad_names"].astype(str)[keep]
    norms = norms_and_sums(run.gradients, names)[:, 0]
    np.testing.assert_allclose(norms, official["grad_norm_sum"][keep, 0], rtol=1e-5)
    if "disc_grad_names" in official:
        norms = norms_and_sums(run.gradients, official["disc_grad_names"].astype(str))[:, 0]
        np.testing.assert_allclose(norms, official["disc_grad_norm_sum"][:, 0], rtol=1e-5, atol=1e-7)
    recorded = [key for key in official if key.startswith("grad__")]
    assert len(recorded) > 10
    for key in recorded:
        scale = np.abs(official[key]).max()
        np.testing.assert_allclose(
            run.gradients[key.removeprefix("grad__")],
            official[key],
            rtol=1e-5,
            atol=max(1e-6 * scale, 1e-12),
            err_msg=key,
        )


@pytest.mark.parametrize("steps", [1, 3])
def test_parameters_after(float64_run, steps):
    run, official = float64_run
    keep = ~official["param_grad_is_zero"].astype(bool)
    names = official["param_names"].astype(str)[keep]
    for kind, arrays in {"param": run.states[steps], "delta": difference(run.states[steps], run.states[0])}.items():
        norms = norms_and_sums(arrays, names)[:, 0]
        expected = official[f"{kind}_after_{steps}_norm_sum"][keep, 0]
        np.testing.assert_allclose(norms, expected, rtol=1e-5, err_msg=kind)


def difference(after: dict, before: dict) -> dict:
    return {name: after[name] - before[name] for name in before}


def test_running_statistics_after_three_steps(float64_run):
    run, official = float64_run
    norms = norms_and_sums(run.states[3], official["bn_names"].astype(str))[:, 0]
    np.testing.assert_allclose(norms, official["bn_after_3_norm_sum"][:, 0], rtol=1e-5)


@pytest.fixture(scope="module")
def float32_run(golden):
    official = golden("train_step_fomm")
    return run_steps(reduced_config(*RUNS["train_step_fomm"]), official, np.float32, 1), official


@pytest.mark.long
def test_float32_losses(float32_run):
    run, official = float32_run
    assert_losses(run, official, rtol=2e-5)


@pytest.mark.long
def test_float32_gradients(float32_run):
    run, official = float32_run
    keep = ~official["grad_is_zero"].astype(bool)
    norms = norms_and_sums(run.gradients, official["grad_names"].astype(str)[keep])[:, 0]
    np.testing.assert_allclose(norms, official["grad_norm_sum"][keep, 0], rtol=5e-2)


def test_frames_at_once_leave_the_statistics_of_frames_in_turn():
    config = vox256.get_config("debug")
    model = create_animation_model(config, train=True, estimated_batches=3)
    frames = jax.random.uniform(jax.random.key(0), (3, 2, 32, 32, 3))
    variables = random_variables(config)
    motions, at_once = jax.jit(lambda v: estimate_frames(model, v, frames))(variables)
    single = create_animation_model(config, train=True)
    estimate = jax.jit(lambda v, frame: single.apply(v, frame, method="estimate", mutable=["batch_stats"]))
    in_turn = dict(variables)
    for frame, motion in zip(frames, motions, strict=True):
        alone, updated = estimate(in_turn, frame)
        in_turn["batch_stats"] = {**in_turn["batch_stats"], **updated["batch_stats"]}
        np.testing.assert_allclose(motion.keypoints, alone.keypoints, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), at_once, in_turn["batch_stats"])


def test_rematerialized_gradients_are_the_same():
    config = vox256.get_config("debug")
    config.loss.perceptual = (1.0,)
    model = create_animation_model(config, train=True, estimated_batches=3)
    variables, vgg_params = random_variables(config), random_vgg19(0, num_taps=1)
    size = config.model.image_size
    source, driving = jax.random.uniform(jax.random.key(0), (2, 1, size, size, 3))
    transform = ThinPlate(jnp.eye(2, 3)[None], jnp.zeros((1, config.loss.warp_points**2)))

    found, recomputed = [], []
    for config.train.rematerialize in (False, True):

        def gradients(params: dict) -> dict:  # a new one each time, since JAX remembers what it has traced
            return compute_gradients(
                config, model, params, variables["batch_stats"], vgg_params, source, driving, transform
            )[0]

        recomputed.append(str(jax.make_jaxpr(gradients)(variables["params"])).count("remat"))
        found.append(jax.jit(gradients)(variables["params"]))
    assert recomputed[0] == 0 < recomputed[1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * max(1, np.abs(a).max())), *found)


def test_warps_depend_on_the_example_and_the_step_alone():
    config = vox256.get_config("debug")

    def sample(step: int, devices: int) -> ThinPlate:
        mapped = jax.vmap(
            lambda _: sample_warps(config, step, 4 // devices), axis_name="data", axis_size=devices, in_axes=0
        )(jnp.zeros(devices))
        return jax.tree.map(lambda x: np.asarray(x).reshape(4, *x.shape[2:]), mapped)

    one, two, later = sample(0, 1), sample(0, 2), sample(1, 1)
    np.testing.assert_array_equal(one.theta, two.theta)
    np.testing.assert_array_equal(one.weights, two.weights)
    assert not np.allclose(one.theta, later.theta)
    assert not np.allclose(one.theta[0], one.theta[1])


def test_moving_average_of_weights_and_statistics():
    config = vox256.get_config("debug")
    config.optimizer.ema_decay = 0.75
    params = {"generator": {"conv": {"kernel": jnp.arange(6.0)}}, DISCRIMINATOR: {"head": {"bias": jnp.ones(1)}}}
    statistics = {"generator": {"norm": {"mean": jnp.arange(3.0)}}}
    config.discriminator.enabled = True
    optimizer = create_configured_optimizer(config, milestone_steps=())
    state = with_fresh_average(TrainState(jnp.int32(0), params, statistics, optimizer.init(params)))
    gradients = jax.tree.map(jnp.ones_like, state.params)
    statistics = jax.tree.map(lambda x: x + 1, state.batch_stats)
    after = apply_gradients(config, optimizer, state, gradients, statistics)
    for average, before, now in [
        (after.ema_params, state.ema_params, {"generator": after.params["generator"]}),
        (after.ema_batch_stats, state.batch_stats, statistics),
    ]:
        expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, before, now)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), average, expected)
    assert after.inference_variables() == {"params": after.ema_params, "batch_stats": after.ema_batch_stats}
