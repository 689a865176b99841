"""Which split a row belongs to: a stable hash of its content, and of nothing else.

A row's hash does not depend on its place in the file, on the batch it came in, on the order
of the columns, or on the process. So a row keeps its split when rows are added, moved or
removed around it, and equal rows (or, with a key, equal keys) never stand in two splits.

Canonical values: a float hashes as the float32 nearest to it, which is what TFDV, tf.Transform
and a `tf.train.Example` hold; integers up to 2**24 hash like the float of the same value, -0.0
like 0.0, NaN and the empty list like null, bytes like the text they encode. Each column's name is
part of its hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.errors import ConfigError, DataError, closest

Hashes = npt.NDArray[np.uint64]

# Changing any of these moves rows between splits: it is a new version of the format.
_STRING_KEY = "benison-rows-v2!"  # pandas wants exactly 16 bytes
_NULL = np.uint64(0x6E756C6C5F763031)
_BIG_INT = np.uint64(0x6269675F696E7431)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_LIST = np.uint64(0x6C6973745F763031)
_EXACT_INT = 2**24


def assign_splits(
    batch: pa.RecordBatch,
    shares: Mapping[str, int | float],
    key: Sequence[str] | None = None,
) -> npt.NDArray[np.int8]:
    """Give every row of a batch its split.

    Args:
        batch: Rows with columns of numbers, strings, bytes, booleans, or lists of them.
        shares: Relative weight of each split, in order: `{"train": 2, "eval": 1}` gives
            two rows in three to train.
        key: Columns that decide alone, so that rows which agree in them share a split
            (rows where the whole key is null share one too). Without it, every column counts.

    Returns:
        `[rows] int8`: positions in `shares`.

    Raises:
        ConfigError: A share is not a positive number, or the key names no column.
        DataError: A column's type cannot be hashed.
    """
    return splits_of_hashes(hash_rows(batch, key or None), shares)


def splits_of_hashes(hashes: Hashes, shares: Mapping[str, int | float]) -> npt.NDArray[np.int8]:
    """Give every row hash its split; see `assign_splits`."""
    weights = np.array(list(shares.values()), dtype=np.float64)
    if not len(weights) or len(weights) > 127 or not np.all(np.isfinite(weights) & (weights > 0)):
        raise ConfigError(
            "The shares of the splits cannot be used",
            received=str(dict(shares)),
            expected="1 to 127 splits, each with a share above 0, like train 2, eval 1",
            next_step="correct the shares in project.yaml",
        )
    bounds = np.cumsum(weights)[:-1] / weights.sum()
    uniform = (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
    splits: npt.NDArray[np.int8] = np.searchsorted(bounds, uniform, side="right").astype(np.int8)
    return splits


def hash_rows(batch: pa.RecordBatch, columns: Sequence[str] | None = None) -> Hashes:
    """Hash rows by content.

    Args:
        batch: Rows with columns of numbers, strings, bytes, booleans, or lists of them.
        columns: The columns that count; all when None.

    Returns:
        `[rows] uint64`.

    Raises:
        ConfigError: A name is no column of the batch.
        DataError: A column's type cannot be hashed.
    """
    names = batch.schema.names
    hashes = np.zeros(batch.num_rows, dtype=np.uint64)
    for name in sorted(names if columns is None else set(columns)):
        if name not in names:
            raise ConfigError(
                "The split key names a column that the data does not have",
                received=f"'{name}'",
                expected=closest(name, names),
                next_step="correct the split key in project.yaml",
            )
        hashes *= _ODD
        hashes += _hash_column(name, batch.column(names.index(name)))
    return _mix(hashes)


def _hash_column(name: str, column: pa.Array) -> Hashes:
    seed = _hash_strings(np.array([name], dtype=object))[0]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        hashes = np.zeros(len(column), dtype=np.uint64)
    elif _is_text(kind):
        return _hash_text(column, seed)
    elif pa.types.is_list(kind):
        return _hash_lists(column, seed)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        hashes = _integer_bits(column.cast(pa.int64()))
    elif pa.types.is_floating(kind):
        column = column.cast(pa.float64())
        hashes = _float_bits(column)
    else:
        raise DataError(
            f"Column '{name}' cannot be hashed into a split",
            received=f"type {column.type}",
            expected="numbers, strings, bytes, booleans, or lists of them",
            next_step=f"convert '{name}', or choose a split key without it",
        )
    return _with_nulls(hashes ^ seed, pc.is_null(column, nan_is_null=True), seed)


def _with_nulls(hashes: Hashes, nulls: pa.BooleanArray, seed: np.uint64) -> Hashes:
    hashes[nulls.to_numpy(zero_copy_only=False)] = seed ^ _NULL
    return _mix(hashes)


def _is_text(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(
        t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind) or t.is_large_binary(kind)
    )


def _hash_lists(column: pa.ListArray, seed: np.uint64) -> Hashes:
    """Sums the hashes of a list's values, each mixed with its place in the list."""
    lengths = pc.list_value_length(column).fill_null(0).to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    values = _hash_column("", column.flatten())
    places = np.arange(len(values), dtype=np.int64) - np.repeat(starts, lengths)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(_mix(values + places.view(np.uint64) * _ODD))])
    hashes: Hashes = (sums[ends] - sums[starts]) ^ seed ^ _LIST
    return _with_nulls(hashes, pa.array(lengths == 0), seed)


def _integer_bits(column: pa.Array) -> Hashes:
    values = column.fill_null(0).to_numpy()
    bits: Hashes = values.astype(np.float64).view(np.uint64)
    big = (values > _EXACT_INT) | (values < -_EXACT_INT)
    if big.any():  # neighbours share a float up there: ids must not fall together
        bits[big] = values[big].view(np.uint64) ^ _BIG_INT
    return bits


def _float_bits(column: pa.Array) -> Hashes:
    values = column.fill_null(np.nan).to_numpy()
    with np.errstate(over="ignore"):  # beyond float32 is infinite, as it will be in a tensor
        nearest = values.astype(np.float32).astype(np.float64)
    bits: Hashes = (nearest + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0
    return bits


def _hash_text(column: pa.Array, seed: np.uint64) -> Hashes:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.dictionary.to_numpy(zero_copy_only=False)
    of_words = np.append(_hash_strings(words) ^ seed, seed ^ _NULL)
    codes = column.indices.fill_null(len(words)).to_numpy()
    hashes: Hashes = _mix(of_words)[codes]
    return hashes


def _hash_strings(words: npt.NDArray[np.object_]) -> Hashes:
    hashes: Hashes = pd.util.hash_array(words, hash_key=_STRING_KEY, categorize=False)
    return hashes


def _mix(hashes: Hashes) -> Hashes:
    """The finaliser of splitmix64 (https://prng.di.unimi.it/splitmix64.c), in place."""
    hashes ^= hashes >> np.uint64(30)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(27)
    hashes *= np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(31)
    return hashes
