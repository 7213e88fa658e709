"""The process of the official PyTorch code: loads it with our weights, and animates or trains as asked.

Imports neither JAX nor what imports it, so that its memory is its own. What the official scripts do around the networks
is done here in the same order: animation one frame at a time, and the training step of one device. Stand-ins are
registered for two of its libraries: for torchvision, of which it takes a VGG19, whose weights are random here; and for
timm, of which it takes an initialiser, unless that is installed.
"""

import contextlib
import dataclasses
import importlib
import io
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from motion_transformer_jax.benchmarks.memory import host_peak_mib
from motion_transformer_jax.data.video import read_frames
from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.errors import UserError

_VGG19 = (64, 64, "pool", 128, 128, "pool", *[256] * 4, "pool", *[512] * 4, "pool", *[512] * 4, "pool")


@dataclasses.dataclass(frozen=True)
class Setup:
    """What the process is given.

    Attributes:
      checkout: folder of the official code.
      configuration: its .yaml file.
      weights: an .npz file of "network/key".
      inputs: uint8 [S, S, 3] "source" to animate, or "source" and "driving" [B, S, S, 3] to train on.
      relative: whether motion is carried over relative to the first driving frame.
      compiled: whether the networks go through `torch.compile`.
    """

    checkout: Path
    configuration: Path
    weights: Path
    inputs: dict[str, np.ndarray]
    relative: bool
    compiled: bool


def serve(connection: Connection, setup: Setup) -> None:
    """Loads the code, says so, and answers (method, arguments) until the connection is closed.

    Answers are (True, result), or (False, message) for a mistake of the user's.
    """
    ends = (EOFError, BrokenPipeError, KeyboardInterrupt)
    # It prints its configuration; what a command prints is for the command to say.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), contextlib.suppress(*ends):
        warnings.simplefilter("ignore")
        sys.dont_write_bytecode = True  # the checkout stays as it is
        try:
            peer = (TrainingPeer if "driving" in setup.inputs else AnimationPeer)(setup)
        except UserError as error:
            connection.send((False, str(error)))
            return
        connection.send((True, None))
        while True:
            method, arguments = connection.recv()
            connection.send((True, getattr(peer, method)(*arguments)))


class _Peer:
    """The official networks with our weights, on a GPU where PyTorch sees one."""

    def __init__(self, setup: Setup):
        import torch

        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._configuration = yaml.safe_load(setup.configuration.read_text())
        sys.path.insert(0, str(setup.checkout))
        _register_stand_ins()
        self.networks = {name: network.to(self._device) for name, network in _build(self._configuration).items()}
        self._load(setup)
        if setup.compiled:
            for network in self.networks.values():
                network.compile()

    def peak_memory_mib(self) -> float:
        """The most that was held on the GPU, else in the process."""
        on_gpu = self._device == "cuda"
        return self._torch.cuda.max_memory_allocated() / 2**20 if on_gpu else host_peak_mib()

    def _load(self, setup: Setup) -> None:
        state_dicts: dict[str, dict] = {name: {} for name in self.networks}
        with np.load(setup.weights) as arrays:
            for name in arrays.files:
                network, key = name.split("/")
                state_dicts.setdefault(network, {})[key] = self._torch.from_numpy(arrays[name])
        try:
            for name, tensors in state_dicts.items():
                self.networks[name].load_state_dict(tensors, strict=True)
        except (KeyError, RuntimeError) as error:
            raise UserError(
                f"{setup.configuration} builds other networks than this config ({str(error)[:200]}); "
                "leave the config's model as it is, or leave --peer away"
            ) from error

    def _tensor(self, images: np.ndarray) -> Any:
        """Uint8 [B, S, S, 3] as [B, 3, S, S] in [0, 1]."""
        array = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32) / 255
        return self._torch.from_numpy(array).to(self._device)


