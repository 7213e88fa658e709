"""The paper's figures are found by the config's name, and only where it printed some."""

import pytest

from motion_transformer_jax.reporting.poster import poster_name, poster_rows


@pytest.mark.parametrize(
    ("dataset", "name", "ours"),
    [
        ("taichi256", "TaiChiHD", {"l1": 0.045, "akd": 4.670, "mkr": 0.021, "aed": 0.148}),
        ("ted384", "TEDTalks", {"l1": 0.026, "akd": 3.456, "mkr": 0.007, "aed": 0.113}),
        ("vox256", "VoxCeleb", {"l1": 0.038, "akd": 1.18, "aed": 0.116}),
        ("mgif256", "MGIF", {"l1": 0.0200}),
    ],
)
def test_rows_of_the_papers_datasets(dataset, name, ours):
    rows = poster_rows(dataset)
    assert [row.estimator for row in rows] == ["keypoint_detector", "region_predictor", "motion_transformer"]
    assert rows[2].figures == ours
    assert all(row.figures["l1"] >= ours["l1"] for row in rows)
    assert poster_name(dataset) == name


@pytest.mark.parametrize("dataset", ["puppets", "", "vox128", "my videos"])
def test_other_datasets_have_none(dataset):
    assert poster_rows(dataset) == []
    assert poster_name(dataset) == dataset
