"""Every knob of the project with its default: the settings that the paper's experiments share.

An experiment starts from `get_config()` and changes leaves only; a dict assigned over a group would replace its keys
unchecked. The defaults are those of the official VoxCeleb configuration.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The shared defaults, unlocked."""
    config = ConfigDict()
    config.name = "base"
    config.seed = 0
    config.dtype = "float32"  # compute type of convolutions and matrix products: "float32" or "bfloat16"
    config.model = _model()
    config.transformer = _transformer()
    config.dense_motion = ConfigDict(
        dict(
            base_features=64,  # channels after the hourglass's last up block
            max_features=1024,
            num_blocks=5,  # down blocks, and as many up blocks
            scale=0.25,  # the flow field's size as a share of the image's
            covariance_heatmaps=False,  # show each region by its own covariance, which region_predictor alone gives
        )
    )
    config.generator = ConfigDict(
        dict(
            base_features=64,  # channels at full size
            max_features=512,
            num_down_blocks=2,
            num_bottleneck_blocks=6,
            skips=True,  # warp and blend the encoder's features into the decoder at every size
        )
    )
    config.keypoint_detector = _keypoint_detector()
    config.region_predictor = _region_predictor()
    config.disentangler = ConfigDict(
        dict(
            enabled=False,  # MRAA's network that gives the driving pose to the source figure's shape
            identity_features=64,
            pose_features=64,
        )
    )
    config.discriminator = ConfigDict(
        dict(
            enabled=False,  # needed where loss.adversarial is above 0
            scales=(1.0,),  # of the images that it sees
            base_features=32,
            max_features=512,
            num_blocks=4,
            spectral_norm=False,
            use_keypoints=False,  # it also sees the driving keypoints as heat maps
        )
    )
    config.background = ConfigDict(
        dict(
            kind="none",  # motion of the background: "none", "zero", "shift", "affine" or "perspective"
            base_features=32,
            max_features=1024,
            num_blocks=5,
        )
    )
    config.loss = _loss()
    config.perceptual = ConfigDict(
        dict(
            weights="imagenet",  # of the VGG19: "imagenet" or "random" (fixed seed, no file needed)
            path="",  # torchvision's vgg19 file; empty: its usual cache, else a download
        )
    )
    config.optimizer = _optimizer()
    config.data = _data()
    config.augmentation = _augmentation()
    config.train = _train()
    config.animate = ConfigDict(
        dict(
            mode="relative",  # "relative": source motion plus driving change; "absolute": driving motion; "avd": the
            # driving pose in the source figure's shape, by the disentangler
            adapt_scale=False,  # scale relative motion by the figures' size
        )
    )
    return config


def _model() -> ConfigDict:
    return ConfigDict(
        dict(
            estimator="motion_transformer",  # or "keypoint_detector" (FOMM) or "region_predictor" (MRAA)
            image_size=256,  # pixels, square
            num_keypoints=10,
            align_corners=False,  # of sampling; False: the official mix of conventions, which shrinks an unmoved
            # image by a pixel of the flow field; True: corners everywhere, an unmoved image stays as it is
            revert_axis_swap=False,  # make a pair's affines agree in sign, which principal axes leave open
        )
    )


def _transformer() -> ConfigDict:
    return ConfigDict(
        dict(
            backbone="hrnet_w32",  # "stem", "hrnet_w32" or "hrnet_w48"
            scale=1.0,  # the estimator's image as a share of the model's; the official one sees all of it
            stem_features=64,  # channels of the stem's convolutions, a quarter of those that leave it
            patch_size=4,  # cells of the backbone's quarter-size map along a side of an image token
            dim=192,
            depth=12,  # layers in a stack
            heads=8,
            mlp_ratio=3,
            stacks=1,  # transformers in series, all read by the heads; the paper's large model has 3
            position="sine_every_layer",  # "none", "sine", "sine_every_layer" or "learnable"
            image_attends_to_motion=True,  # False: image tokens cannot look at motion tokens
            token_std=0.02,  # spread of the motion tokens at the start; the official one
            keypoint_std=0.02,  # spread of the keypoint head's kernel at the start; the official one
            imagenet_normalize=False,  # normalise images by ImageNet's mean and deviation first
        )
    )


def _keypoint_detector() -> ConfigDict:
    return ConfigDict(
        dict(
            base_features=32,  # channels after the hourglass's last up block
            max_features=1024,
            num_blocks=5,  # down blocks, and as many up blocks
            scale=0.25,  # the detector's image as a share of the model's
            temperature=0.1,  # of the softmax over a heat map
            padding=0,  # of the heads' 7×7 convolutions
            shared_affine=False,  # one map of affines for all keypoints instead of one each
        )
    )


