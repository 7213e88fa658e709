"""Variants under one budget: what is compared with what, and the poster's tables."""

import pytest

from motion_transformer_jax.configs import demo
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.evaluation.ablations import ablation_tables, check_budget
from motion_transformer_jax.reporting.results import Figure, SystemResult


def configs(*names):
    made = {name: demo.get_config("" if name == "base" else name) for name in names}
    for config in made.values():
        config.train.batch_size = 4
    return made


def result(name, parameters=1_500_000, **figures) -> SystemResult:
    figures = {metric: Figure(value, 10, "frames") for metric, value in figures.items()}
    return SystemResult(name, "", "", 1, 0, parameters, 1.0, figures, [])


def test_tables_hold_the_variants_that_they_compare():
    names = ("base", "fomm", "mraa", "no_position", "depth8")
    systems = {f"{name}-seed0": result(f"{name}-seed0", l1=i / 100) for i, name in enumerate(names)}
    tables = ablation_tables(configs(*names), [0], systems)
    head, *parts = tables.split("\n\n")
    assert "4 pairs a step, 1200 steps, 1 seed (0)" in head
    assert [part.splitlines()[0] for part in parts] == [
        "| Systems | parameters, whole model | L1 ↓ |",
        "| Position encoding | parameters, whole model | L1 ↓ |",
        "| Layers | parameters, whole model | L1 ↓ |",
    ]
    assert parts[0].splitlines()[2:] == [
        "| motion transformer (`base`) | 1.50 M | 0.0000 |",
        "| FOMM (`fomm`) | 1.50 M | 0.0100 |",
        "| MRAA (`mraa`) | 1.50 M | 0.0200 |",
    ]
    assert parts[1].splitlines()[2:] == ["| sine_every_layer | 1.50 M | 0.0000 |", "| none | 1.50 M | 0.0300 |"]
    assert parts[2].splitlines()[2:] == ["| 3 | 1.50 M | 0.0000 |", "| 8 | 1.50 M | 0.0400 |"]


def test_variants_that_differ_in_several_ways_have_a_table_of_their_own():
    names = ("base", "fomm", "no_position,depth8")
    systems = {f"{name}-seed0": result(f"{name}-seed0", l1=0.1) for name in names}
    *_, last = ablation_tables(configs(*names), [0], systems).split("\n\n")
    assert [line.split(" | ")[0] for line in last.splitlines()] == [
        "| Variants",
        "|---|---|---|",
        "| `base`",
        "| `no_position,depth8`",
    ]
    assert "| `base` |" in ablation_tables(configs("base"), [0], systems)


def test_seeds_give_mean_and_deviation():
    systems = {
        "base-seed0": result("", akd=1.0),
        "base-seed1": result("", akd=3.0),
        "fomm-seed0": result("", akd=2.0, psnr=20.0),
        "fomm-seed1": result("", akd=2.0, psnr=22.0),
    }
    tables = ablation_tables(configs("base", "fomm"), [0, 1], systems)
    assert "| PSNR ↑ | AKD ↓ |" in tables
    assert "| - | 2.000 ± 1.414 |" in tables
    assert "| 21.00 ± 1.41 | 2.000 ± 0.000 |" in tables


def test_budgets_must_be_equal():
    made = configs("base", "fomm")
    check_budget(made)
    made["fomm"].train.num_steps = 7
    with pytest.raises(UserError, match=r"differ in their budget.*--config\.train\.batch_size"):
        check_budget(made)


def test_images_must_be_of_one_size():
    made = configs("base", "fomm")
    made["fomm"].model.image_size *= 2
    with pytest.raises(UserError, match=r"images of 64 and 128 px.*--config\.model\.image_size"):
        check_budget(made)
