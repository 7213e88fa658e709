"""The folder in which a dataset grows: one preparation at a time, with one set of settings, and what it reports."""

import contextlib
import fcntl
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.data.shards import ShardContents
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

_SETTINGS = "settings.txt"


@contextlib.contextmanager
def working_alone(folder: Path, wanted: set[str], *, settings: str) -> Iterator[None]:
    """Makes the folder, keeps other preparations out of it, and removes what is not wanted.

    Args:
        folder: May hold what an earlier run with the same settings left. Whoever is done renames it.
        wanted: Names of the files that may stay.
        settings: How they are made.

    Raises:
        UserError: Another preparation is at work, or another one with other settings was begun here.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another preparation is writing into {folder}; wait for it or stop it") from None
        folder.mkdir(exist_ok=True)
        _check_settings(folder / _SETTINGS, settings)
        for path in folder.iterdir():
            if path.name not in wanted | {_SETTINGS}:
                path.unlink()
        yield


def _check_settings(path: Path, settings: str) -> None:
    """Finished shards are worth hours: another setting by mistake must not replace them."""
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(settings)
    elif (begun := path.read_text()) != settings:
        raise UserError(
            f"{path.parent} holds a preparation that was begun with {begun}, not {settings}; go on with the same "
            "options, or remove that folder to start again"
        )


def write_report(path: Path, contents: Mapping[str, Sequence[ShardContents]], max_bad: float) -> None:
    """Write which videos could not be used, or only in part; no file, if there are none.

    Args:
        path: Of the report.
        contents: Of the shards of each split.
        max_bad: Share of the videos that may be unusable, in [0, 1].

    Raises:
        UserError: More are, or all of a split.
    """
    lines, num_skipped, num_damaged, num_videos = [], 0, 0, 0
    for split, shards in contents.items():
        skipped = [line for shard in shards for line in shard.skipped]
        damaged = [line for shard in shards for line in shard.damaged]
        lines += [f"skipped {split}/{name}: {reason}" for name, reason in skipped]
        lines += [f"used in part {split}/{name}: {reason}" for name, reason in damaged]
        num_skipped, num_damaged = num_skipped + len(skipped), num_damaged + len({name for name, _ in damaged})
        num_videos += len(skipped) + sum(len(shard.videos) for shard in shards)
    path.unlink(missing_ok=True)
    if lines:
        with atomic_path(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), "utf-8", "surrogateescape")
        counts = (num_skipped, num_videos, num_damaged, path)
        logger.warning("%d of %d videos skipped, %d used in part; %s names them", *counts)
    if num_skipped > max_bad * num_videos:
        raise UserError(
            f"{num_skipped} of {num_videos} videos cannot be used, more than --max-bad {100 * max_bad:.4g} % allows; "
            f"{path} names them: mend them, or allow more"
        )
    for split, shards in contents.items():
        if not any(shard.videos for shard in shards):
            raise UserError(f"no video of {split} can be used; {path} says why")
