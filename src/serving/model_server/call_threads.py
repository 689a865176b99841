"""The threads that answer gRPC calls: as few at a time as keep the processors busy.

Each thread that is awake takes the interpreter's lock from the others, which costs a quick call
more than its model does. So only two threads for each processor share the calls. A call that
stays longer than SLOW_S no longer counts as one of them, and another thread takes over
the calls that wait: slow models still get all the threads that the server may have.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

logger = logging.getLogger(__name__)

QUICK_THREADS = 2 * (os.cpu_count() or 1)
SLOW_S = 0.02


class Job:
    """A call that was handed to the threads; of a future, it has what gRPC asks for."""

    __slots__ = ("_ended", "_run", "_waiting")

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run
        self._ended = False
        self._waiting: list[Callable[[Job], Any]] = []

    def add_done_callback(self, callback: Callable[[Job], Any]) -> None:
        """Calls a function when the call has ended; at once when it has already."""
        self._waiting.append(callback)
        if self._ended:
            self._tell()

    def run(self) -> None:
        """Runs the call."""
        try:
            self._run()
        finally:
            self.end()

    def end(self) -> None:
        """Tells those who wait for the end."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        # Two threads may be here at once; `pop` gives each callback to one of them.
        while self._waiting:
            try:
                callback = self._waiting.pop()
            except IndexError:
                return
            callback(self)


class CallThreads:
    """Runs calls in threads, in the order they came; see the module.

    Args:
        most: The most threads at once.
        quick: The most threads that share quick calls. Where calls wait for each other, as in
            dynamic batching, it must be `most`.
    """

    def __init__(self, most: int, quick: int = QUICK_THREADS) -> None:
        self._most = most
        self._quick = min(quick, most)
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards the fields below
        self._began: dict[threading.Thread, float] = {}  # 0.0: it waits for a call
        self._wanted = self._quick
        self._under_way = 0
        self._is_closed = False
        self._crowded = threading.Event()
        self._numbers = itertools.count()
        self._watcher = threading.Thread(target=self._watch, name="grpc-threads", daemon=True)
        # A thread that is still in TensorFlow when the interpreter goes aborts the process.
        atexit.register(self.shutdown)

    @property
    def is_busy(self) -> bool:
        """Whether a call is worked on, or waits for a thread."""
        return self._under_way > 0

    @property
    def count(self) -> int:
        """The threads there are now."""
        return len(self._began)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
        """Runs a call in a thread; after `shutdown` it is dropped."""
        job = Job(lambda: fn(*args, **kwargs))
        with self._lock:
            if self._is_closed:
                job.end()
                return job
            self._under_way += 1
            crowded = self._under_way > self._quick
            if len(self._began) < min(self._under_way, self._wanted):
                self._add_thread()
            self._queue.put(job)  # here, so that none comes after the end
        if crowded and not self._crowded.is_set():
            self._crowded.set()
        return job

    def shutdown(self, wait: bool = True) -> None:
        """Takes no more calls; the threads end when they have run those there are.

        Args:
            wait: Return when they have ended.
        """
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                for _ in self._began:
                    self._queue.put(None)
            threads = [*self._began]
        self._crowded.set()
        if wait:
            for thread in threads:
                thread.join()
        if not threads:
            atexit.unregister(self.shutdown)

    def _add_thread(self) -> None:
        if not self._began and not self._watcher.is_alive():
            self._watcher.start()
        name = f"grpc-predict_{next(self._numbers)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._began[thread] = 0.0
        thread.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while (job := self._queue.get()) is not None:
            self._began[me] = time.monotonic()
            try:
                job.run()
            except Exception:  # the outermost boundary: the thread goes on with the next call
                logger.exception("A gRPC call failed")
            del job
            self._began[me] = 0.0
            with self._lock:
                self._under_way -= 1
                if len(self._began) > self._wanted and not self._is_closed:
                    del self._began[me]
                    return
        with self._lock:
            del self._began[me]

    def _watch(self) -> None:
        """Adds threads for calls that wait while others are slow."""
        while not self._is_closed:
            self._crowded.wait()
            time.sleep(SLOW_S)
            slow_since = time.monotonic() - SLOW_S
            with self._lock:
                if self._under_way <= self._quick:
                    self._crowded.clear()
                slow = sum(0.0 < began < slow_since for began in self._began.values())
                self._wanted = min(self._quick + slow, self._most)
                missing = min(self._wanted, self._under_way) - len(self._began)
                for _ in range(0 if self._is_closed else missing):
                    self._add_thread()
