"""The eval split through the models: every model on the same rows, in one pass over batches.

Models are asked raw rows through `serving_default`, in a Session: what is judged is what will be
served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlproject.errors import DataError
from mlproject.evaluation.labels import check_label_range
from mlproject.evaluation.outputs import checked_predictions
from mlproject.evaluation.predictions import PredictionsWriter
from mlproject.evaluation.slicing import Slicing
from mlproject.examples.reader import read_batches
from mlproject.raw_inputs import paddable, raw_arrays
from mlproject.saved_model import Predict, open_signature

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000
"""Rows of a batch; one whose values would take more than 64 MiB ends earlier."""


@dataclass(frozen=True)
class ScoreRequest:
    """What is scored.

    Attributes:
        split_dir: The eval split of the Examples (raw rows).
        models: `candidate`, and `champion` if there is one -> what `open_models` yields.
        label: The label's name.
        labels: `[rows]`, in the split's order.
        task: `binary`, `multiclass` or `regression`.
        slicing: What the split is sliced by.
    """

    split_dir: Path
    models: Mapping[str, Predict]
    label: str
    labels: np.ndarray
    task: str
    slicing: Slicing


@contextmanager
def open_models(folders: Mapping[str, Path]) -> Iterator[dict[str, Predict]]:
    """Loads models side by side.

    Args:
        folders: Model -> SavedModel folder.

    Yields:
        Model -> the function of its `serving_default`.

    Raises:
        ServingError: One does not load in a Session.
    """
    with ExitStack() as stack:
        yield {m: stack.enter_context(open_signature(folder)) for m, folder in folders.items()}


def score_examples(
    request: ScoreRequest, out_file: Path, on_rows: Callable[[int], None] | None = None
) -> None:
    """Scores the split and writes each row's label, predictions and slices.

    Args:
        request: What is scored.
        out_file: The `predictions.parquet` to write.
        on_rows: Told the rows scored so far.

    Raises:
        DataError: A column that a model needs is gone, the rows are not those of the labels, or a
            label is beyond the model's classes.
        ServingError: A model's predictions cannot be evaluated.
    """
    done = 0
    columns = _columns(request)
    with PredictionsWriter(out_file) as writer:
        for batch in read_batches(request.split_dir, columns, BATCH_ROWS):
            labels = request.labels[done : done + batch.num_rows]
            done += batch.num_rows
            if len(labels) < batch.num_rows:
                break
            scored = {m: _scored(p, batch, request.task, m) for m, p in request.models.items()}
            if done == batch.num_rows:
                _check_classes(request, scored)
            sliced = {
                name: column.named(batch.column(batch.schema.get_field_index(name)))
                for name, column in request.slicing.columns.items()
            }
            writer.write(labels, scored, sliced)
            if on_rows:
                on_rows(done)
    if done != len(request.labels):
        raise DataError(
            "Scoring the eval split failed",
            received=f"{len(request.labels):,} labels for {'at least ' * (done > 0)}{done:,} rows",
            expected="a label for each row",
            next_step="run again with --from transform",
        )


def _columns(request: ScoreRequest) -> list[str]:
    """The columns that the models and the slices need; checked, so that reading them works."""
    there = next(read_batches(request.split_dir, columns=None, batch_rows=1)).schema.names
    needed = dict.fromkeys(request.slicing.columns)
    for model, predict in request.models.items():
        inputs = predict.input_names  # type: ignore[attr-defined]
        missing = [name for name in inputs if name not in there]
        if missing:
            raise DataError(
                f"Scoring the eval split with the {model} failed",
                received=f"no column {', '.join(missing)} in the data",
                expected="every raw feature that the model was trained on",
                next_step="keep the column, or start a new registered model (another project name)",
            )
        needed |= dict.fromkeys(inputs)
    return list(needed) or there[:1]  # a model without inputs still needs the number of rows


def _scored(predict: Predict, batch: pa.RecordBatch, task: str, model: str) -> np.ndarray:
    return np.concatenate(list(_pieces(predict, batch, task, model)))


def _pieces(predict: Predict, batch: pa.RecordBatch, task: str, model: str) -> Iterator[np.ndarray]:
    inputs = predict.input_names  # type: ignore[attr-defined]
    for piece in paddable(batch, inputs):
        outputs = predict(raw_arrays(piece, inputs))
        yield checked_predictions(outputs, piece.num_rows, task, model)


def _check_classes(request: ScoreRequest, scored: Mapping[str, np.ndarray]) -> None:
    """Checks on the first rows that the models know the same classes, the labels' among them."""
    if request.task != "multiclass":
        return
    classes = {model: values.shape[1] for model, values in scored.items()}
    if len(set(classes.values())) > 1:
        raise DataError(
            "Comparing the candidate with the champion failed",
            received=", ".join(f"{count} classes of the {m}" for m, count in classes.items()),
            expected="the same classes, in the same order",
            next_step="start a new registered model (another project name): the task has changed",
        )
    check_label_range(request.label, request.labels, next(iter(classes.values())))
