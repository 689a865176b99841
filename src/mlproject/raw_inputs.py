"""Raw features as dense tensors: what the raw signatures take, and how they say "missing".

One input for each raw feature, its shape from the schema:

    one value, always there or not     [batch]
    a list of k values                 [batch, k]; [batch, k1, k2] where the schema's shape has both
    a list of any length               [batch, n], n the longest list of the batch

A dense tensor has no place for what is not there, so a stand-in fills it: NaN (float), ""
(string and bytes) and the least int64, -9223372036854775808 (int). A missing value is its stand-in,
a list of any length is filled on the right, and a missing list is stand-ins alone. So a list cannot
end with its stand-in; before its last other value, a stand-in is a value like any other. A list of
k values must be there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, ServingError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from tensorflow_metadata.proto.v0.schema_pb2 import Feature, Schema

MISSING_INT = -(2**63)
MAX_PADDED_VALUES = 1 << 22


def input_specs(schema: Schema, raw_specs: Mapping[str, Any]) -> dict[str, Any]:
    """The dense input of each raw feature.

    Args:
        schema: The raw schema, which tells one value from a list of any length.
        raw_specs: Feature -> `tf.io.FixedLenFeature` or `tf.io.VarLenFeature`.

    Returns:
        Feature -> `tf.TensorSpec` of its own name.

    Raises:
        ConfigError: The schema wants a feature as another kind of tensor.
    """
    import tensorflow as tf

    features = {feature.name: feature for feature in schema.feature}
    specs = {}
    for name, spec in raw_specs.items():
        if isinstance(spec, tf.io.FixedLenFeature):
            shape = [] if list(spec.shape) in ([], [1]) else list(spec.shape)
        elif isinstance(spec, tf.io.VarLenFeature):
            shape = [None] if _is_list(features[name]) else []
        else:
            raise ConfigError(
                f"The feature '{name}' cannot be served",
                received=f"{type(spec).__name__}, which the schema's tensor_representation_group "
                "or represent_variable_length_as_ragged asks for",
                expected="a feature with a shape, or a sparse one with value_count",
                next_step="take that out of the reviewed schema",
            )
        specs[name] = tf.TensorSpec([None, *shape], spec.dtype, name=name)
    return specs


def to_raw(values: Any, spec: Any) -> Any:
    """A dense input as tf.Transform wants the feature.

    Args:
        values: `[batch]`, `[batch, k]` or `[batch, n]`, with stand-ins for what is missing.
        spec: The feature's `tf.io.FixedLenFeature` or `tf.io.VarLenFeature`.

    Returns:
        A tensor `[batch, *spec.shape]`, or a SparseTensor `[batch, longest]`.
    """
    import tensorflow as tf

    if isinstance(spec, tf.io.FixedLenFeature):
        return tf.reshape(values, [-1, *spec.shape])
    present = _present(values)
    rows = tf.shape(values, out_type=tf.int64)[0]
    if values.shape.rank == 1:
        indices, longest = tf.pad(tf.where(present), [[0, 0], [0, 1]]), tf.constant(1, tf.int64)
    else:
        width = tf.shape(values, out_type=tf.int64)[1]
        last = tf.where(present, tf.range(1, width + 1), tf.constant(0, tf.int64))
        lengths = tf.reduce_max(tf.pad(last, [[0, 0], [0, 1]]), axis=1)
        present = tf.sequence_mask(lengths, width)
        indices, longest = tf.where(present), tf.reduce_max(tf.pad(lengths, [[0, 1]]))
    return tf.SparseTensor(indices, tf.boolean_mask(values, present), [rows, longest])


def raw_arrays(
    batch: pa.RecordBatch, names: tuple[str, ...], doubles: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Columns of Examples as the raw signatures take them.

    Args:
        batch: Rows of Examples.
        names: The signature's inputs.
        doubles: Those of them that take float64.

    Returns:
        Input -> array of int64, float32 (or float64) or bytes objects: `[rows]`, or
        `[rows, longest]` of a column of lists, at least `[rows, 1]`.
    """
    import numpy as np
    import pyarrow as pa

    arrays = {}
    for name in names:
        column = batch.column(batch.schema.get_field_index(name))
        of_floats = np.dtype(np.float64 if name in doubles else np.float32)
        read = _padded if pa.types.is_list(column.type) else _filled
        arrays[name] = read(column, of_floats)
    return arrays


