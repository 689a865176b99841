"""What a step tells while it runs: events that the CLI shows and nobody has to read.

Steps call `rows` or `note`; who runs them listens. Without a listener nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Kind = Literal["start", "rows", "note", "live", "cached", "done", "failed"]


@dataclass(frozen=True)
class Event:
    """One event of a step.

    Attributes:
        kind: What happened; `live` is a note that only a terminal shows, and the next replaces.
        step: The step's name.
        text: A short text to show.
        rows: Rows handled so far, for `rows`.
        seconds: Wall seconds of the step, for `done` and `cached`.
    """

    kind: Kind
    step: str
    text: str = ""
    rows: int = 0
    seconds: float = 0.0


_listeners: list[Callable[[Event], None]] = []


def emit(event: Event) -> None:
    """Tells every listener."""
    for listener in tuple(_listeners):
        listener(event)


@contextmanager
def listening(listener: Callable[[Event], None]) -> Iterator[None]:
    """Adds a listener for the length of a block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