def _region_predictor() -> ConfigDict:
    return ConfigDict(
        dict(
            base_features=32,
            max_features=1024,
            num_blocks=5,
            scale=0.25,
            temperature=0.1,
            padding=0,
            affine="principal_axes",  # of the region's covariance; or "regression", from a map of affines
        )
    )


def _loss() -> ConfigDict:
    return ConfigDict(
        dict(
            scales=(1.0, 0.5, 0.25, 0.125),  # of the image pyramid
            perceptual=(10.0, 10.0, 10.0, 10.0, 10.0),  # weight of relu1_1 ... relu5_1
            equivariance_keypoints=10.0,
            equivariance_affine=10.0,
            keypoint_separation=0.0,  # of keypoints from each other; not in the official code, for small models
            separation_radius=0.1,  # at which two keypoints count 0.6 of two that coincide; the frame is 2 wide
            landmark_guidance=0.0,  # of keypoints to the parts of puppets; not in the official code, for small models
            background_mask=0.0,
            mask_concentration=0.0,
            adversarial=0.0,  # the generator's, against the discriminator; FOMM's adversarial configuration: 1
            discriminator=1.0,  # the discriminator's own
            feature_matching=(10.0, 10.0, 10.0, 10.0),  # of the discriminator's blocks, where loss.adversarial is on
            disentangled_keypoints=1.0,  # the two of train.objective="disentanglement"
            disentangled_affine=1.0,
            disentangled_scale=0.25,  # driving poses are stretched by 1 - this ... 1 + this along x and y
            warp_sigma_affine=0.05,  # equivariance warp: standard deviation of its affine part
            warp_sigma_tps=0.005,  # and of its thin-plate weights
            warp_points=5,  # thin-plate control points along a side
        )
    )


def _optimizer() -> ConfigDict:
    return ConfigDict(
        dict(
            learning_rate_motion_estimator=2e-4,
            learning_rate_generator=2e-4,  # dense motion and image generator
            learning_rate_background=2e-4,
            learning_rate_discriminator=2e-4,
            learning_rate_disentangler=1e-3,
            clip_motion_estimator=1.0,  # total gradient norm; 0: no clipping
            clip_generator=0.0,
            clip_background=0.0,
            milestones_epochs=(60, 90),  # learning rates are multiplied by gamma after these epochs
            gamma=0.1,
            b1=0.5,
            b2=0.999,
            ema_decay=0.0,  # of the weights' moving average, used by animate and evaluate; 0: off
        )
    )


def _data() -> ConfigDict:
    return ConfigDict(
        dict(
            kind="folder",  # "folder": a prepared dataset, or train/ and test/ of videos; "puppets": procedural
            folder="",
            by_identity=False,  # choose an identity (name before '#'), then one of its clips
            repeats=150,  # pairs drawn from each video (or identity) in an epoch
            worker_count=0,  # processes that read frames; 0: none beside the main one
            puppet_identities=64,  # in train; test has a quarter as many
            puppet_clips=4,  # for each identity
            puppet_frames=64,  # in each clip
            puppet_markers=False,  # draw a disc of its own colour on every visible joint, for evaluation to find again
        )
    )


def _augmentation() -> ConfigDict:
    """Both frames of a training pair alike; validation takes frames as they are."""
    return ConfigDict(
        dict(
            horizontal_flip=True,  # half of the pairs that are not flipped in time
            time_flip=True,  # half of the pairs: the later frame becomes the source
            rotation_degrees=0.0,  # up to this either way, at most 180; 0: off
            resize_ratio=(1.0, 1.0),  # range of the size's factor, then cropped or padded; (1.0, 1.0): off
            brightness=0.1,  # this and the next two: factors within 1 ± this; 0: off
            contrast=0.1,
            saturation=0.1,
            hue=0.1,  # up to this share of a whole turn either way, at most 0.5; 0: off
        )
    )


def _train() -> ConfigDict:
    return ConfigDict(
        dict(
            objective="reconstruction",  # or "disentanglement": train the disentangler alone, all else frozen; or
            # "landmarks": the motion estimator alone, by loss.landmark_guidance
            init_from="",  # folder of a run whose weights a new run starts from; empty: from scratch
            backbone_path="",  # HRNet's ImageNet weights (.pth) that a new run starts from; empty: from scratch
            batch_size=64,  # global: over all devices of all processes
            num_epochs=100,
            num_steps=0,  # overrides num_epochs when above 0
            log_every_steps=100,
            picture_every_steps=1000,
            validate_every_steps=1000,
            validation_pairs=64,
            checkpoint_every_steps=1000,
            keep_last=3,  # checkpoints kept beside the best one
            max_skipped_steps=20,  # steps skipped in a row, for NaN or infinite values, at which training stops
            stall_minutes=30.0,  # without a step, after which the process ends with a stack trace; 0: never
            rematerialize=False,  # compute estimator and generator anew for the gradient: less memory, more time; XLA's
            # CPU backend merges the two computations again
        )
    )
