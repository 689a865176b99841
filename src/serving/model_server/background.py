"""Threads beside the requests: they hold no process open, and can be waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Background:
    """The threads of one server.

    A pool would hold the process until a load that hangs has ended. Left alone, a thread that is
    inside TensorFlow when the process ends aborts it: so who stops a server waits for them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0

    def run(self, work: Callable[[], None], name: str) -> None:
        """Runs work in a thread of its own."""

        def counted() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

        with self._changed:
            self._running += 1
        threading.Thread(target=counted, name=name, daemon=True).start()

    def join(self, deadline: float) -> bool:
        """Waits until all work is done, or the deadline (monotonic seconds) is over.

        Returns:
            Whether all work is done.
        """
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._running, max(deadline - time.monotonic(), 0.0)
            )
