"""Damaged weights, official names and pickles into their readers: a result that makes sense or a UserError."""

import numpy as np
import pandas
import pytest
from damage import LENGTHS, campaign, damaged
from hypothesis import strategies as st
from tiny_model import tiny_config
from torch_files import make_config, official_state_dicts, shapes_of

from motion_transformer_jax.detection.pose_pickles import compare_pickles
from motion_transformer_jax.torch_io.inspection import describe_torch_file
from motion_transformer_jax.torch_io.pth import write_torch_file
from motion_transformer_jax.torch_io.recognition import config_from, recognise
from motion_transformer_jax.torch_io.state_dict import variables_from_state_dicts
from motion_transformer_jax.training.compact_weights import WEIGHTS_FILE, load_compact, save_compact
from motion_transformer_jax.training.config_check import validate_config
from motion_transformer_jax.training.state import without_discriminator
from motion_transformer_jax.training.tree_check import check_tree

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of long examples


@LENGTHS
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".safetensors"])
def test_weight_files(tmp_path, examples, suffix):
    path = tmp_path / f"x{suffix}"
    tensors = {"first.conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.zeros((), np.int64)}
    write_torch_file(path, {"generator": tensors, "bg_predictor": {}}, {"epoch": 3, "note": "text"})

    def check(content):
        path.write_bytes(content)
        lines = describe_torch_file(path)
        assert all(line.isprintable() for line in lines)

    campaign(damaged(path.read_bytes()), check, examples)


@LENGTHS
def test_compact_weights(tmp_path, examples):
    variables = {"params": {"layer": {"kernel": np.ones((2, 3), np.float32)}}, "batch_stats": {}}
    save_compact(tmp_path / "run", tiny_config(), variables)
    path = tmp_path / "run" / WEIGHTS_FILE

    def check(content):
        path.write_bytes(content)
        found = without_discriminator(load_compact(tmp_path / "run"))
        check_tree(path, found, variables)

    campaign(damaged(path.read_bytes()), check, examples)


@LENGTHS
def test_state_dict_names(examples):
    """Official keys that are missing, misspelt or misshapen."""
    config = make_config("mtia_background")
    whole = official_state_dicts(config)
    template = shapes_of(config)
    names = [(module, key) for module, tensors in whole.items() for key in tensors]
    shapes = st.lists(st.integers(0, 5), max_size=5).map(tuple)
    odd_names = st.tuples(st.sampled_from([*whole, "discriminator", "avd_network", ""]), st.text(max_size=12))
    edits = st.lists(st.tuples(st.sampled_from(names) | odd_names, st.none() | shapes), min_size=1, max_size=4)

    def check(edits):
        state_dicts = {module: dict(tensors) for module, tensors in whole.items()}
        for (module, key), shape in edits:
            tensors = state_dicts.setdefault(module, {})
            if shape is None:
                tensors.pop(key, None)
            else:
                tensors[key] = np.zeros(shape, np.float32)
        fields = recognise(state_dicts)
        validate_config(config_from(fields, "x"), need_data=False)
        variables_from_state_dicts(state_dicts, template)

    campaign(edits, check, examples)


@LENGTHS
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles(tmp_path, examples, protocol):
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    values = pandas.Series([points, None, points + 1], dtype=object)
    table = pandas.DataFrame({"file_name": ["a.mp4", "a.mp4", "b.mp4"], "frame_number": [0, 1, 0], "value": values})
    table.to_pickle(tmp_path / "truth.pkl", protocol=protocol)

    def check(content):
        (tmp_path / "found.pkl").write_bytes(content)
        for figure in compare_pickles(tmp_path / "truth.pkl", tmp_path / "found.pkl").values():
            assert figure.count >= 1

    campaign(damaged((tmp_path / "truth.pkl").read_bytes()), check, examples)
