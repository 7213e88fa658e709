"""CNN backbones of the motion transformer: a quarter-size feature map.

`Stem` is two strided convolutions and four bottlenecks (256 channels in the papers); `HRNet` adds stages 2
and 3 of HRNet (Sun et al., CVPR 2019), keeps the high-resolution branch only (32 or 48 channels), has no stage 4.
"""

import flax.linen as nn
import jax

from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.ops.fusion import materialize
from motion_transformer_jax.ops.normalization import Normalized
from motion_transformer_jax.ops.resize import upsample_nearest

HRNET_WIDTHS = {"hrnet_w32": 32, "hrnet_w48": 48}
BACKBONES = ("stem", *HRNET_WIDTHS)


class ConvNorm(nn.Module):
    """Bias-free convolution and norm, with a ReLU if asked.

    Attributes:
        deferred: leave norm and ReLU to the convolution that reads the result, see `BatchNorm`.
    """

    features: int
    layers: Layers
    kernel_size: int = 3
    stride: int = 1
    relu: bool = True
    deferred: bool = False

    @nn.compact
    def __call__(self, x: jax.Array | Normalized) -> jax.Array | Normalized:
        """[B, H, W, C] to [B, H / stride, W / stride, features]."""
        x = self.layers.conv(self.features, self.kernel_size, stride=self.stride, use_bias=False, name="conv")(x)
        return self.layers.norm(relu=self.relu, deferred=self.deferred, name="norm")(x)


class Bottleneck(nn.Module):
    """ResNet's 1×1, 3×3, 1×1 block with four times `features` channels out."""

    features: int
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H, W, 4 × features]."""
        y = ConvNorm(self.features, self.layers, kernel_size=1, deferred=True, name="block1")(x)
        y = ConvNorm(self.features, self.layers, deferred=True, name="block2")(y)
        y = ConvNorm(4 * self.features, self.layers, kernel_size=1, relu=False, name="block3")(y)
        if x.shape[-1] != y.shape[-1]:
            x = ConvNorm(y.shape[-1], self.layers, kernel_size=1, relu=False, name="shortcut")(x)
        return materialize(nn.relu(x + y))


class BasicBlock(nn.Module):
    """ResNet's block of two 3×3 convolutions."""

    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to the same shape."""
        y = ConvNorm(x.shape[-1], self.layers, deferred=True, name="block1")(x)
        y = ConvNorm(x.shape[-1], self.layers, relu=False, name="block2")(y)
        return materialize(nn.relu(x + y))


class Stem(nn.Module):
    """Two strided convolutions and four bottlenecks; 64 features in the papers' models."""

    features: int
    layers: Layers

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[B, H, W, 3] to [B, H/4, W/4, 4 × features]."""
        x = ConvNorm(self.features, self.layers, stride=2, deferred=True, name="conv1")(image)
        x = ConvNorm(self.features, self.layers, stride=2, name="conv2")(x)
        for i in range(4):
            x = Bottleneck(self.features, self.layers, name=f"bottleneck_{i}")(x)
        return x


class Fusion(nn.Module):
    """Brings one branch of an HRNet module to another branch's size and channels.

    Up: 1×1 convolution, norm, nearest enlargement. Down: strided 3×3 convolutions, the last one without ReLU.
    """

    features: int
    source_level: int
    target_level: int
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H', W', features]."""
        steps = self.target_level - self.source_level
        if steps < 0:
            x = ConvNorm(self.features, self.layers, kernel_size=1, relu=False, name="step_0")(x)
            return upsample_nearest(x, 2**-steps)
        channels = x.shape[-1]
        for i in range(steps):
            last = i == steps - 1
            features = self.features if last else channels
            options = {"stride": 2, "relu": not last, "deferred": not last}
            x = ConvNorm(features, self.layers, **options, name=f"step_{i}")(x)
        return x


class HighResolutionModule(nn.Module):
    """Parallel branches of four basic blocks each, then every wanted branch as the sum of all.

    Attributes:
        num_outputs: how many branches are fused and returned, from the largest on.
    """

    num_outputs: int
    layers: Layers

    @nn.compact
    def __call__(self, branches: list[jax.Array]) -> list[jax.Array]:
        """Maps at sizes 1, 1/2, 1/4, ... to the first num_outputs of the same shapes."""
        processed = []
        for level, x in enumerate(branches):
            for i in range(4):
                x = BasicBlock(self.layers, name=f"branch_{level}_{i}")(x)
            processed.append(x)
        return [self._fuse(processed, target) for target in range(self.num_outputs)]

    def _fuse(self, branches: list[jax.Array], target: int) -> jax.Array:
        features = branches[target].shape[-1]
        total = None
        for level, x in enumerate(branches):
            if level != target:
                x = Fusion(features, level, target, self.layers, name=f"fuse_{target}_{level}")(x)
            total = x if total is None else total + x
        return materialize(nn.relu(total))


class HRNet(nn.Module):
    """HRNet up to stage 3, high-resolution branch only.

    Attributes:
        width: channels of that branch: 32 (W32) or 48 (W48).
    """

    width: int
    stem_features: int
    layers: Layers

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """[B, H, W, 3] to [B, H/4, W/4, width]."""
        w = self.width
        x = Stem(self.stem_features, self.layers, name="stem")(image)
        branches = [
            ConvNorm(w, self.layers, name="transition_1_0")(x),
            ConvNorm(2 * w, self.layers, stride=2, name="transition_1_1")(x),
        ]
        branches = HighResolutionModule(2, self.layers, name="stage2_0")(branches)
        branches.append(ConvNorm(4 * w, self.layers, stride=2, name="transition_2_2")(branches[-1]))
        for i in range(4):
            outputs = 1 if i == 3 else 3
            branches = HighResolutionModule(outputs, self.layers, name=f"stage3_{i}")(branches)
        return branches[0]


def create_backbone(kind: str, stem_features: int, layers: Layers, *, name: str | None = None) -> nn.Module:
    """The backbone called "stem", "hrnet_w32" or "hrnet_w48"; raises KeyError on another name."""
    if kind == "stem":
        return Stem(stem_features, layers, name=name)
    return HRNet(HRNET_WIDTHS[kind], stem_features, layers, name=name)
