"""The demo: puppets, a few minutes of training, a held-out figure moved by another one: `make demo`.

Writes OUT/animation.mp4 (source | driving | result), OUT/sheet.png (the same over time, with keypoints and masks),
OUT/metrics.json, and the training run itself in OUT/run. Killed and started again, it goes on where it stopped.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.cli import Parser, parse_config, run_command
from motion_transformer_jax.compilation_cache import keep_compiled_programs
from motion_transformer_jax.configs import demo as demo_config
from motion_transformer_jax.data.corpus import identity
from motion_transformer_jax.data.image import resize_image
from motion_transformer_jax.data.pairs import validation_pairs
from motion_transformer_jax.data.video_sources import VideoSource, create_videos
from motion_transformer_jax.data.video_writer import write_image, write_video
from motion_transformer_jax.host_memory import keep_freed_memory
from motion_transformer_jax.inference.animation_sheet import draw_animation_sheet
from motion_transformer_jax.inference.animator import Animator
from motion_transformer_jax.training.checkpoint import load_variables
from motion_transformer_jax.training.step import create_eval_step

logger = logging.getLogger(__name__)

FPS = 25
CELL_PX = 192
SHEET_COLUMNS = 8
EVALUATION_PAIRS = 256
EVALUATION_BATCH = 16


def main(argv: list[str]) -> None:
    """Parse the arguments, train, evaluate and animate."""
    keep_compiled_programs()
    parser = Parser("demo", description="Train a small model on procedural puppets and animate a held-out one.")
    parser.add_argument("--out", default="out/demo", metavar="DIR", help="where everything is written")
    parser.add_argument("--variant", default="", help="variant of configs/demo.py, such as debug")
    arguments, overrides = parser.parse_known_args(argv)
    keep_freed_memory()
    config = parse_config(f"{demo_config.__file__}:{arguments.variant}", overrides)
    out = Path(arguments.out)

    from motion_transformer_jax.training.loop import train_and_evaluate  # slow to import, and not needed for --help

    train_and_evaluate(config, out / "run")
    metrics = evaluate(out / "run")
    with atomic_path(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    animate(config, out)
    print(
        f"held-out L1 {metrics['l1']:.4f}, {metrics['l1 / l1_copy_source']:.2f} of copying the source; "
        f"see {out / 'animation.mp4'} and {out / 'sheet.png'}"
    )


def held_out_puppets(config: ConfigDict) -> VideoSource:
    """The demo's test puppets: identities that training has not seen."""
    data = config.data
    return create_videos(
        "test",
        kind="puppets",
        image_size=config.model.image_size,
        seed=config.seed,
        puppet_identities=data.puppet_identities,
        puppet_clips=data.puppet_clips,
        puppet_frames=data.puppet_frames,
        puppet_markers=data.puppet_markers,
    )


def evaluate(run: str | os.PathLike) -> dict[str, float]:
    """Reconstruction of held-out clips: each pair's first frame of the clip is the source, a later one is driven.

    Returns:
        "l1" and "l1_copy_source", mean absolute differences in [0, 1], their ratio, and the number of pairs.
    """
    config, variables = load_variables(run)
    pairs = validation_pairs(
        held_out_puppets(config), num_pairs=EVALUATION_PAIRS, batch_size=EVALUATION_BATCH, seed=config.seed
    )
    step = create_eval_step(config)
    results = jax.device_get([step(variables, batch) for batch in pairs])
    l1, l1_copy = (float(np.mean([result[name] for result in results])) for name in ("l1", "l1_copy_source"))
    return {
        "l1": l1,
        "l1_copy_source": l1_copy,
        "l1 / l1_copy_source": l1 / l1_copy,
        "pairs": EVALUATION_BATCH * len(pairs),
    }


def animate(config: ConfigDict, out: Path) -> None:
    """Moves one held-out figure by another's clip and writes the video and the sheet."""
    videos = held_out_puppets(config)
    source_clip, driving_clip = choose_clips(videos.names)
    source = videos.frame(source_clip, 0)
    driving = [videos.frame(driving_clip, t) for t in range(videos.num_frames(driving_clip))]
    logger.info("animating %s by %s", videos.names[source_clip], videos.names[driving_clip])
    animator = Animator.load(out / "run")
    frames = list(animator.animate_with_details(source, driving, best_frame="auto"))
    cell = (CELL_PX, CELL_PX)
    write_video(
        out / "animation.mp4",
        (
            np.concatenate([resize_image(image, cell) for image in (source, frame.driving, frame.image)], axis=1)
            for frame in frames
        ),
        fps=FPS,
    )
    shown = np.linspace(0, len(frames) - 1, min(SHEET_COLUMNS, len(frames))).round().astype(int)
    write_image(out / "sheet.png", draw_animation_sheet(source, [frames[i] for i in shown], cell_px=CELL_PX))


def choose_clips(names: Sequence[str]) -> tuple[int, int]:
    """A clip whose first frame is the source, and the clip of another identity that drives it.

    Both squat: of all motions the one that a model of minutes follows best. Without two such clips, any two identities.
    """
    squats = [i for i, name in enumerate(names) if "#squat" in name]
    candidates = squats if len({identity(names[i]) for i in squats}) > 1 else range(len(names))
    driving = candidates[0]
    return next(i for i in candidates if identity(names[i]) != identity(names[driving])), driving


if __name__ == "__main__":
    sys.exit(run_command(main))
