"""Prepare a dataset for training, and look at one.

python -m motion_transformer_jax.prepare --dataset vox256 --source vox-png --out data
python -m motion_transformer_jax.prepare inspect data
"""

import os
import re
import sys
from pathlib import Path

from motion_transformer_jax.cli import CONFIG_IS_RUN, Parser, parse_config, run_command
from motion_transformer_jax.limit_options import add_limits, take_limits

# As data.builders and data.frame_records have them, which are slow to import.
DATASETS = ("vox256", "taichi256", "ted384", "mgif256", "folder")
ENCODINGS = ("png", "jpeg")


def main(argv: list[str]) -> None:
    """Parse the arguments and prepare a dataset, or inspect one."""
    if argv[:1] == ["inspect"]:
        _inspect(argv[1:])
    else:
        _prepare(argv)


def _prepare(argv: list[str]) -> None:
    parser = _create_parser()
    arguments = parser.parse_args(argv)
    if arguments.jobs < 1:
        parser.error(f"--jobs is {arguments.jobs}; expected 1 or more")
    if arguments.size is not None and arguments.size < 1:
        parser.error(f"--size is {arguments.size}; expected pixels, 1 or more")

    from motion_transformer_jax.data.builders import MotionVideos, Preparation, prepare_dataset  # slow to import
    from motion_transformer_jax.data.frame_records import FrameFormat

    size = arguments.size or MotionVideos.builder_configs[arguments.dataset].size
    lists = {"train": arguments.train_list, "test": arguments.test_list}
    preparation = Preparation(
        source=Path(arguments.source),
        frame_format=FrameFormat(size, _crop(parser, arguments.crop), arguments.encoding),
        lists={split: path for split, path in lists.items() if path},
        pairs=arguments.pairs and Path(arguments.pairs),
        jobs=arguments.jobs,
        max_bad=_share(parser, arguments.max_bad),
        limits=take_limits(arguments),
        beam_runner=arguments.beam_runner,
        beam_options=[f"--{option}" for option in arguments.beam_options.split(",") if option],
    )
    folder = prepare_dataset(arguments.dataset, arguments.out, preparation)

    from motion_transformer_jax.data.inspection import describe_dataset

    print(describe_dataset(folder))


def _create_parser() -> Parser:
    parser = Parser(
        "prepare",
        description="Prepare a dataset for training: frames of one size, indexed by video, in the form of TensorFlow "
        "Datasets (ArrayRecord). The same command goes on where a run stopped.",
        epilog="`motrans prepare inspect DIR` tells what a prepared dataset holds.",
    )
    add = parser.add_argument
    add("--dataset", required=True, choices=DATASETS, help="which one; 'folder' for your own videos")
    add("--source", required=True, metavar="DIR", help="holds train/ and test/: videos, film strips, folders of frames")
    add("--out", required=True, metavar="DIR", help="folder of prepared datasets")
    for split in ("train", "test"):
        add(f"--{split}-list", metavar="FILE", help=f"take these of {split}/ only: lines VIDEO/FRAME or VIDEO")
    add("--pairs", metavar="CSV", help="test videos to animate; columns source and driving")
    add("--size", type=int, metavar="PX", help="side of the frames (default: the dataset's own, 256 or 384)")
    add(
        "--crop",
        default="center",
        metavar="HOW",
        help="center (default): cut margins; stretch: squeeze to a square; or a box W:H:X:Y in pixels",
    )
    add("--encoding", default="png", choices=ENCODINGS, help="of frames that are not PNG or JPEG of that size already")
    add("--jobs", type=int, default=os.cpu_count(), metavar="N", help="local processes (default: one a core)")
    add(
        "--max-bad",
        default="1%",
        metavar="PERCENT",
        help="share of the videos that may be unusable (default %(default)s)",
    )
    add(
        "--beam_runner",
        metavar="NAME",
        help="run on Apache Beam instead: DirectRunner, DataflowRunner, FlinkRunner ...",
    )
    add("--beam_options", default="", metavar="A=B,C=D", help="options of the Beam runner")
    add_limits(parser)
    return parser


def _crop(parser: Parser, text: str) -> str | tuple[int, int, int, int]:
    if text in ("center", "stretch"):
        return text
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*:\d+:\d+", text, re.ASCII):
        parser.error(f"--crop is '{text}'; expected center, stretch, or a box W:H:X:Y in pixels")
    width, height, left, top = map(int, text.split(":"))
    return width, height, left, top


def _share(parser: Parser, text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text, re.ASCII)
    if not match or float(match[1]) > 100:
        parser.error(f"--max-bad is '{text}'; expected a share in percent, 0 to 100")
    return float(match[1]) / 100


def _inspect(argv: list[str]) -> None:
    parser = Parser(
        "prepare inspect",
        description="Tell what a prepared dataset holds, and draw random pairs before and after augmentation.",
    )
    parser.add_argument("folder", metavar="DIR", help="what `prepare` had as --out, or the dataset's own folder")
    parser.add_argument("--sheet", metavar="PNG", help="the picture to write (default: pairs.png beside the records)")
    parser.add_argument(
        "--config",
        metavar="FILE[:VARIANT,...]",
        help="whose augmentation to show (default: the dataset's own config)" + CONFIG_IS_RUN,
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pairs and of the augmentation")
    parser.epilog = "Any field of the config is set by --config.FIELD=VALUE, such as --config.augmentation.hue=0.5."
    arguments, overrides = parser.parse_known_args(argv)
    if arguments.seed < 0:
        parser.error(f"--seed is {arguments.seed}; expected 0 or more")

    from motion_transformer_jax import configs
    from motion_transformer_jax.data.augment import Augmentation  # slow to import, as those below
    from motion_transformer_jax.data.inspection import describe_dataset, draw_pairs
    from motion_transformer_jax.data.prepared_dataset import open_dataset
    from motion_transformer_jax.data.prepared_videos import require_prepared
    from motion_transformer_jax.data.video_writer import require_png, write_image

    folder = require_prepared(arguments.folder)
    name = open_dataset(folder).info.config_name  # a config is run as Python: only one of ours by that name
    if arguments.config is None and name not in DATASETS:
        parser.error(f"{folder} names no config of ours but '{name}'; name the one to show with --config")
    config = parse_config(arguments.config or str(Path(configs.__path__[0]) / f"{name}.py"), overrides)
    sheet = Path(arguments.sheet or folder / "pairs.png")
    require_png(sheet)
    description = describe_dataset(folder)
    write_image(sheet, draw_pairs(folder, Augmentation(**config.augmentation), seed=arguments.seed))
    print(description)
    print(f"{sheet}: random pairs before and after the augmentation of {config.name}")


if __name__ == "__main__":
    sys.exit(run_command(main))
