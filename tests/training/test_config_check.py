"""A config's mistakes are all reported at once, in one line."""

import pytest

from motion_transformer_jax.configs import demo
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.training.config_check import validate_config


def test_a_good_config_passes():
    validate_config(demo.get_config("debug"), device_count=8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.image_size": 36}, "model.image_size=36 is not a multiple of 8 .* take 32 or 40"),
        ({"transformer.backbone": "hrnet_w32", "model.image_size": 48}, "multiple of 32 .* take 32 or 64"),
        ({"transformer.scale": 0.3}, "transformer.scale=0.3 is not 1 over a whole number"),
        (
            {"transformer.scale": 0.25, "model.image_size": 48},
            "of 32 .*side, over transformer.scale=0.25.* 64",
        ),
        ({"generator.num_down_blocks": 6}, r"multiple of 64 \(2\*\*generator.num_down_blocks=6\); take 64"),
        ({"dense_motion.num_blocks": 5}, r"dense_motion.scale=0.5 is 16; expected a multiple of 32"),
        ({"dense_motion.scale": 0.3}, "times dense_motion.scale=0.3 is 9.6"),
        ({"dense_motion.scale": 0.0}, "expected a multiple"),
        ({"transformer.heads": 3}, "transformer.dim=32 is not divisible by transformer.heads=3"),
        ({"transformer.dim": 6, "transformer.heads": 2}, "dim=6 is not divisible by 4"),
        ({"transformer.backbone": "resnet"}, "transformer.backbone='resnet' is unknown; expected one of stem, hrnet"),
        ({"transformer.position": "rotary"}, "transformer.position='rotary' is unknown"),
        ({"background.kind": "blur"}, "background.kind='blur' is unknown"),
        ({"background.kind": "affine", "background.num_blocks": 6}, "too small for background.num_blocks=6"),
        ({"model.estimator": "fomm"}, "expected one of motion_transformer, keypoint_detector, region_predictor"),
        ({"dense_motion.covariance_heatmaps": True}, "covariance_heatmaps needs model.estimator=region_predictor"),
        ({"animate.mode": "avd"}, "animate.mode=avd needs disentangler.enabled=True"),
        ({"train.objective": "disentanglement"}, "disentanglement needs disentangler.enabled=True"),
        ({"train.objective": "disentanglement", "disentangler.enabled": True}, "pass --config.train.init_from=RUN"),
        ({"optimizer.learning_rate_motion_estimator": 0.0}, "needs a trained estimator; pass --config.train.init_from"),
        ({"train.init_from": "/no/run"}, "no folder train.init_from=/no/run; expected that of a training run"),
        ({"train.backbone_path": "/no/hrnet.pth"}, "no file train.backbone_path=/no/hrnet.pth"),
        ({"loss.adversarial": 1.0}, "loss.adversarial above 0 needs discriminator.enabled=True"),
        ({"discriminator.enabled": True, "discriminator.num_blocks": 4}, "not a tuple of discriminator.num_blocks=4"),
        (
            {"discriminator.enabled": True, "discriminator.num_blocks": 4, "loss.feature_matching": (1.0,) * 4},
            "num_blocks=4 leave nothing of an image of 32 px",
        ),
        ({"discriminator.enabled": True, "discriminator.scales": (0.3,)}, "discriminator.scales=.* 1 over a whole"),
        (
            {"model.estimator": "keypoint_detector", "keypoint_detector.num_blocks": 5},
            "is 16; expected a multiple of 32",
        ),
        ({"model.estimator": "region_predictor", "region_predictor.temperature": 0.0}, "temperature=0.0 is out of"),
        (
            {"model.estimator": "keypoint_detector", "keypoint_detector.padding": 0, "keypoint_detector.scale": 0.125},
            "sees 4 px, too few for its 7x7 heads",
        ),
        ({"region_predictor.affine": "svd"}, "expected one of principal_axes, regression"),
        ({"animate.mode": "fast"}, "animate.mode='fast' is unknown"),
        ({"dtype": "float16"}, "dtype='float16' is unknown; expected one of float32, bfloat16"),
        ({"model.num_keypoints": 0}, "model.num_keypoints=0 is out of range; expected a finite number, 1 or more"),
        ({"train.batch_size": 12}, "train.batch_size=12 is not divisible by the 8 devices; take a multiple of 8"),
        ({"train.log_every_steps": 0}, "train.log_every_steps=0 is out of range"),
        ({"loss.scales": (1.0, 0.01)}, "has 0 px, too few for relu2_1"),
        ({"loss.scales": ()}, "loss.scales=.* is not a tuple of numbers"),
        ({"loss.perceptual": (1.0,)}, "is not a tuple of 5 weights"),
        ({"loss.scales": (1.0, 0.3)}, "1 over a whole number"),
        ({"loss.perceptual": (0.0,) * 5}, "0 or more each and one above 0"),
        ({"loss.background_mask": 1.0, "model.num_keypoints": 1}, "loss.background_mask needs 2 keypoints"),
        ({"loss.landmark_guidance": 1.0, "data.kind": "folder"}, 'landmark_guidance needs data.kind="puppets"'),
        ({"train.objective": "landmarks"}, "landmarks needs a loss.landmark_guidance above 0"),
        ({"loss.landmark_guidance": 1.0, "model.num_keypoints": 4}, "landmark_guidance needs model.num_keypoints=10"),
        (
            {"loss.landmark_guidance": 1.0, "train.objective": "disentanglement"},
            "which train.objective=disentanglement leaves",
        ),
        ({"loss.landmark_guidance": 1.0, "augmentation.time_flip": True}, "switch flips, rotation and resizing off"),
        ({"loss.landmark_guidance": 1.0, "augmentation.resize_ratio": (0.9, 1.1)}, "switch flips, rotation and resiz"),
        ({"dense_motion.scale": 0.75}, "dense_motion.scale=0.75 is not 1 over a whole number"),
        ({"transformer.stem_features": 0}, "transformer.stem_features=0 is out of range"),
        (
            {"transformer.position": "none", "model.num_keypoints": 9},
            "motion tokens from the 16 image tokens",
        ),
        ({"data.puppet_identities": 7}, "data.puppet_identities=7 is out of range"),
        ({"augmentation.rotation_degrees": -1.0}, "rotation_degrees=-1.0 is out of range; expected 0 to 180"),
        ({"augmentation.rotation_degrees": 181.0}, "rotation_degrees=181.0 is out of range; expected 0 to 180"),
        ({"augmentation.brightness": float("inf")}, "augmentation.brightness=inf is out of range"),
        ({"augmentation.contrast": -0.1}, "augmentation.contrast=-0.1 is out of range"),
        ({"augmentation.saturation": float("nan")}, "augmentation.saturation=nan is out of range"),
        ({"augmentation.hue": 0.6}, "augmentation.hue=0.6 is out of range; expected 0 to 0.5"),
        (
            {"augmentation.resize_ratio": (1.1, 0.9)},
            r"resize_ratio=\(1.1, 0.9\) is not a smallest and a largest factor",
        ),
        ({"augmentation.resize_ratio": (0.9,)}, r"resize_ratio=\(0.9,\) is not .* such as \(0.9, 1.1\)"),
        ({"augmentation.resize_ratio": (0.01, 1.0)}, "expected a pair within 0.1 to 10"),
        ({"augmentation.resize_ratio": (1.0, float("inf"))}, "within 0.1 to 10"),
        ({"augmentation.resize_ratio": ("a", "b")}, "resize_ratio=.* is not a smallest"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"optimizer.learning_rate_generator": float("inf")}, "learning_rate_generator=inf is out of range"),
        ({"optimizer.b1": 1.0}, r"optimizer.b1=1.0 is not in \[0, 1\)"),
        ({"optimizer.gamma": 0.0}, "optimizer.gamma=0.0"),
        ({"optimizer.learning_rate_generator": float("nan")}, "learning_rate_generator=nan"),
        ({"optimizer.milestones_epochs": (90, 60)}, "not a rising tuple"),
        ({"data.kind": "folder"}, "data.folder is empty; pass --config.data.folder=DIR"),
        ({"data.kind": "folder", "data.folder": "/no/such"}, "no folder data.folder=/no/such"),
        ({"perceptual.weights": "imagenet", "perceptual.path": "/no/vgg.pth"}, "no file perceptual.path=/no/vgg.pth"),
    ],
)
def test_each_mistake_is_named(changes, message):
    config = demo.get_config("debug")
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=message) as error:
        validate_config(config, device_count=8)
    assert "\n" not in str(error.value)


def test_all_mistakes_at_once():
    config = demo.get_config("debug")
    config.transformer.backbone = "resnet"
    config.optimizer.b2 = -1.0
    config.train.batch_size = 3
    config.data.kind = "folder"
    with pytest.raises(UserError, match=r"backbone.*; optimizer.b2.*; train.batch_size.*; data.folder"):
        validate_config(config, device_count=2)


def test_a_resumed_run_needs_no_weights_to_start_from():
    config = demo.get_config("mraa_avd,debug")
    validate_config(config, is_new=False)
    config.train.update(init_from="/gone", backbone_path="/gone.pth")
    validate_config(config, is_new=False)
    with pytest.raises(UserError, match=r"no folder train\.init_from=/gone.*; no file train\.backbone_path=/gone\.pth"):
        validate_config(config)


def test_data_may_be_left_out():
    config = demo.get_config("debug")
    config.data.kind = "folder"
    validate_config(config, need_data=False)
