"""One job at a time, followed from outside, ended when nobody waits."""

import threading
import time
from contextlib import closing

import pytest

from motion_transformer_jax.web.worker import Stopped, Worker


@pytest.fixture
def worker():
    with closing(Worker()) as worker:
        yield worker


def test_reports_and_result(worker):
    heard = threading.Event()

    def work(report):
        report("first")
        heard.wait(10)
        report("last")
        return "done"

    seen = []
    job = worker.follow(work)
    for report in job.reports():
        if report is not None:
            seen.append(report)
            heard.set()
    assert seen == ["first", "last"] and job.result() == "done"


def test_that_nothing_is_new_hides_nothing(worker):
    seen = threading.Event()

    def work(report):
        report("newest")
        report(None)
        seen.wait(10)

    reports = worker.follow(work).reports()
    assert next(report for report in reports if report is not None) == "newest"
    seen.set()
    assert set(reports) <= {None}


def test_there_is_something_to_show_while_nothing_is_reported(worker):
    go = threading.Event()
    reports = worker.follow(lambda report: go.wait(10)).reports()
    assert next(reports) is None and next(reports) is None
    go.set()
    assert list(reports) in ([None], [])


def test_what_a_job_raises(worker):
    def work(report):
        raise KeyError("a fault")

    job = worker.follow(work)
    assert set(job.reports()) <= {None}
    with pytest.raises(KeyError, match="a fault"):
        job.result()
    assert worker.follow(lambda report: 1).result() == 1


def test_jobs_come_in_turn(worker):
    running, most = [], []

    def work(report):
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()

    jobs = [worker.follow(work) for _ in range(5)]
    for job in jobs:
        job.result()
    assert most == [1] * 5


def endless(report, ended, news=time.monotonic):
    try:
        while True:
            report(news())
            time.sleep(0.005)
    except Stopped:
        ended.set()
        raise


def test_a_job_ends_when_nobody_follows_it_any_longer(worker):
    ended, never = threading.Event(), threading.Event()
    reports = worker.follow(lambda report: endless(report, ended)).reports()
    waiting = worker.follow(lambda report: never.set()).reports()
    assert next(reports) is not None
    assert next(waiting) is None
    waiting.close()
    reports.close()
    assert ended.wait(10)
    assert worker.follow(lambda report: "next").result() == "next"
    assert not never.is_set()


def test_a_job_without_news_ends_too(worker):
    ended = threading.Event()
    reports = worker.follow(lambda report: endless(report, ended, news=lambda: None)).reports()
    assert next(reports) is None
    reports.close()
    assert ended.wait(10)


def test_closing_ends_the_job(worker):
    ended = threading.Event()
    job = worker.follow(lambda report: endless(report, ended))
    assert next(job.reports()) is not None
    worker.close()
    assert ended.is_set()
    with pytest.raises(Stopped):
        job.result()
