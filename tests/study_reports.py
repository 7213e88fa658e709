"""Reports with clips of flat colours, for tests of the preference study."""

import numpy as np

from motion_transformer_jax.data.video_writer import write_video
from motion_transformer_jax.reporting.results import Evaluation, SystemResult, VideoResult, write_results

SIZE, FRAMES, FPS = 32, 3, 25
SOURCE, DRIVING, ERROR = (200, 200, 200), (120, 120, 120), (255, 255, 0)
COLORS = {"motion transformer": (220, 20, 20), "fomm <b>": (20, 180, 20), "mraa": (20, 20, 220)}


def write_report(folder, systems=tuple(COLORS), *, videos=4, size=SIZE, frames=FRAMES, **fields):
    """A report whose systems return their own colour for every video."""
    results = []
    for number, name in enumerate(systems):
        clips = [f"{number}/videos/v{i}.mp4" for i in range(videos)]
        (folder / f"{number}" / "videos").mkdir(parents=True)
        panels = np.repeat(np.uint8([[SOURCE, DRIVING, COLORS[name], ERROR]]), size, axis=1).repeat(size, axis=0)
        for clip in clips:
            write_video(folder / clip, [panels] * frames, fps=FPS)
        results.append(
            SystemResult(
                name=name,
                estimator="keypoint_detector",
                checkpoint=f"runs/{name}",
                step=1,
                seed=0,
                parameters=1,
                frames_per_second=1.0,
                figures={},
                videos=[VideoResult(f"v{i}", frames, {"l1": 0.1}, clip) for i, clip in enumerate(clips)],
            )
        )
    described = {"dataset": "flat", "split": "test", "image_size": size, "detector": "none", "seed": 0, **fields}
    write_results(folder, Evaluation(**described, systems=results))
    return folder
