"""A folder like the official code's: modules of its names and signatures, which do next to nothing."""

FILES = {
    "config/voxceleb1.yaml": """
model_params:
  use_bg_predictor: False
  common_params: {num_kp: 4, num_channels: 3, estimate_jacobian: True}
  generator_params: {skips: True}
  discriminator_params: {scales: [1]}
train_params:
  lr_generator: 0.1
  lr_kp_detector: 0.1
  clip_generator_grad: False
  clip_kp_detector_grad: True
  clip: 1
MODEL: {NAME: some_net}
""",
    "modules/generator.py": """
from torch import nn
from modules.transformer import Weighed

class OcclusionAwareGenerator(Weighed):
    def __init__(self, num_kp, num_channels, estimate_jacobian, skips):
        super().__init__()

    def forward(self, source, kp_driving, kp_source):
        assert not self.training and kp_source["value"].shape == kp_driving["value"].shape == (1, 4, 2)
        moved = sum((kp_driving[key] - kp_source[key]).mean() for key in ("value", "jacobian"))
        return {"prediction": source * 0 + self.weight + moved}
""",
    "modules/transformer/__init__.py": """
import torch
from timm.models.layers.weight_init import trunc_normal_
from torch import nn

class Weighed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((), 0.25))

    def load_state_dict(self, tensors, strict):
        assert strict and len(tensors) > 10 and all(torch.is_tensor(tensor) for tensor in tensors.values())

class Detector(Weighed):
    def forward(self, image):
        mean = image.mean().expand(len(image), 4, 2)
        return {"value": mean, "jacobian": 2 * torch.eye(2).expand(len(image), 4, 2, 2)}

class some_net:
    @staticmethod
    def get_pose_net(configuration, is_train):
        print("this goes nowhere")
        return Detector()
""",
    "modules/discriminator.py": """
from torch import nn

class MultiScaleDiscriminator(nn.Module):
    def __init__(self, scales, num_kp, num_channels, estimate_jacobian):
        super().__init__()
        self.scales = scales
""",
    "modules/model.py": """
from torch import nn
from torchvision import models

class GeneratorFullModel(nn.Module):
    def __init__(self, kp_extractor, generator, discriminator, train_params, bg_predictor=None):
        super().__init__()
        self.generator, self.detector = generator, kp_extractor
        assert len(models.vgg19(pretrained=True).features) == 37 and bg_predictor is None
        assert generator.training and kp_extractor.training and discriminator.scales == [1]

    def forward(self, batch, epoch):
        assert batch["source"].shape == batch["driving"].shape and batch["source"].max() <= 1
        distance = (batch["source"] - batch["driving"]).abs().mean()
        return {"one": distance * self.generator.weight, "two": distance * self.detector.weight}, {}
""",
}


def write_checkout(folder, changes=()):
    """The folder; `changes`, old text to new, are made in all files."""
    for name, text in FILES.items():
        for old, new in dict(changes).items():
            text = text.replace(old, new)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
