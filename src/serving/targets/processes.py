"""Processes that outlive those who started them: known by their number and their start.

A number alone is given to another process sooner or later.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import psutil

_POLL_S = 0.05


@dataclass(frozen=True)
class ProcessId:
    """A process.

    Attributes:
        pid: Its number.
        started: When it was started, in seconds since 1970, as the system tells it.
    """

    pid: int
    started: float

    @property
    def alive(self) -> bool:
        """Whether it runs; another process of its number, or a dead one's rest, is not it."""
        return self._process() is not None

    def end(self, grace_s: float) -> bool:
        """Ends it: SIGTERM, and SIGKILL when it has not ended in time.

        Returns:
            Whether it ended by itself, or was not there.
        """
        process = self._process()
        if process is None:
            return True
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        if self.wait(grace_s):
            return True
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        self.wait(grace_s)
        return False

    def wait(self, timeout_s: float) -> bool:
        """Waits until it has ended; False where it still runs."""
        deadline = time.monotonic() + timeout_s
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > 0.1:
                return None
            # Its first thread may be dead while others still hold its ports.
            dead = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
            return None if dead else process
        except psutil.NoSuchProcess:
            return None


def process_id(pid: int) -> ProcessId | None:
    """A running process; None where there is none of that number."""
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
