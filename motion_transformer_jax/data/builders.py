"""Prepared datasets in the form of TensorFlow Datasets: `DIR/motion_videos/NAME/VERSION/`, read by `tfds` alone.

One record a frame, the frames of a video side by side, and in `builder.info.metadata["videos"][SPLIT]` where each video
lies: {"name", "identity", "fps", "first" (record), "frames" (number of)}. A pair of frames costs two random reads.

While a dataset is made its finished shards lie in `VERSION.shards/`, which is renamed at the end.
"""

import dataclasses
import functools
import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from motion_transformer_jax.atomic import system_errors
from motion_transformer_jax.data.corpus import SPLITS, Clip, list_corpus, read_pair_list
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.limits import DEFAULT_LIMITS, MediaLimits
from motion_transformer_jax.data.prepared_dataset import NAME, VERSION, frame_features, open_dataset
from motion_transformer_jax.data.shard_runners import write_shards
from motion_transformer_jax.data.shards import Shard, ShardContents, read_contents
from motion_transformer_jax.data.work_folder import working_alone, write_report
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

_CLIPS_PER_SHARD = 16
_MAX_SHARDS = 256  # in a split: a reader keeps each one open


@dataclasses.dataclass(kw_only=True)
class VideoConfig(tfds.core.BuilderConfig):
    """A dataset.

    Attributes:
        size: Side of its frames in pixels, unless another is asked for.
    """

    size: int


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How a corpus is prepared.

    Attributes:
        source: Folder with `train/` and `test/`.
        frame_format: What frames become.
        lists: List files by split.
        pairs: CSV file of test videos to animate, or None.
        jobs: Local processes.
        max_bad: Share of the videos that may be unusable, in [0, 1].
        limits: A video over them is unusable.
        beam_runner: Name of the Beam runner that does the work; None for local processes.
        beam_options: Of the runner.
    """

    source: Path
    frame_format: FrameFormat
    lists: dict[str, Path] = dataclasses.field(default_factory=dict)
    pairs: Path | None = None
    jobs: int = 1
    max_bad: float = 0.01
    limits: MediaLimits = DEFAULT_LIMITS
    beam_runner: str | None = None
    beam_options: Sequence[str] = ()


class MotionVideos(FileReaderBuilder):
    """Videos of one kind of subject, as frames of one size; a config for each dataset of the paper, and one for any.

    `download_and_prepare` downloads nothing: it takes what the datasets' own scripts left.
    """

    VERSION = VERSION
    RELEASE_NOTES: ClassVar = {"1.0.0": "The first."}
    BUILDER_CONFIGS: ClassVar = [
        VideoConfig(name="vox256", size=256, description="VoxCeleb: faces, an identity in many videos."),
        VideoConfig(name="taichi256", size=256, description="TaiChiHD: whole bodies, moving cameras."),
        VideoConfig(name="ted384", size=384, description="TED-talks: upper bodies."),
        VideoConfig(name="mgif256", size=256, description="MGIF: walking cartoon animals."),
        VideoConfig(name="folder", size=256, description="Videos of one kind of subject."),
    ]

    def __init__(self, *, preparation: Preparation | None = None, **kwargs):
        """As any TFDS builder.

        Args:
            preparation: How `download_and_prepare` makes the dataset; not needed to read one.
            **kwargs: `config` and `data_dir`.
        """
        self._preparation = preparation
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        size = self._preparation.frame_format.size if self._preparation else self.builder_config.size
        return tfds.core.DatasetInfo(
            builder=self,
            description="Frames of videos that show one subject each, for image animation.",
            features=frame_features(size),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    @property
    def work_folder(self) -> Path:
        """Where finished shards wait for the others."""
        return Path(self.data_dir_root) / self.name / self.builder_config.name / f"{self.version}.shards"

    @property
    def report(self) -> Path:
        """The file that names the videos that could not be used, and those of which only a part could."""
        return Path(self.data_dir_root) / f"{self.builder_config.name}-report.txt"

    def download_and_prepare(self, **kwargs) -> None:
        """Prepare the dataset, or go on where an earlier run stopped.

        Instead of TFDS's own, which throws away what it has when it stops. What that takes (download_config and so on)
        is of no use here.

        Raises:
            UserError: As `prepare_dataset`.
        """
        if self._preparation is None:
            raise ValueError("MotionVideos(preparation=...) says what to prepare")
        target, plan, pairs = Path(self.data_dir), self.plan, self.pairs  # mistakes are told before the work
        shards = [shard for split in plan.values() for shard in split]
        if target.is_dir():
            if self.info.metadata["digest"] != _digest([shard.digest() for shard in shards], pairs):
                raise UserError(
                    f"{target} was prepared from other files or with other settings; remove it or choose another --out"
                )
            logger.info("%s is there already, from the same files and settings", target)
            return
        wanted = {path.name for shard in shards for path in (shard.path, shard.sidecar)}
        with working_alone(self.work_folder, wanted, settings=self._settings):
            write_shards(
                shards,
                jobs=self._preparation.jobs,
                beam_runner=self._preparation.beam_runner,
                beam_options=self._preparation.beam_options,
            )
            contents = {split: [read_contents(shard) for shard in shards] for split, shards in plan.items()}
            write_report(self.report, contents, self._preparation.max_bad)
            self._set_info(plan, contents)
            self.info.write_to_directory(self.work_folder)
            os.rename(self.work_folder, target)
        for shard in shards:
            (target / shard.sidecar.name).unlink(missing_ok=True)
        self.info.update_data_dir(self.data_dir)

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        raise AssertionError("TFDS asks for this in its own download_and_prepare, which is not used")

    @functools.cached_property
    def plan(self) -> dict[str, list[Shard]]:
        """The shards of each split.

        Raises:
            UserError: As `list_corpus`.
        """
        corpus = list_corpus(self._preparation.source.absolute(), self._preparation.lists)
        return {split: self._shards(split, corpus[split]) for split in SPLITS}

    @functools.cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Names of the (source, driving) videos of each pair to animate.

        Raises:
            UserError: As `read_pair_list`.
        """
        if self._preparation.pairs is None:
            return []
        names = [clip.name for shard in self.plan["test"] for clip in shard.clips]
        return read_pair_list(self._preparation.pairs, names)

    @property
    def _settings(self) -> str:
        return f"{self._preparation.frame_format} {self._preparation.limits}"

    def _shards(self, split: str, clips: list[Clip]) -> list[Shard]:
        per_shard = max(_CLIPS_PER_SHARD, -(-len(clips) // _MAX_SHARDS))
        starts = range(0, len(clips), per_shard)
        template = self._get_filename_template(split_name=split)
        return [
            Shard(
                path=self.work_folder / template.sharded_filepath(shard_index=index, num_shards=len(starts)).name,
                clips=tuple(clips[start : start + per_shard]),
                first_video=start,
                frame_format=self._preparation.frame_format,
                limits=self._preparation.limits,
            )
            for index, start in enumerate(starts)
        ]

    def _set_info(self, plan: dict[str, list[Shard]], contents: dict[str, list[ShardContents]]) -> None:
        preparation, videos, splits = self._preparation, {}, []
        for split, shards in plan.items():
            videos[split], first = [], 0
            for shard in contents[split]:
                videos[split] += [{**video, "first": first + video["first"]} for video in shard.videos]
                first += shard.num_records
            splits.append(
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=[shard.num_records for shard in contents[split]],
                    num_bytes=sum(shard.path.stat().st_size for shard in shards),
                    filename_template=self._get_filename_template(split_name=split),
                )
            )
        usable = {video["name"] for video in videos["test"]}
        self.info.set_splits(tfds.core.SplitDict(splits))
        self.info.metadata.update(
            digest=_digest([shard.digest for shards in contents.values() for shard in shards], self.pairs),
            size=preparation.frame_format.size,
            encoding=preparation.frame_format.encoding,
            videos=videos,
            pairs=[pair for pair in self.pairs if set(pair) <= usable],
        )


def prepare_dataset(name: str, out: str | os.PathLike, preparation: Preparation) -> Path:
    """Prepare a dataset, or go on where an earlier run stopped.

    Args:
        name: Of a config of `MotionVideos`.
        out: Folder of datasets; made where it is missing.
        preparation: What to do.

    Returns:
        The dataset's own folder, `OUT/motion_videos/NAME/VERSION`. It appears only when all is done; one that was made
        from the same files and settings stays as it is.

    Raises:
        UserError: For mistakes in the arguments and the corpus, a dataset in the same place that is damaged or made
            from something else, a full disk.
    """
    out = Path(out).absolute()
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError:
        raise UserError(f"the name of {out!a} is not UTF-8, as TensorFlow Datasets needs it; choose another") from None
    target = out / NAME / name / str(VERSION)
    if target.is_dir():
        open_dataset(target)
    with system_errors(out):
        MotionVideos(config=name, data_dir=out, preparation=preparation).download_and_prepare()
    return target


def _digest(shards: Sequence[str], pairs: list[tuple[str, str]]) -> str:
    """A fingerprint of all that a dataset is made from."""
    return hashlib.sha256(repr((list(shards), pairs)).encode("utf-8", "surrogateescape")).hexdigest()
