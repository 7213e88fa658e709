"""Who writes shards: this process, several of this machine, or the workers of an Apache Beam pipeline."""

import concurrent.futures
import concurrent.futures.process
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from motion_transformer_jax.data.shards import Shard, read_contents, write_shard
from motion_transformer_jax.errors import UserError, install_hint

logger = logging.getLogger(__name__)


def write_shards(
    shards: Sequence[Shard], *, jobs: int = 1, beam_runner: str | None = None, beam_options: Sequence[str] = ()
) -> None:
    """Write the shards that are not finished, with a progress bar on a terminal.

    Args:
        shards: All of them.
        jobs: Local processes.
        beam_runner: Of the pipeline that does it instead; see `write_with_beam`.
        beam_options: Of the pipeline.

    Raises:
        UserError: As `write_locally` and `write_with_beam`, and when videos change meanwhile.
    """
    unfinished = [shard for shard in shards if read_contents(shard) is None]
    if len(unfinished) < len(shards):
        logger.info("%d of %d shards are finished already", len(shards) - len(unfinished), len(shards))
    total = sum(len(shard.clips) for shard in unfinished)
    with tqdm(total=total, desc="preparing", unit="video", disable=None) as bar:
        if beam_runner is not None:
            write_with_beam(unfinished, beam_runner, beam_options)
        else:
            for shard in write_locally(unfinished, jobs):
                bar.update(len(shard.clips))
    lost = [shard.path for shard in unfinished if read_contents(shard) is None]
    if lost:
        raise UserError(
            f"{len(lost)} shards such as {lost[0]} are not as they should be: videos changed while they were read, or "
            "the pipeline's workers do not see the same files; run the same command again"
        )


def write_locally(shards: Sequence[Shard], jobs: int) -> Iterator[Shard]:
    """Write shards in this machine's processes.

    Args:
        shards: What to write.
        jobs: Processes at once; 1 for this one alone.

    Yields:
        Each shard as it is finished, in any order.

    Raises:
        UserError: As `write_shard`, of the first that fails. Others that run are left unfinished.
    """
    if jobs == 1 or len(shards) < 2:
        for shard in shards:
            write_shard(shard)
            yield shard
        return
    # Not forked: JAX and FFmpeg have threads.
    executor = concurrent.futures.ProcessPoolExecutor(
        min(jobs, len(shards)), multiprocessing.get_context("spawn"), initializer=_follow_parent
    )
    try:
        futures = {executor.submit(write_shard, shard): shard for shard in shards}
        for future in concurrent.futures.as_completed(futures):
            future.result()
            yield futures[future]
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "a process was killed, perhaps for want of memory; run the same command again, with fewer --jobs"
        ) from error
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():  # a shard can take minutes
            process.terminate()
        raise
    executor.shutdown()


def _follow_parent() -> None:
    """Ctrl-C reaches every process, and the main one tells the others; when that one is killed, they end too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def write_with_beam(shards: Sequence[Shard], runner: str, options: Sequence[str]) -> None:
    """Write shards by an Apache Beam pipeline; its workers must see the same files under the same paths.

    Args:
        shards: What to write.
        runner: Name of a Beam runner: "DirectRunner", "DataflowRunner", "FlinkRunner", "SparkRunner", ...
        options: Beam's own, such as "--project=NAME".

    Raises:
        UserError: Beam is not installed, does not know the runner, or the pipeline fails.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError(f"Apache Beam is not installed; {install_hint('beam')}") from error
    try:
        with beam.Pipeline(runner=runner, options=PipelineOptions(list(options))) as pipeline:
            _ = pipeline | beam.Create(shards) | beam.Reshuffle() | beam.Map(write_shard)
    except (Exception, SystemExit) as error:  # runners raise what they like, and bad options exit
        raise UserError(f"the pipeline on {runner} failed: {error}") from error
