"""Prepared datasets in the form of TensorFlow Datasets: `DIR/motion_videos/NAME/VERSION/`, read by `tfds` alone.

One record a frame, the frames of a video side by side, and in `builder.info.metadata["videos"][SPLIT]` where each video
lies: {"name", "identity", "fps", "first" (record), "frames" (number of)}. A pair of frames costs two random reads.

While a dataset is made its finished shards lie in `VERSION.shards/`; they are moved at the end.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import io
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder
from tqdm import tqdm

from motion_transformer_jax.atomic import atomic_path, system_errors
from motion_transformer_jax.data.corpus import SPLITS, Clip, list_corpus, read_pair_list
from motion_transformer_jax.data.frame_records import FrameFormat
from motion_transformer_jax.data.shards import (
    Shard,
    ShardContents,
    frame_features,
    read_contents,
    write_locally,
    write_with_beam,
)
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

_CLIPS_PER_SHARD = 16
_LOCK = "lock"
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
        beam_runner: Name of the Beam runner that does the work; None for local processes.
        beam_options: Of the runner.
    """

    source: Path
    frame_format: FrameFormat
    lists: dict[str, Path] = dataclasses.field(default_factory=dict)
    pairs: Path | None = None
    jobs: int = 1
    max_bad: float = 0.01
    beam_runner: str | None = None
    beam_options: Sequence[str] = ()


class MotionVideos(FileReaderBuilder):
    """Videos of one kind of subject, as frames of one size; a config for each dataset of the paper, and one for any.

    `download_and_prepare` downloads nothing: it takes what the datasets' own scripts left.
    """

    VERSION = tfds.core.Version("1.0.0")
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

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        preparation = self._preparation
        if preparation is None:
            raise ValueError("MotionVideos(preparation=...) says what to prepare")
        plan = self.plan
        shards = [shard for split in plan.values() for shard in split]
        with _working_alone(self.work_folder, {name for s in shards for name in (s.path.name, s.sidecar.name)}):
            _write(shards, preparation)
        contents = {split: [read_contents(shard) for shard in shards] for split, shards in plan.items()}
        self._report(contents)
        self._set_info(plan, contents)
        for shard in shards:
            _place(shard.path, Path(self.data_dir) / shard.path.name)

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
            )
            for index, start in enumerate(starts)
        ]

    def _report(self, contents: dict[str, list[ShardContents]]) -> None:
        """Write the report, and refuse a corpus with too many bad videos or an empty split."""
        lines, num_skipped, num_videos = [], 0, 0
        for split, shards in contents.items():
            skipped = [line for shard in shards for line in shard.skipped]
            damaged = [line for shard in shards for line in shard.damaged]
            lines += [f"skipped {split}/{name}: {reason}" for name, reason in skipped]
            lines += [f"used in part {split}/{name}: {reason}" for name, reason in damaged]
            num_skipped += len(skipped)
            num_videos += len(skipped) + sum(len(shard.videos) for shard in shards)
        self.report.unlink(missing_ok=True)
        if lines:
            with atomic_path(self.report) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), "utf-8", "surrogateescape")
            logger.warning(
                "%d of %d videos skipped, %d used in part; %s names them",
                *(num_skipped, num_videos, len(lines) - num_skipped, self.report),
            )
        if num_skipped > self._preparation.max_bad * num_videos:
            raise UserError(
                f"{num_skipped} of {num_videos} videos cannot be used, more than --max-bad "
                f"{100 * self._preparation.max_bad:.4g} % allows; {self.report} names them: mend or remove them, or "
                "allow more"
            )
        for split, shards in contents.items():
            if not any(shard.videos for shard in shards):
                raise UserError(f"no video of {split} can be used; {self.report} says why")

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
            digest=_digest(plan, self.pairs),
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
        UserError: For mistakes in the arguments and the corpus, another dataset in the same place, a full disk.
    """
    out = Path(out).absolute()
    builder = MotionVideos(config=name, data_dir=out, preparation=preparation)
    target, digest = Path(builder.data_dir), _digest(builder.plan, builder.pairs)  # mistakes are told before the work
    if target.is_dir():
        if builder.info.metadata.get("digest") != digest:
            raise UserError(
                f"{target} was prepared from other files or with other settings; remove it or choose another --out"
            )
        logger.info("%s is there already, from the same files and settings", target)
        return target
    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    with system_errors(out), contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of downloads
        builder.download_and_prepare(download_dir=builder.work_folder / "downloads", download_config=settings)
    shutil.rmtree(builder.work_folder, ignore_errors=True)
    return target


def _write(shards: list[Shard], preparation: Preparation) -> None:
    unfinished = [shard for shard in shards if read_contents(shard) is None]
    if len(unfinished) < len(shards):
        logger.info("%d of %d shards are finished already", len(shards) - len(unfinished), len(shards))
    total = sum(len(shard.clips) for shard in unfinished)
    with tqdm(total=total, desc="preparing", unit="video", disable=None) as bar:
        if preparation.beam_runner is not None:
            write_with_beam(unfinished, preparation.beam_runner, preparation.beam_options)
        else:
            for shard in write_locally(unfinished, preparation.jobs):
                bar.update(len(shard.clips))
    lost = [shard.path for shard in unfinished if read_contents(shard) is None]
    if lost:
        raise UserError(
            f"{len(lost)} shards such as {lost[0]} are not there after the pipeline; its workers must see the same "
            "files under the same paths, and the videos must not change meanwhile"
        )


@contextlib.contextmanager
def _working_alone(folder: Path, wanted: set[str]) -> Iterator[None]:
    """Makes the folder, keeps other preparations out of it, and removes what is not wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / _LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another preparation is writing into {folder}; wait for it or stop it") from None
        for path in folder.iterdir():
            if path.is_file() and path.name not in wanted | {_LOCK}:
                path.unlink()
        yield


def _place(shard: Path, target: Path) -> None:
    """Gives a shard a second name in its final place, so that the first stays should the rest fail."""
    try:
        os.link(shard, target)
    except OSError:  # a file system without hard links
        os.replace(shard, target)


def _digest(plan: dict[str, list[Shard]], pairs: list[tuple[str, str]]) -> str:
    """A fingerprint of all that a dataset is made from."""
    digests = [shard.digest() for shards in plan.values() for shard in shards]
    return hashlib.sha256(repr((digests, pairs)).encode("utf-8", "surrogateescape")).hexdigest()