def paddable(batch: pa.RecordBatch, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """The rows in order, in pieces of which no padded column is too large for memory.

    Args:
        batch: Rows of Examples.
        names: The columns that will be asked of `raw_arrays`.

    Yields:
        The batch; or parts of it, so that a list column has 4,194,304 values at most, padding
        included, or one row.
    """
    if batch.num_rows > 1 and batch.num_rows * _longest(batch, names) > MAX_PADDED_VALUES:
        half = batch.num_rows // 2
        yield from paddable(batch.slice(0, half), names)
        yield from paddable(batch.slice(half), names)
    else:
        yield batch


def fitted(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of `raw_arrays` in the shape of an input.

    Data tells little of its shape: lists that have one value each may arrive as a column of single
    values, or the other way round, and `[k1, k2]` arrives flat.

    Args:
        name: The input.
        array: `[rows, ...]`.
        shape: The input's shape; None for a dimension of any size.

    Raises:
        ServingError: It does not fit.
    """
    row, given = shape[1:], array.shape[1:]
    if len(row) == len(given) and all(map(_fits, row, given)):
        return array
    if row == (None,) and not given:
        return array[:, None]
    sizes = [size for size in row if size is not None]
    if len(sizes) == len(row) and math.prod(sizes) == math.prod(given):
        return array.reshape(len(array), *sizes)
    raise ServingError(
        f"The data does not fit the model's input '{name}'",
        received=_describe(array.shape[1:]),
        expected=_describe(row),
        next_step="give the data that the model was trained on, or train a new model (another "
        "project name)",
    )


def _is_list(feature: Feature) -> bool:
    return feature.HasField("value_count") and feature.value_count.max != 1


def _present(values: Any) -> Any:
    import tensorflow as tf

    if values.dtype == tf.string:
        return tf.not_equal(values, "")
    if values.dtype.is_floating:
        return tf.logical_not(tf.math.is_nan(values))
    return tf.not_equal(values, tf.constant(MISSING_INT, values.dtype))


def _filled(column: pa.Array, of_floats: np.dtype) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_integer(column.type):
        return column.fill_null(MISSING_INT).to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        return column.fill_null(float("nan")).to_numpy(zero_copy_only=False).astype(of_floats)
    return column.cast(pa.binary()).fill_null(b"").to_numpy(zero_copy_only=False)


def _padded(column: pa.ListArray, of_floats: np.dtype) -> np.ndarray:
    import numpy as np
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    values = _filled(column.flatten(), of_floats)
    width = max(int(lengths.max(initial=0)), 1)
    if (lengths == width).all():
        return values.reshape(len(column), width)
    stand_in = {"i": MISSING_INT, "f": np.nan, "O": b""}[values.dtype.kind]
    padded = np.full((len(column), width), stand_in, values.dtype)
    padded[np.arange(width) < lengths[:, None]] = values
    return padded


def _longest(batch: pa.RecordBatch, names: tuple[str, ...]) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
    lengths = [pc.list_value_length(c) for c in columns if pa.types.is_list(c.type)]
    return max((pc.max(found).as_py() or 0 for found in lengths), default=0)


def _fits(size: int | None, given: int) -> bool:
    return size is None or size == given


def _describe(row: tuple[int | None, ...]) -> str:
    if not row:
        return "one value a row"
    sizes = " x ".join("any number of" if size is None else str(size) for size in row)
    return f"{sizes} values a row"
