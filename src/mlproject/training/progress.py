"""Tells how a training goes: epoch, share of its steps, loss, metrics, time left.

Imported only where a model is fitted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

SECONDS_BETWEEN = 0.5


@dataclass(frozen=True)
class Listeners:
    """Who is told of a training's progress.

    Attributes:
        on_note: Told a line at the end of each epoch.
        on_progress: Told a line twice a second at most, within epochs.
        on_epoch: Told the metrics of each epoch, and its number from 0.
    """

    on_note: Callable[[str], None] | None = None
    on_progress: Callable[[str], None] | None = None
    on_epoch: Callable[[Mapping[str, float], int], None] | None = None


class Progress(keras.callbacks.Callback):
    """Fills a history and tells listeners.

    Args:
        listeners: Who is told.

    Attributes:
        history: Metric -> value by epoch, of the last `fit`.
    """

    def __init__(self, listeners: Listeners) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self._listeners = listeners
        self._epoch = 0
        self._told_at = 0.0
        self._pace = _Pace()

    def on_train_begin(self, logs: Any = None) -> None:
        self.history.clear()
        self._pace = _Pace()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._pace.begin_epoch()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        self._pace.step(now)
        if self._listeners.on_progress is None or now - self._told_at < SECONDS_BETWEEN:
            return
        self._told_at = now
        steps = (self.params or {}).get("steps")
        share = f" {(batch + 1) / steps:4.0%}" if steps else f" step {batch + 1:,}"
        left = self._pace.seconds_left(self._total() - self._epoch - 1, steps, batch + 1)
        words = [f"epoch {self._epoch + 1}/{self._total()}{share}: {_shown(logs or {})}"]
        if left is not None:
            words.append(f"{_duration(left)} left")
        self._listeners.on_progress(", ".join(words))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._pace.end_epoch()
        values = {name: float(value) for name, value in (logs or {}).items()}
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        if self._listeners.on_note is not None:
            line = f"epoch {epoch + 1}/{self._total()}: {_shown(values)}"
            left = self._pace.seconds_left(self._total() - epoch - 1, None, 0)
            self._listeners.on_note(f"{line}, {_duration(left)} left" if left else line)
        if self._listeners.on_epoch is not None:
            self._listeners.on_epoch(values, epoch)

    def _total(self) -> int:
        return int((self.params or {}).get("epochs") or 1)


class _Pace:
    """Seconds of a step and of an epoch, validation included, as far as they are known."""

    def __init__(self) -> None:
        self._epoch_s: float | None = None
        self._began = self._first_step_at = self._last_step_at = time.monotonic()
        self._steps = 0

    def begin_epoch(self) -> None:
        self._began, self._steps = time.monotonic(), 0

    def step(self, now: float) -> None:
        if not self._steps:
            self._first_step_at = now  # the first one traces the model
        self._last_step_at = now
        self._steps += 1

    def end_epoch(self) -> None:
        now = time.monotonic()
        step_s = self._step_s()
        # Without the first step, which traces the model, where the others tell its length.
        began = self._began if step_s is None else self._first_step_at - step_s
        self._epoch_s = now - began

    def seconds_left(self, epochs: int, steps: int | None, done: int) -> float | None:
        """Seconds for the rest of this epoch and so many more; None where nothing is known."""
        step_s = self._step_s()
        epoch_s = self._epoch_s
        if epoch_s is None and step_s is not None and steps:
            epoch_s = step_s * steps
        rest = 0.0
        if steps:
            if step_s is None:
                return None
            rest = step_s * max(steps - done, 0)
        if epochs <= 0:
            return rest
        return None if epoch_s is None else rest + epochs * epoch_s

    def _step_s(self) -> float | None:
        timed = self._steps - 1
        return (self._last_step_at - self._first_step_at) / timed if timed > 0 else None


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
