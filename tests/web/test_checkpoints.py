import pytest
from tiny_model import save_checkpoint, tiny_avd_config, tiny_avd_variables, tiny_config, tiny_variables

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.web.checkpoints import load_checkpoints


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, config, variables in (
        ("plain", tiny_config(), tiny_variables()),
        ("avd", tiny_avd_config(), tiny_avd_variables()),
    ):
        save_checkpoint(folder / name, config, variables)
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "avd").symlink_to(folder / "avd")
    return folder


def test_names_and_modes(runs):
    checkpoints = load_checkpoints([str(runs / "plain"), str(runs / "avd") + "/"])
    assert list(checkpoints) == ["plain", "avd"]
    assert checkpoints["plain"].modes == ["relative", "absolute"]
    assert checkpoints["avd"].modes == ["relative", "absolute", "avd"]
    assert checkpoints["avd"].animator.mode == "avd"


def test_folders_of_one_name_are_told_apart(runs):
    folders = [str(runs / "avd"), str(runs / "other" / "avd")]
    assert list(load_checkpoints(folders)) == folders


def test_mistakes(runs):
    with pytest.raises(UserError, match="named twice; name each once"):
        load_checkpoints([str(runs / "plain")] * 2)
    with pytest.raises(UserError, match=r"no config.json in .*empty"):
        load_checkpoints([str(runs / "plain"), str(runs / "empty")])
