"""LPIPS against its definition in PyTorch, with random AlexNet weights in PyTorch's cache."""

import hashlib
import importlib.util

import numpy as np
import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.evaluation.perceptual import create_lpips
from motion_transformer_jax.torch_io import hub
from motion_transformer_jax.torch_io import lpips as lpips_weights

torch = pytest.importorskip("torch")
if importlib.util.find_spec("lpips") is None:
    pytest.skip("the package lpips is not installed", allow_module_level=True)

CONVOLUTIONS = {0: (3, 64, 11, 4, 2), 3: (64, 192, 5, 1, 2), 6: (192, 384, 3, 1, 1), 8: (384, 256, 3, 1, 1)}
CONVOLUTIONS |= {10: (256, 256, 3, 1, 1)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def random_alexnet():
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for index, (inputs, outputs, size, _, _) in CONVOLUTIONS.items():
        scale = (2 / (inputs * size**2)) ** 0.5
        tensors[f"features.{index}.weight"] = scale * torch.randn(outputs, inputs, size, size, generator=generator)
        tensors[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return tensors


def save(folder, tensors):
    folder.mkdir(parents=True)
    torch.save(tensors, folder / lpips_weights.FILE_NAME)


def by_definition(tensors, first, second):
    """Equation (1) of the paper: unit features, squared differences weighted by channel, means over places."""
    heads = torch.load(lpips_weights._heads_file(), map_location="cpu", weights_only=True)
    functional = torch.nn.functional
    images = [torch.from_numpy(image).permute(0, 3, 1, 2) * 2 - 1 for image in (first, second)]
    shift, scale = ([[[-0.03]], [[-0.088]], [[-0.188]]], [[[0.458]], [[0.448]], [[0.45]]])
    images = [(image - torch.tensor(shift)) / torch.tensor(scale) for image in images]
    total = 0
    for layer, (index, (_, _, _, stride, padding)) in enumerate(CONVOLUTIONS.items()):
        weight, bias = tensors[f"features.{index}.weight"], tensors[f"features.{index}.bias"]
        if layer in (1, 2):
            images = [functional.max_pool2d(image, 3, 2) for image in images]
        images = [functional.conv2d(image, weight, bias, stride, padding).relu() for image in images]
        one, other = (functional.normalize(image, dim=1, eps=1e-10) for image in images)
        total = total + (heads[f"lin{layer}.model.1.weight"] * (one - other) ** 2).sum(1).mean((1, 2))
    return total.numpy()


def test_the_definition_with_random_weights(home):
    tensors = random_alexnet()
    save(home, tensors)
    distance, reason = create_lpips()
    assert reason == ""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    second = np.clip(first + rng.normal(0, 25, first.shape), 0, 255).astype(np.uint8)
    floats = [(images / 255).astype(np.float32) for images in (first, second)]
    expected = by_definition(tensors, *floats)
    assert (expected > 1e-3).all()
    np.testing.assert_allclose(distance(first, second), expected, rtol=1e-4)
    np.testing.assert_allclose(distance(*floats), expected, rtol=1e-4)
    np.testing.assert_allclose(distance(second, first), expected, rtol=1e-4)
    np.testing.assert_array_equal(distance(first, first), 0)
    with pytest.raises(ValueError, match="LPIPS takes 31 or more"):
        distance(first[:, :16, :16], first[:, :16, :16])


def test_without_weights_there_is_a_reason_and_no_network_is_asked(home, monkeypatch):
    monkeypatch.setattr(hub.urllib.request, "urlopen", lambda *_, **__: pytest.fail("asked the network"))
    distance, reason = create_lpips()
    assert distance is None and "\n" not in reason
    assert reason.startswith("LPIPS is left out: AlexNet's ImageNet weights are not at")
    assert str(home / lpips_weights.FILE_NAME) in reason


def test_without_the_package_the_extra_is_named(home, monkeypatch):
    monkeypatch.setattr(lpips_weights.importlib.util, "find_spec", lambda name: None)
    distance, reason = create_lpips()
    assert distance is None and "pip install '.[eval]' in the clone" in reason


def test_a_download_that_fails_says_where_to_put_the_file(home, monkeypatch):
    def refuse(url, timeout):
        raise hub.urllib.error.URLError("no network")

    monkeypatch.setattr(hub.urllib.request, "urlopen", refuse)
    with pytest.raises(UserError, match=r"cannot be downloaded .* elsewhere and put it there"):
        create_lpips(allow_download=True)
    assert not list(home.iterdir())


def test_a_download_is_kept(home, tmp_path, monkeypatch):
    save(tmp_path / "server", random_alexnet())
    file = tmp_path / "server" / lpips_weights.FILE_NAME
    monkeypatch.setattr(lpips_weights, "SHA256_PREFIX", hashlib.sha256(file.read_bytes()).hexdigest()[:8])
    monkeypatch.setattr(hub.urllib.request, "urlopen", lambda url, timeout: file.open("rb"))
    assert create_lpips(allow_download=True)[0] is not None
    assert create_lpips()[0] is not None


def test_another_network_is_refused(home):
    save(home, {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)})
    distance, reason = create_lpips()
    assert distance is None and "is not AlexNet: expected 192 kernels at features.3" in reason
