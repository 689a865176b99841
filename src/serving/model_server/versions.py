"""The versions of a model: their states, and a loaded one with the requests that run on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType

from serving.model_server.loader import LoadedModel
from serving.model_server.status import Code
from serving.model_server.version_folders import VersionFolder


class State(IntEnum):
    """Where a version stands; the numbers of `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """One version's state; `code` and `message` tell why it ended when it ended badly."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


class LiveVersion:
    """A loaded version; as a context manager it is held for one request that `take` let in.

    Args:
        version: The version.
        model: What answers.
        stamp: What stood for its files when they were read.
        on_idle: Called once, when it is retired and its last request has ended.
    """

    __slots__ = ("_held", "_lock", "_on_idle", "_retired", "in_flight", "model", "stamp", "version")

    def __init__(
        self,
        version: int,
        model: LoadedModel,
        stamp: Hashable,
        on_idle: Callable[[LiveVersion], None],
    ) -> None:
        self.version = version
        self.model = model
        self.stamp = stamp
        self.in_flight = 0
        self._held = (version, model)
        self._retired = False
        self._on_idle = on_idle
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Let a request in; False when the version was retired meanwhile."""
        with self._lock:
            if self._retired:
                return False
            self.in_flight += 1
        return True

    def __enter__(self) -> tuple[int, LoadedModel]:
        return self._held

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self.in_flight -= 1
            last = self._retired and not self.in_flight
        if last:
            self._on_idle(self)

    def retire(self) -> None:
        """Let no more requests in."""
        with self._lock:
            if self._retired:
                return
            self._retired = True
            idle = not self.in_flight
        if idle:
            self._on_idle(self)


@dataclass(eq=False)
class ManagedVersion:
    """A version that a model wants, or wanted and still has.

    Attributes:
        version: Its number.
        folder: Where its files lie.
        aspired: Whether it is wanted.
        state: Where it stands; START also between two tries to load it.
        live: The loaded model; also while other files of the same version are loaded instead.
        tries: How many loads failed, since its files last changed.
        due_at: When it may be loaded, in seconds of the monotonic clock.
        failed_stamp: What stood for its files when they did not load.
    """

    version: int
    folder: VersionFolder
    aspired: bool = True
    state: State = State.START
    live: LiveVersion | None = None
    tries: int = 0
    due_at: float = 0.0
    failed_stamp: Hashable = None

    @property
    def failed(self) -> bool:
        """Whether it was given up."""
        return self.state is State.END

    @property
    def answers(self) -> bool:
        """Whether requests are let in."""
        return self.live is not None and self.state is not State.UNLOADING
