"""The columns of bulk inference: a file's in the types of the model, and those of its answers.

Imports pyarrow: it is imported where there are files to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mlproject.errors import DataError, ServingError, closest
from mlproject.examples.columns import LIST, arrow_type
from mlproject.raw_inputs import paddable, raw_arrays
from serving.bulk_signature import BYTES_SUFFIX, INT_TYPES, ModelColumns, ModelInput, ModelOutput
from serving.cells import stand_in

Predict = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def typed_inputs(
    batch: pa.RecordBatch, inputs: Mapping[str, ModelInput], where: str, *, allow_missing: bool
) -> pa.RecordBatch:
    """The batch with the model's columns in the types that it takes: int64, double, text or lists.

    Args:
        batch: `[rows]`, as it was read.
        inputs: What the signature takes.
        where: The file, for errors.
        allow_missing: Add a column that is not there, full of missing values.

    Raises:
        DataError: A column is not there, holds values of another type, or misses a value of a type
            in which nothing means missing.
    """
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    if not allow_missing:
        check_there(tuple(inputs), tuple(columns), where, "the model")
    for name, spec in inputs.items():
        kind = arrow_type(spec.column_type + (LIST if spec.is_list else ""))
        column = columns.get(name, pa.nulls(batch.num_rows, kind))
        columns[name] = _typed(name, column, spec, where)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def predict_columns(
    predict: Predict, batch: pa.RecordBatch, model: ModelColumns
) -> dict[str, pa.Array]:
    """The predictions for rows.

    Args:
        predict: The signature (`open_signature`).
        batch: `[rows]` of `typed_inputs`.
        model: What the signature takes and gives.

    Returns:
        Output -> `[rows]`: values, or (nested) lists of values.

    Raises:
        ServingError: The model refuses the rows, or does not give a value for each.
    """
    if not batch.num_rows:
        return {name: pa.nulls(0, output.column_type) for name, output in model.outputs.items()}
    names = tuple(model.inputs)
    doubles = tuple(name for name, spec in model.inputs.items() if spec.dtype == "DT_DOUBLE")
    pieces: dict[str, list[pa.Array]] = {name: [] for name in model.outputs}
    for piece in paddable(batch, names):
        answers = predict(raw_arrays(piece, names, doubles))
        for name, output in model.outputs.items():
            pieces[name].append(_column(name, answers[name], output, piece.num_rows))
    return {name: pa.concat_arrays(found) for name, found in pieces.items()}


def output_names(outputs: Sequence[str], kept: Sequence[str]) -> dict[str, str]:
    """Output -> its column, with `predicted_` before it while a kept column has that name."""
    taken, names = set(kept), {}
    for output in outputs:
        name = output
        while name in taken:
            name = f"predicted_{name}"
        taken.add(name)
        names[output] = name
    return names


def check_there(wanted: Sequence[str], there: Sequence[str], where: str, who: str) -> None:
    """Refuses a file without the columns that are asked for.

    Raises:
        DataError: With the closest name that is there.
    """
    lost = [column for column in wanted if column not in there]
    if lost:
        raise DataError(
            f"A column that {who} asks for is not in {where}",
            received="no " + ", ".join(f"'{column}'" for column in lost[:10]),
            expected=closest(lost[0], there),
            next_step="--allow-missing reads a feature that is not there as missing values",
        )


def _typed(name: str, column: pa.Array, spec: ModelInput, where: str) -> pa.Array:
    scalar = arrow_type(spec.column_type)
    is_list = pa.types.is_list(column.type)
    values = column.type.value_type if is_list else column.type
    kind = pa.list_(scalar) if is_list else scalar  # `fitted` knows what to do with either
    is_text = pa.types.is_string(values) or pa.types.is_binary(values)
    try:
        if values == scalar or (is_text and spec.column_type == "string"):
            pass
        elif column.null_count == len(column):  # of whatever type a file calls it
            column = pa.nulls(len(column), kind)
        elif pa.types.is_floating(values) and spec.column_type == "string":
            raise pa.ArrowInvalid("a number with a fraction has no one spelling as text")
        else:
            column = column.cast(kind, safe=spec.column_type != "float")
        if spec.dtype in INT_TYPES:
            items = column.flatten() if is_list else column
            items.cast(INT_TYPES[spec.dtype])
    except pa.ArrowException as err:
        raise DataError(
            f"Column '{name}' of {where} does not fit the model",
            received=f"{column.type}: {err}",
            expected=f"values of {spec.dtype.removeprefix('DT_').lower()}",
            next_step=f"convert '{name}' in the file",
        ) from err
    if column.null_count and stand_in(spec.dtype) is None:
        raise DataError(
            f"Column '{name}' of {where} misses values",
            received=f"{column.null_count:,} rows without one",
            expected=f"a value in each row: in {spec.dtype.removeprefix('DT_').lower()} nothing "
            "means missing",
            next_step=f"fill '{name}' in the file",
        )
    return column


def _column(name: str, values: np.ndarray, output: ModelOutput, rows: int) -> pa.Array:
    """`[rows]` or `[rows, 1]` as a column of values; more as a column of (nested) lists."""
    if values.ndim == 0 or len(values) != rows:
        raise ServingError(
            f"The output '{name}' does not give a value for each row",
            received=f"shape {list(values.shape)} for {rows} rows",
            next_step="choose another signature with --signature",
        )
    flat = _flat(name, values.ravel(), output.value_type)
    if output.dimensions == 0:
        return flat
    for depth in range(values.ndim - 1, 0, -1):
        lists, size = int(np.prod(values.shape[:depth])), values.shape[depth]
        offsets = np.arange(lists + 1, dtype=np.int64) * size
        flat = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)
    return flat


def _flat(name: str, values: np.ndarray, kind: pa.DataType) -> pa.Array:
    if values.dtype != object:
        return pa.array(values.astype(kind.to_pandas_dtype(), copy=False), kind)
    found = pa.array(values, pa.binary())
    try:
        return found.cast(kind)
    except pa.ArrowInvalid as err:
        raise ServingError(
            f"The output '{name}' holds bytes that are no text",
            received=str(err),
            expected=f"UTF-8, or an output whose name ends in {BYTES_SUFFIX}",
            next_step=f"name the output '{name}{BYTES_SUFFIX}' in the model's signature",
        ) from err
