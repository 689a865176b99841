"""The places in which batches run, shared by the queues of a server."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class BatchSlots:
    """The places for batches that run at once, given out in the order of asking.

    Args:
        number: How many there are.
    """

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._free = number
        self._turns: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = locked()
            self._turns.append(turn)
        turn.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._turns:
                self._turns.popleft().release()
            else:
                self._free += 1


def locked() -> threading.Lock:
    """A lock that somebody else will release: the cheapest way to wait for one event."""
    lock = threading.Lock()
    lock.acquire()
    return lock
