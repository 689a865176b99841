"""The labels of the eval split: read from the transform's output, and checked by task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlproject.errors import DataError, closest
from mlproject.transformed import open_transformed

if TYPE_CHECKING:
    import pyarrow as pa

READ_ROWS = 262_144
_KINDS = {"binary": np.int8, "multiclass": np.int32, "regression": np.float64}


def read_labels(transformed_dir: Path, label: str, task: str) -> np.ndarray:
    """The labels of the eval split, in its row order.

    Args:
        transformed_dir: The transform artifact.
        label: The label's column there.
        task: `binary`, `multiclass` or `regression`.

    Returns:
        `[rows]`: int8 of 0 and 1, int32 from 0 on, or finite float64.

    Raises:
        DataError: The label is no column, not one number a row, missing in a row, not what the
            task wants, or of one class only.
    """
    parts = [_one_a_row(label, part) for part in _label_arrays(transformed_dir, label)]
    labels = np.concatenate(parts) if parts else np.empty(0)
    _check_there(label, labels)
    if task == "regression":
        _check_finite(label, labels)
    else:
        _check_classes(label, labels, task)
    return labels.astype(_KINDS[task])


def check_label_range(label: str, labels: np.ndarray, classes: int) -> None:
    """Checks that each label is one of the model's classes.

    Raises:
        DataError: A label is beyond them.
    """
    highest = int(labels.max())
    if highest >= classes:
        raise DataError(
            f"The label '{label}' does not fit the model",
            received=f"label {highest} in the eval split, and {classes} outputs of the model",
            expected="labels from 0 to the number of outputs less one",
            next_step="give the model's last layer one unit for each class",
        )


def _label_arrays(transformed_dir: Path, label: str) -> Iterator[np.ndarray]:
    import pyarrow.parquet as pq

    transformed = open_transformed(transformed_dir, "eval")
    if not transformed.files:  # made on the fly: there is no column to read by itself
        for columns in transformed.columns():
            _check_column(label, tuple(columns))
            yield columns[label]
        return
    for path in transformed.files:
        file = pq.ParquetFile(path)
        _check_column(label, tuple(file.schema_arrow.names))
        for batch in file.iter_batches(batch_size=READ_ROWS, columns=[label]):
            yield _array(batch.column(0))


def _check_column(label: str, names: tuple[str, ...]) -> None:
    if label not in names:
        raise DataError(
            "Reading the labels failed",
            received=f"no column '{label}' among the outputs of preprocessing_fn",
            expected=closest(label, names),
            next_step="set `training.label` in project.yaml",
        )


def _array(column: pa.Array) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        flat: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), -1)
    found: np.ndarray = column.to_numpy(zero_copy_only=False)
    return found


def _one_a_row(label: str, values: np.ndarray) -> np.ndarray:
    if values.size != len(values) or values.dtype.kind not in "iufb":
        a_row = values.size // max(len(values), 1)
        kind = "text" if values.dtype.kind in "OSU" else values.dtype.name
        raise DataError(
            f"The label '{label}' cannot be evaluated",
            received=f"{a_row} value{'s' * (a_row != 1)} of type {kind} a row",
            expected="one number a row: of a multi-class task the number of the class, not one-hot",
            next_step="change the label in preprocessing_fn",
        )
    return values.reshape(len(values))


def _check_there(label: str, labels: np.ndarray) -> None:
    missing = int(np.isnan(labels).sum()) if labels.dtype.kind == "f" else 0
    if missing or not len(labels):
        raise DataError(
            f"The label '{label}' is missing in the eval split",
            received=f"no label (NaN) in {missing:,} of {len(labels):,} rows"
            if missing
            else "no rows",
            expected="a label in every row",
            next_step="drop the rows without a label, or fill it in preprocessing_fn",
        )


def _check_finite(label: str, labels: np.ndarray) -> None:
    endless = int((~np.isfinite(labels)).sum()) if labels.dtype.kind == "f" else 0
    if endless:
        raise DataError(
            f"The label '{label}' cannot be evaluated",
            received=f"an infinite value in {endless:,} of {len(labels):,} rows",
            expected="finite numbers",
            next_step="drop these rows, or clip the label in preprocessing_fn",
        )


def _check_classes(label: str, labels: np.ndarray, task: str) -> None:
    values = np.unique(labels)
    fits = np.isin(values, (0, 1)) if task == "binary" else (values >= 0) & (values % 1 == 0)
    if not fits.all() or values[-1] > np.iinfo(np.int32).max:
        wrong = values[~fits] if task == "multiclass" and not fits.all() else values
        raise DataError(
            f"The label '{label}' cannot be evaluated",
            received=f"values {', '.join(str(v) for v in wrong[:5])}",
            expected="0 and 1" if task == "binary" else "whole numbers from 0, one for each class",
            next_step=None
            if task == "multiclass"
            else "set `training.task` in project.yaml if it is no yes-or-no question",
        )
    if len(values) < 2:
        raise DataError(
            f"The label '{label}' has one class only in the eval split",
            received=f"{len(labels)} rows, all {values[0]}",
            expected="both 0 and 1" if task == "binary" else "rows of several classes",
            next_step="give more data, or another split (`data.splits` in project.yaml)",
        )
