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

from mlproject.errors import DataError
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
        writes: bool = True,
        on_note: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._state_dir, self._every, self._accessor = state_dir, every, accessor
        self._history, self._stopping = history, stopping
        self._writes, self._on_note = writes, on_note
        self._seeks = False
        self._fit = -1
        self._place = Place()
        self._found: Checkpoint | None = None
        self._iterator: Any = None
        self._train_function: Any = None
        self._metrics: list[np.ndarray] = []
        self._due = self._passed_over = False

    def first_batch(self, model: keras.Model) -> int:
        """Where the dataset of the one `fit` of a model is to begin.

        Where this is not asked, what was seen is read again and passed over.

        Args:
            model: The compiled model.

        Returns:
            Batches that the checkpoint has behind it; 0 where training begins anew.
        """
        self.set_model(model)
        self._seeks = True
        self._found = self._find(0)
        return (
            0 if self._found is None else self._found.place.steps_total * model.steps_per_execution
        )

    def on_train_begin(self, logs: Any = None) -> None:
        self._fit += 1
        self._place, self._iterator = Place(replicas=self._accessor.replicas), None
        self._due = False
        if not self._seeks:
            self._found = self._find(self._fit)
        if self._found is not None:
            self._go_on(self._found)
        self._wrap_train_function()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch != self._place.epoch:
            self._place = replace(self._place, epoch=epoch, steps=0, logs={})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._passed_over:
            return
        self._place = replace(self._place, steps=self._place.steps + 1, logs=dict(logs or {}))
        if self._every and self._place.steps_total % self._every == 0:
            self._write()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._place = replace(self._place, epoch=epoch + 1, steps=0, logs={})
        # Written when the next epoch begins: then it is known whether the data's iterator goes on.
        self._due = True

    def on_train_end(self, logs: Any = None) -> None:
        self.model.train_function = self._train_function
        self.model._initial_epoch = None
        self._place = replace(self._place, finished=True)
        self._write()

    def _find(self, fit: int) -> Checkpoint | None:
        """The checkpoint of the n-th `fit`, where this training can go on from it."""
        found = read_checkpoint(checkpoint_file(self._state_dir, fit))
        if found is None:
            return None
        before, now = found.place.replicas, self._accessor.replicas
        if before != now:
            self._say(f"the checkpoint is of {before} replicas, not {now}: training begins anew")
        elif self.model.built and not self._is_of_this_model(found):
            self._say("the checkpoint is of another model: training begins anew")
        else:
            return found
        return None

    def _go_on(self, found: Checkpoint) -> None:
        """Takes up a checkpoint before the first epoch begins."""
        place = self._place = found.place
        self._history.clear()
        self._history.update(place.history)
        if self.model.built:
            self._assign(found)
        epochs = int((self.params or {}).get("epochs") or 1)
        # As Keras's BackupAndRestore does: `fit` reads it after on_train_begin.
        self.model._initial_epoch = epochs if place.finished else place.epoch
        if self._stopping is not None and "stopping" in found.callbacks:
            for name, value in found.callbacks["stopping"].items():
                setattr(self._stopping, name, value)
            self._stopping.best_weights = found.groups.get("best") or None
        if not self._seeks:
            self._accessor.begin_at(place.data_epochs)
        if place.finished:
            self._say("was finished before: its weights are taken")
        else:
            self._say(f"goes on from a checkpoint: epoch {place.epoch + 1}, step {place.steps + 1}")

    def _wrap_train_function(self) -> None:
        """Puts a function around Keras's own that makes a step.

        It passes over the steps of the first epoch that the checkpoint has behind it, so that step
        numbers are right for every callback.
        """
        self._train_function = self.model.train_function
        found = self._found
        to_pass = found.place.steps if found is not None else 0

        def step(iterator: Any) -> Any:
            nonlocal found, to_pass
            if found is not None:
                self._take_up(found, iterator)
                found = None
            self._passed_over = to_pass > 0
            if self._passed_over:
                to_pass -= 1
                if not to_pass:  # perhaps the epoch's last: Keras reads the metrics then
                    _assign(self.model.metrics_variables, self._metrics)
                return dict(self._place.logs)
            self._note_iterator(iterator)
            logs = self._train_function(iterator)
            self._place = replace(
                self._place,
                steps_total=self._place.steps_total + 1,
                iterator_steps=self._place.iterator_steps + 1,
            )
            return logs

        self.model.train_function = step

    def _note_iterator(self, iterator: Any) -> None:
        if iterator is not self._iterator:
            self._iterator = iterator
            begun = self._accessor.epochs_begun()
            self._place = replace(self._place, iterator_steps=0, data_epochs=begun)
        if self._due:
            self._due = False
            self._write()

    def _take_up(self, found: Checkpoint, iterator: Any) -> None:
        """Does, with the first iterator at hand, what could not be done before."""
        place, was_built = found.place, self.model.built
        if not was_built or place.steps:
            self._build(iterator)
        if not was_built:
            if not self._is_of_this_model(found):
                file = checkpoint_file(self._state_dir, self._fit)
                raise DataError(
                    "Going on with a training that was broken off failed",
                    received=f"{file}, a checkpoint of another model",
                    next_step="remove that file, and run again: training begins anew",
                )
            self._assign(found)
        self._metrics = found.groups.get("metrics", [])  # there where `place.steps` are
        self._iterator = iterator
        if not self._seeks:
            for _ in range(place.iterator_steps * self.model.steps_per_execution):
                next(iterator)

    def _build(self, iterator: Any) -> None:
        """Makes the variables of a model and its metrics that are else made by the first step."""
        if tf.distribute.has_strategy():
            return  # there Keras makes them before the first step
        zeros = tf.nest.map_structure(
            lambda spec: tf.zeros([1 if n is None else n for n in spec.shape], spec.dtype),
            iterator.element_spec,
        )
        x, y, weight = keras.utils.unpack_x_y_sample_weight(zeros)
        self.model.compute_metrics(x, y, self.model(x, training=False), sample_weight=weight)

    def _variables(self) -> dict[str, list[Any]]:
        model = self.model
        metrics = {id(variable) for variable in model.metrics_variables}
        own = {id(v): v for v in model.variables if id(v) not in metrics}
        return {"model": list(own.values()), "optimizer": list(model.optimizer.variables)}

    def _is_of_this_model(self, found: Checkpoint) -> bool:
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        return all(
            [tuple(v.shape) for v in variables] == [a.shape for a in found.groups.get(group, [])]
            for group, variables in self._variables().items()
        )

    def _assign(self, found: Checkpoint) -> None:
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        for group, variables in self._variables().items():
            _assign(variables, found.groups.get(group, []))

    def _write(self) -> None:
        place = replace(self._place, history={n: list(v) for n, v in self._history.items()})
        groups = {
            name: [_array(variable) for variable in variables]
            for name, variables in self._variables().items()
        }
        if place.steps:
            groups["metrics"] = [_array(v) for v in self.model.metrics_variables]
        callbacks = {}
        if self._stopping is not None:
            callbacks["stopping"] = {n: getattr(self._stopping, n, None) for n in _STOPPING}
            best = self._stopping.best_weights
            groups["best"] = [] if best is None else [np.asarray(a) for a in best]
        if self._writes:
            path = checkpoint_file(self._state_dir, self._fit)
            write_checkpoint(path, Checkpoint(place, groups, callbacks))

    def _say(self, text: str) -> None:
        if self._on_note is not None:
            self._on_note(text)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _assign(variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
