"""The command `ablate`: variants trained and evaluated under one budget; what is finished is not done again."""

from pathlib import Path

import pytest
from tiny_model import random_variables

from motion_transformer_jax import ablate, configs
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.evaluation import ablations
from motion_transformer_jax.reporting.results import Evaluation, SystemResult, read_results, write_results
from motion_transformer_jax.training.weights_folder import save_variables

DEMO = str(Path(configs.__path__[0]) / "demo.py")
SHORT = ["--config.train.num_steps=2", "--config.train.batch_size=8", "--config.data.puppet_frames=6"]


@pytest.fixture
def untrained(monkeypatch):
    """Training gives random weights at once; the runs that were asked for."""
    runs = []

    def save_random_weights(config, workdir):
        runs.append(workdir.name)
        workdir.parent.mkdir(exist_ok=True)
        config = config.copy_and_resolve_references()
        config.optimizer.ema_decay = 0.0
        save_variables(workdir, config, random_variables(config))

    monkeypatch.setattr(ablations, "train_and_evaluate", save_random_weights)
    return runs


def test_variants_are_trained_evaluated_and_found_again(tmp_path, capsys, monkeypatch, untrained):
    out = tmp_path / "ablation"
    command = ["--config", DEMO, "--variants", "debug", "no_position,debug", "--out", str(out), "--num-videos", "1"]
    command += ["--seeds", "0", "1", "--grid", "0", "--no-lpips", *SHORT]
    assert run_command(ablate.main, command) == 0
    assert untrained == ["debug-seed0", "no_position,debug-seed0", "debug-seed1", "no_position,debug-seed1"]
    tables = capsys.readouterr().out
    assert "| Position encoding | parameters, whole model | L1 ↓ | PSNR ↑ | SSIM ↑ |" in tables
    assert tables.count(" ± ") == 6
    assert (out / "tables.md").read_text("utf-8").strip() == tables.strip()
    combined = read_results(out / "report")
    assert [system.name for system in combined.systems] == untrained
    assert [system.seed for system in combined.systems] == [0, 0, 1, 1]
    assert all((out / "report" / video.clip).is_file() for system in combined.systems for video in system.videos)
    videos = [[video.name for video in system.videos] for system in combined.systems]
    assert videos == [videos[0]] * 4, "all are evaluated on the first run's test set"

    monkeypatch.setattr(ablations, "evaluate_checkpoints", lambda *_, **__: pytest.fail("evaluated again"))
    assert run_command(ablate.main, command) == 0
    assert capsys.readouterr().out == tables


def test_another_request_or_training_is_evaluated_anew(tmp_path, monkeypatch, untrained):
    made = []

    def evaluate(checkpoints, out, request, *, names, data_of):
        made.append(names[0])
        (out / names[0]).mkdir(parents=True, exist_ok=True)
        system = SystemResult(names[0], "motion_transformer", "", 0, 0, 1, 1.0, {}, [])
        write_results(out, Evaluation("puppets", "test", 32, "none", 0, [system]))

    def evaluated(*arguments):
        made.clear()
        assert run_command(ablate.main, [*command, *arguments]) == 0
        return made

    monkeypatch.setattr(ablations, "evaluate_checkpoints", evaluate)
    command = ["--config", DEMO, "--variants", "debug", "--out", str(tmp_path), *SHORT]
    assert evaluated("--num-videos", "1") == ["debug-seed0"]
    assert evaluated("--num-videos", "1") == []
    assert evaluated("--num-videos", "2") == ["debug-seed0"]
    assert evaluated("--num-videos", "2", "--seeds", "1", "0") == ["debug-seed1", "debug-seed0"]  # on seed 1's puppets
    assert evaluated("--num-videos", "2", "--seeds", "1", "0") == []
    assert evaluated("--num-videos", "2", "--seeds", "1", "--config.optimizer.learning_rate_generator=0.5") == [
        "debug-seed1"
    ]


def test_a_larger_budget_of_an_earlier_start_is_refused(tmp_path, capsys, monkeypatch, untrained):
    command = ["--config", DEMO, "--variants", "debug", "no_position,debug", "--out", str(tmp_path), *SHORT]
    monkeypatch.setattr(ablations, "has_checkpoint", lambda folder: folder.name == "debug-seed0")
    monkeypatch.setattr(ablations, "chosen_step", lambda *_: 3)
    assert run_command(ablate.main, command) == 2
    assert "debug-seed0 is trained for 3 steps already, more than the budget of 2" in capsys.readouterr().err
    assert not untrained


def test_what_is_not_of_the_report_is_not_lost(tmp_path, capsys, untrained):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").touch()
    assert run_command(ablate.main, ["--config", DEMO, "--variants", "debug", "--out", str(tmp_path), *SHORT]) == 2
    assert "is not empty and holds no earlier report" in capsys.readouterr().err
    assert not untrained


def test_runs_of_different_length_do_not_compare(tmp_path, capsys, monkeypatch, untrained):
    command = ["--config", DEMO, "--variants", "debug", "no_position,debug", "--out", str(tmp_path), *SHORT]
    monkeypatch.setattr(ablations, "chosen_step", lambda folder, *_: len(folder.name))
    assert run_command(ablate.main, command) == 2
    assert "no_position,debug-seed0 is trained for 23 steps and debug-seed0 for 11" in capsys.readouterr().err
