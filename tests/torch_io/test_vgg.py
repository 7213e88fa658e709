import hashlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity import rule_tensor

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.models.blocks import Layers
from motion_transformer_jax.models.vgg import VGG19, random_vgg19
from motion_transformer_jax.torch_io import hub, vgg

torch = pytest.importorskip("torch")

CHANNELS = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 3, (256, 512), *[(512, 512)] * 4]


def rule_state_dict(num_convolutions: int) -> dict:
    tensors = {}
    for index, (inputs, outputs) in list(zip(vgg.CONVOLUTION_INDICES, CHANNELS, strict=True))[:num_convolutions]:
        key = f"features.{index}"
        tensors[f"{key}.weight"] = torch.from_numpy(rule_tensor(f"vgg.{key}.weight", (outputs, inputs, 3, 3), "train"))
        tensors[f"{key}.bias"] = torch.from_numpy(rule_tensor(f"vgg.{key}.bias", (outputs,), "train"))
    return tensors


def test_official_features_from_a_torchvision_file(golden, tmp_path):
    official = golden("train_step_mtia")
    torch.save(rule_state_dict(13), tmp_path / "vgg19.pth")
    params = vgg.load_imagenet_vgg19(str(tmp_path / "vgg19.pth"))
    driving = jnp.asarray(official["driving_u8"], jnp.float32) / 255
    taps = VGG19(Layers()).apply({"params": params}, driving)
    for i, tap in enumerate(taps, 1):
        expected = official[f"vgg_relu{i}_1_driving_channel_mean"]
        np.testing.assert_allclose(tap.mean((1, 2)), expected, atol=1e-4, err_msg=f"relu{i}_1")


def test_fewer_taps_read_and_compute_less(tmp_path):
    torch.save(rule_state_dict(3), tmp_path / "vgg19.pth")
    params = vgg.load_imagenet_vgg19(str(tmp_path / "vgg19.pth"), num_taps=2)
    taps = VGG19(Layers(), num_taps=2).apply({"params": params}, jnp.ones((1, 8, 8, 3)))
    assert [tap.shape for tap in taps] == [(1, 8, 8, 64), (1, 4, 4, 128)]


def test_cache_of_pytorch_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(rule_state_dict(1), folder / vgg.FILE_NAME)
    assert set(vgg.load_imagenet_vgg19(num_taps=1)) == {"conv_0"}


def test_download_is_checked_and_kept(tmp_path, monkeypatch):
    buffer = io.BytesIO()
    torch.save(rule_state_dict(1), buffer)
    content = buffer.getvalue()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(vgg, "SHA256_PREFIX", hashlib.sha256(content).hexdigest()[:8])
    monkeypatch.setattr(hub.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(content))
    assert set(vgg.load_imagenet_vgg19(num_taps=1)) == {"conv_0"}
    assert (tmp_path / "hub" / "checkpoints" / vgg.FILE_NAME).read_bytes() == content


def test_damaged_download_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"damaged"))
    with pytest.raises(UserError, match="checksum differs"):
        vgg.load_imagenet_vgg19()
    assert not list((tmp_path / "hub" / "checkpoints").iterdir())


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    def refuse(url, timeout):
        raise hub.urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub.urllib.request, "urlopen", refuse)
    with pytest.raises(UserError, match=r"perceptual\.path=FILE.*weights=random"):
        vgg.load_imagenet_vgg19()


def test_missing_file_and_other_networks_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        vgg.load_imagenet_vgg19(str(tmp_path / "none.pth"))
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"is not VGG19: it has no features\.0"):
        vgg.load_imagenet_vgg19(str(tmp_path / "other.pth"))


def test_random_weights_are_the_same_for_the_same_seed():
    first, second, other = random_vgg19(0, num_taps=2), random_vgg19(0, num_taps=2), random_vgg19(1, num_taps=2)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert not np.allclose(first["conv_0"]["kernel"], other["conv_0"]["kernel"])
    assert set(first) == {"conv_0", "conv_1", "conv_2"}
