"""ImageNet weights of HRNet for the backbone."""

import jax
import numpy as np
import pytest
from flax import traverse_util
from torch_files import assert_same, make_config, official_state_dicts, random_variables, shapes_of

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.torch_io.hrnet import load_imagenet_hrnet

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

# Parts of the published files that the backbone lacks.
OTHERS = {
    "transition3.3.0.0.weight": (256, 128, 3, 3),
    "stage3.3.fuse_layers.1.0.0.0.weight": (64, 32, 3, 3),
    "stage4.0.branches.0.0.conv1.weight": (32, 32, 3, 3),
    "incre_modules.0.0.conv1.weight": (32, 32, 1, 1),
    "classifier.bias": (1000,),
}


@pytest.fixture(scope="module")
def models():
    """Name -> (random variables, tensors as ImageNet's files name them)."""
    made = {}
    for name in ("mtia_w32", "mtia_w48"):
        variables = random_variables(make_config(name))
        tensors = official_state_dicts(make_config(name), variables)["kp_detector"]
        prefix = "pre_feature."
        backbone = {key.removeprefix(prefix): a for key, a in tensors.items() if key.startswith(prefix)}
        others = {key: np.zeros(shape, np.float32) for key, shape in OTHERS.items()}
        made[name] = variables, {key: torch.from_numpy(np.array(a)) for key, a in (backbone | others).items()}
    return made


def backbone_of(variables):
    return {name: tree["motion_estimator"]["backbone"] for name, tree in variables.items()}


@pytest.mark.parametrize("name", ["mtia_w32", "mtia_w48"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_backbone_is_read(tmp_path, models, name, prefix):
    variables, tensors = models[name]
    torch.save({prefix + key: tensor for key, tensor in tensors.items()}, tmp_path / "hrnet.pth")
    loaded = load_imagenet_hrnet(tmp_path / "hrnet.pth", shapes_of(make_config(name)))
    assert_same(loaded, jax.tree.map(np.asarray, backbone_of(variables)))
    assert loaded["params"].keys() >= {"stem", "stage3_3"}
    assert len(traverse_util.flatten_dict(loaded)) > 500


def test_files_that_do_not_fit(tmp_path, models):
    path, tensors = tmp_path / "hrnet.pth", models["mtia_w48"][1]
    template = shapes_of(make_config("mtia_w32"))
    torch.save(tensors, path)
    with pytest.raises(UserError, match=r"width 48 but the backbone is hrnet_w32; .*transformer.backbone=hrnet_w48"):
        load_imagenet_hrnet(path, template)
    tensors = dict(models["mtia_w32"][1])
    tensors["stage2.0.branches.0.0.conv1.weight"] = torch.zeros(18, 18, 3, 3)
    torch.save(tensors, path)
    with pytest.raises(UserError, match=r"width 18 but the backbone is hrnet_w32; take its file$"):
        load_imagenet_hrnet(path, template)
    tensors = dict(models["mtia_w32"][1])
    del tensors["layer1.0.conv1.weight"]
    torch.save(tensors, path)
    with pytest.raises(UserError, match=r"is not HRNet: 1 of the backbone's \d+ tensors are missing, such as layer1.0"):
        load_imagenet_hrnet(path, template)
    tensors["layer1.0.conv1.weight"] = torch.zeros(64, 64, 3, 3)
    torch.save(tensors, path)
    with pytest.raises(
        UserError, match=r"misshapen, such as layer1.0.conv1.weight, \(64, 64, 3, 3\) where \(64, 64, 1, 1"
    ):
        load_imagenet_hrnet(path, template)
    torch.save({"features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="is not HRNet"):
        load_imagenet_hrnet(path, template)
    with pytest.raises(UserError, match="there is no file"):
        load_imagenet_hrnet(tmp_path / "none.pth", template)


def test_models_without_such_a_backbone(tmp_path, models):
    torch.save(models["mtia_w32"][1], tmp_path / "hrnet.pth")
    with pytest.raises(UserError, match=r"expected model.estimator=motion_transformer"):
        load_imagenet_hrnet(tmp_path / "hrnet.pth", shapes_of(make_config("fomm")))


def test_a_stem_takes_its_share(tmp_path, models):
    variables, tensors = models["mtia_w32"]
    torch.save(tensors, tmp_path / "hrnet.pth")
    loaded = load_imagenet_hrnet(tmp_path / "hrnet.pth", shapes_of(make_config("mtia")))
    stem = {name: tree["stem"] for name, tree in backbone_of(variables).items()}
    assert_same(loaded, stem)
