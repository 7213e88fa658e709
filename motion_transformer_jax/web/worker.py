"""The one thread that computes: jobs come in turn, tell how far they are, and end early when nobody waits for them."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Generic, TypeVar

Report = TypeVar("Report")
Result = TypeVar("Result")

_PAUSE_SECS = 0.2  # between two looks at a job: a page is renewed no more often


class Stopped(Exception):
    """Raised inside a job whose result nobody waits for."""


class Worker:
    """Runs one job at a time."""

    def __init__(self):
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._closed = Event()

    def follow(self, work: Callable[[Callable[[Report | None], None]], Result]) -> "Job[Report, Result]":
        """Starts a job as soon as the one before it has ended.

        Args:
            work: Gets a function that takes its reports, in its thread, or None where there is nothing new; that raises
                `Stopped` when it is to end.
        """
        return Job(self._executor, self._closed, work)

    def close(self) -> None:
        """Ends the present job at its next report, and takes no further ones."""
        self._closed.set()
        self._executor.shutdown(cancel_futures=True)


class Job(Generic[Report, Result]):
    """A job that is followed from another thread."""

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        closed: Event,
        work: Callable[[Callable[[Report | None], None]], Result],
    ):
        self._closed, self._left = closed, Event()
        self._newest: Report | None = None
        self._future: Future[Result] = executor.submit(work, self._report)

    def reports(self) -> Iterator[Report | None]:
        """The newest report, or None where there is no new one, a few times a second until the job has ended.

        Whoever closes the iterator before its end ends the job.
        """
        try:
            while not self._future.done():
                wait([self._future], _PAUSE_SECS)
                newest, self._newest = self._newest, None
                yield newest
        finally:
            self._left.set()
            self._future.cancel()

    def result(self) -> Result:
        """What the job returned, or raises what it raised, once it has ended."""
        return self._future.result()

    def _report(self, report: Report | None) -> None:
        if self._left.is_set() or self._closed.is_set():
            raise Stopped
        if report is not None:
            self._newest = report
