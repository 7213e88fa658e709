"""The command `ablate`: variants trained and evaluated under one budget; what is finished is not done again."""

from pathlib import Path

import pytest

from motion_transformer_jax import ablate, configs
from motion_transformer_jax.cli import run_command
from motion_transformer_jax.evaluation import ablations
from motion_transformer_jax.evaluation.results import read_results

DEMO = str(Path(configs.__path__[0]) / "demo.py")
SHORT = ["--config.train.num_steps=2", "--config.train.batch_size=8", "--config.data.puppet_frames=4"]


@pytest.mark.slow
def test_variants_are_trained_evaluated_and_found_again(tmp_path, capsys, monkeypatch):
    out = tmp_path / "ablation"
    command = ["--config", DEMO, "--variants", "debug", "no_position,debug", "--out", str(out), "--num-videos", "1"]
    command += ["--grid", "0", "--no-lpips", *SHORT]
    assert run_command(ablate.main, command) == 0
    tables = capsys.readouterr().out
    assert "| Position encoding | parameters | L1 ↓ | PSNR ↑ | SSIM ↑ |" in tables
    assert (out / "tables.md").read_text("utf-8").strip() == tables.strip()
    combined = read_results(out / "report")
    assert [system.name for system in combined.systems] == ["debug-seed0", "no_position,debug-seed0"]
    assert all((out / "report" / video.clip).is_file() for system in combined.systems for video in system.videos)

    monkeypatch.setattr(ablations, "evaluate_checkpoints", lambda *_, **__: pytest.fail("evaluated again"))
    assert run_command(ablate.main, command) == 0
    assert capsys.readouterr().out == tables


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variants", "base", "base"], "--variants names one twice"),
        (["--seeds", "-1"], "--seeds has -1"),
        (["--variants", "base", "nonsense"], "unknown variant 'nonsense'"),
        (["--variants", "base", "mraa_avd"], "differ in their budget"),
        (["--num-videos", "0"], "--num-videos is 0"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, arguments, message):
    assert run_command(ablate.main, ["--config", DEMO, "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()
