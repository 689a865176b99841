"""The threads behind the gRPC port: few for quick calls, all of them for slow ones."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.model_server import call_threads
from serving.model_server.call_threads import CallThreads, Job


@pytest.fixture
def threads() -> Iterator[CallThreads]:
    made = CallThreads(8, quick=2)
    yield made
    made.shutdown()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def test_quick_calls_share_few_threads_and_all_of_them_run(
    threads: CallThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may stop a thread in the midst of a quick call.
    monkeypatch.setattr(call_threads, "SLOW_S", 5.0)
    seen: set[int] = set()
    jobs = [threads.submit(lambda: seen.add(threading.get_ident())) for _ in range(500)]
    until(lambda: not threads.is_busy)
    assert len(jobs) == 500
    assert 1 <= len(seen) <= 2


def test_slow_calls_get_all_threads_and_no_more(threads: CallThreads) -> None:
    go, running = threading.Event(), threading.Semaphore(0)

    def slow() -> None:
        running.release()
        assert go.wait(20)

    for _ in range(12):
        threads.submit(slow)
    for _ in range(8):
        assert running.acquire(timeout=10), "a thread that could run a call did not"
    assert not running.acquire(timeout=0.05)
    assert threads.count == 8
    go.set()
    until(lambda: not threads.is_busy)


def test_quick_calls_pass_slow_ones_and_the_threads_go_again(threads: CallThreads) -> None:
    go = threading.Event()
    for _ in range(2):
        threads.submit(go.wait, 20)
    answered = threading.Event()
    threads.submit(answered.set)
    assert answered.wait(10), "a quick call waited for the slow ones"
    go.set()

    def crowd() -> bool:
        for _ in range(50):
            threads.submit(time.sleep, 0.0002)
        return threads.count <= 2

    until(crowd)


def test_calls_that_wait_for_each_other_have_their_threads_at_once() -> None:
    threads = CallThreads(8, quick=8)
    together = threading.Barrier(8)
    for _ in range(8):
        threads.submit(together.wait, 10)
    until(lambda: not threads.is_busy)
    assert not together.broken
    threads.shutdown()


def test_the_end_of_a_call_is_told_once_whenever_it_is_asked_for(threads: CallThreads) -> None:
    told: list[Job] = []
    go = threading.Event()
    job = threads.submit(go.wait, 10)
    job.add_done_callback(told.append)
    assert told == []
    go.set()
    until(lambda: not threads.is_busy)
    job.add_done_callback(told.append)
    assert told == [job, job]


def test_a_call_that_fails_ends_and_leaves_its_thread_well(
    threads: CallThreads, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Job] = []
    threads.submit(lambda: 1 / 0).add_done_callback(told.append)
    until(lambda: not threads.is_busy)
    assert len(told) == 1
    assert "A gRPC call failed" in caplog.text
    answered = threading.Event()
    threads.submit(answered.set)
    assert answered.wait(10)


def test_a_shutdown_runs_what_waits_and_drops_what_comes_later() -> None:
    threads = CallThreads(1)
    done: list[int] = []
    threads.submit(time.sleep, 0.05)
    for number in range(3):
        threads.submit(done.append, number)
    threads.shutdown()
    assert done == [0, 1, 2]
    assert threads.count == 0
    told: list[Job] = []
    threads.submit(done.append, 9).add_done_callback(told.append)
    assert len(told) == 1
    assert done == [0, 1, 2]
    threads.shutdown()


def test_a_program_waits_for_the_call_under_way_and_ends() -> None:
    code = (
        "import time\nfrom serving.model_server.call_threads import CallThreads\n"
        "threads = CallThreads(4)\n"
        "threads.submit(lambda: (time.sleep(0.2), print('done', flush=True)))\n"
        "threads.submit(print, 'quick')\n"
    )
    source = Path(__file__).parents[2] / "src"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == ["quick", "done"]
