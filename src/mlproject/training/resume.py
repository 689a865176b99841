"""Lets a training that was killed go on from its last checkpoint, to the same weights.

Imported only where a model is fitted. Keras's own `BackupAndRestore` begins the epoch again, and
does not know which batches of it were seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mlproject.training.checkpoint import (
    Checkpoint,
    Place,
    checkpoint_file,
    read_checkpoint,
    write_checkpoint,
)
from mlproject.training_data import DataAccessor

_STOPPING = ("wait", "stopped_epoch", "best", "best_epoch")


class Resume(keras.callbacks.Callback):
    """Writes checkpoints, and begins where the last one was written.

    It goes last in the list of callbacks: what it keeps is what the others left. A `fit` that had
    ended is not done again; its weights are taken.

    Args:
        state_dir: Where the checkpoints lie.
        every: Steps between them, beside those at the end of each epoch; None for these alone.
        accessor: Gives the rows.
        history: The history to keep and to fill again.
        stopping: The callback whose state is kept, too; or None.
        seeks: The dataset of `fit` begins at the checkpoint by itself; else what was seen is read
            again and passed over.
        writes: False for a worker that is not the chief.
        on_note: Told where it goes on.
    """

    def __init__(
        self,
        state_dir: Path,
        every: int | None,
        accessor: DataAccessor,
        history: dict[str, list[float]],
        stopping: keras.callbacks.EarlyStopping | None,
        *,
        seeks: bool,
        writes: bool = True,
        on_note: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._state_dir, self._every, self._accessor = state_dir, every, accessor
        self._history, self._stopping = history, stopping
        self._seeks, self._writes, self._on_note = seeks, writes, on_note
        self._fit = -1
        self._place = Place()
        self._found: Checkpoint | None = None
        self._iterator: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._fit += 1
        self._place, self._iterator = Place(), None
        self._found = read_checkpoint(checkpoint_file(self._state_dir, self._fit))
        if self._found is not None and not self._fits(self._found):
            self._say("the checkpoint is of another model: training begins anew")
            self._found = None
        if self._found is not None:
            self._go_on(self._found)
        self._watch_steps()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch != self._place.epoch:
            self._place = replace(self._place, epoch=epoch, steps=0, logs={})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._passing_over(batch):
            return
        self._place = replace(self._place, steps=self._place.steps + 1, logs=dict(logs or {}))
        if self._every and self._place.steps_total % self._every == 0:
            self._write(self._place)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._place = replace(self._place, epoch=epoch + 1, steps=0, logs={})
        self._write(replace(self._place, finished=bool(self.model.stop_training)))

    def on_train_end(self, logs: Any = None) -> None:
        self.model.train_function = self._train_function
        self.model._initial_epoch = None
        self._write(replace(self._place, finished=True))

    def _go_on(self, found: Checkpoint) -> None:
        """Takes up a checkpoint before the first epoch begins."""
        place = found.place
        self._place = place
        self._history.clear()
        self._history.update(place.history)
        if self.model.built:
            self._assign(found)
        epochs = int((self.params or {}).get("epochs") or 1)
        # What Keras's BackupAndRestore sets, too; `fit` reads it after on_train_begin.
        self.model._initial_epoch = epochs if place.finished else place.epoch
        if self._stopping is not None and "stopping" in found.callbacks:
            for name, value in found.callbacks["stopping"].items():
                setattr(self._stopping, name, value)
            self._stopping.best_weights = found.groups.get("best") or None
        if not self._seeks:
            self._accessor.begin_at(place.data_epochs)
        if not place.finished:
            where = f"epoch {place.epoch + 1}, step {place.steps + 1}"
            self._say(f"goes on from its checkpoint at {where}")

    def _watch_steps(self) -> None:
        """Puts a function around Keras's own that makes a step."""
        self._train_function = self.model.train_function
        to_pass = self._found.place.steps if self._found and not self._found.place.finished else 0

        def step(iterator: Any) -> Any:
            nonlocal to_pass
            if self._found is not None:
                self._take_up(self._found, iterator)
            if to_pass:
                to_pass -= 1
                if not to_pass:
                    self._assign_metrics(self._found_metrics)
                return self._place.logs
            if iterator is not self._iterator:
                self._iterator = iterator
                begun = self._accessor.epochs_begun()
                self._place = replace(self._place, iterator_steps=0, data_epochs=begun)
            logs = self._train_function(iterator)
            self._place = replace(
                self._place,
                steps_total=self._place.steps_total + 1,
                iterator_steps=self._place.iterator_steps + 1,
            )
            return logs

        self.model.train_function = step

    def _take_up(self, found: Checkpoint, iterator: Any) -> None:
        """Does, with the first iterator at hand, what could not be done before."""
        self._found = None
        if not self.model.built:
            self._build(iterator)
            self._assign(found)
        elif found.place.steps:
            self._build(iterator)
        self._found_metrics = found.groups.get("metrics", [])
        # A place within an epoch has an iterator that was begun; one at an epoch's end may have
        # one that goes on (`steps_per_epoch`), or one that is used up.
        if not self._seeks and self._goes_on_with(found.place):
            for _ in range(found.place.iterator_steps * self.model.steps_per_execution):
                next(iterator)
            self._iterator = iterator
        elif self._seeks:
            self._iterator = iterator