class AnimationPeer(_Peer):
    """Animates the source, whose motion is estimated once."""

    def __init__(self, setup: Setup):
        super().__init__(setup)
        self._relative = setup.relative
        self._detector, self._generator = (self.networks[name].eval() for name in ("kp_detector", "generator"))
        self._source = self._tensor(setup.inputs["source"][None])
        with self._torch.no_grad():
            self._source_motion = self._detector(self._source)

    def animate(self, driving: Path, out: Path, fps: float) -> None:
        """Animates a video into another."""
        write_video(out, self._frames(driving), fps=fps)

    def animated_frames(self, driving: Path) -> np.ndarray:
        """The result uint8 [T, S, S, 3], before it is encoded."""
        return np.stack(list(self._frames(driving)))

    def _frames(self, driving: Path) -> Iterator[np.ndarray]:
        initial = None
        with self._torch.no_grad():
            for frame in read_frames(driving):
                tensor = self._tensor(frame[None])
                if initial is None:
                    initial = self._detector(tensor)
                motion = self._retargeted(self._detector(tensor), initial)
                result = self._generator(self._source, kp_source=self._source_motion, kp_driving=motion)["prediction"]
                image = result.cpu().numpy()[0].transpose(1, 2, 0)
                yield np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)

    def _retargeted(self, driving: dict, initial: dict) -> dict:
        """The source's motion changed as the driving motion has since the first frame."""
        if not self._relative:
            return driving
        source, inverse = self._source_motion, self._torch.inverse(initial["jacobian"])
        change = self._torch.matmul(driving["jacobian"], inverse)
        return {
            "value": source["value"] + (driving["value"] - initial["value"]),
            "jacobian": self._torch.matmul(change, source["jacobian"]),
        }


class TrainingPeer(_Peer):
    """Takes training steps on one batch."""

    def __init__(self, setup: Setup):
        super().__init__(setup)
        torch, parameters = self._torch, self._configuration["model_params"]
        self._settings = self._configuration["train_params"]
        for network in self.networks.values():
            network.train()
        discriminators = importlib.import_module("modules.discriminator")
        discriminator = discriminators.MultiScaleDiscriminator(
            **parameters["discriminator_params"], **parameters["common_params"]
        ).to(self._device)
        full_model = importlib.import_module("modules.model").GeneratorFullModel
        detector, generator = self.networks["kp_detector"], self.networks["generator"]
        background = self.networks.get("bg_predictor")
        self._full = full_model(detector, generator, discriminator, self._settings, bg_predictor=background)
        self._full.to(self._device)
        self._optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=self._settings[f"lr_{name}"], betas=(0.5, 0.999))
            for name, network in self.networks.items()
        }
        self._batch = {name: self._tensor(images) for name, images in setup.inputs.items()}

    def run(self, steps: int) -> None:
        """Takes so many steps; each ends with its losses on the host, as the official logger has them."""
        for _ in range(steps):
            values, _generated = self._full(self._batch, epoch=0)
            sum(value.mean() for value in values.values()).backward()
            for name in ("generator", "kp_detector", "bg_predictor"):
                self._update(name)
            for value in values.values():
                value.mean().item()
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def _update(self, name: str) -> None:
        if name not in self._optimizers:
            return
        if self._settings.get(f"clip_{name}_grad"):
            self._torch.nn.utils.clip_grad_norm_(self.networks[name].parameters(), self._settings["clip"])
        self._optimizers[name].step()
        self._optimizers[name].zero_grad()


def _build(configuration: dict) -> dict[str, Any]:
    """The animation's networks by their names in official checkpoints."""
    parameters = configuration["model_params"]
    common = parameters["common_params"]
    generators = importlib.import_module("modules.generator")
    estimator = getattr(importlib.import_module("modules.transformer"), configuration["MODEL"]["NAME"])
    networks = {
        "generator": generators.OcclusionAwareGenerator(**parameters["generator_params"], **common),
        "kp_detector": estimator.get_pose_net(configuration, is_train=False),
    }
    if parameters.get("use_bg_predictor"):
        backgrounds = importlib.import_module("modules.bg_motion_predictor")
        networks["bg_predictor"] = backgrounds.BGMotionPredictor(
            num_channels=common["num_channels"], **parameters["bg_predictor_params"]
        )
    return networks


def _register_stand_ins() -> None:
    from torch import nn

    def convolutions() -> Iterator[nn.Module]:
        channels = 3
        for item in _VGG19:
            if item == "pool":
                yield nn.MaxPool2d(2, 2)
                continue
            yield nn.Conv2d(channels, item, 3, padding=1)
            yield nn.ReLU(inplace=True)
            channels = item

    def vgg19(pretrained: bool = False) -> types.SimpleNamespace:
        del pretrained
        return types.SimpleNamespace(features=nn.Sequential(*convolutions()))

    models = _module("torchvision.models", vgg19=vgg19)
    _module("torchvision", models=models)
    if find_spec("timm") is None:
        for name in ("timm", "timm.models", "timm.models.layers"):
            _module(name)
        _module("timm.models.layers.weight_init", trunc_normal_=nn.init.trunc_normal_)


def _module(name: str, **members: Callable) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    return module
