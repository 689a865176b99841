"""Columns of a sample as numbers, and as codes of a few values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FEW_VALUES = 20  # numbers with no more distinct values are categories too
PARTS = 20  # that other numbers are cut into
TOP = 50  # texts that keep a code of their own


def numeric_columns(sample: pa.Table) -> dict[str, Floats]:
    """The columns of numbers that have a finite value, missing and infinite ones as NaN."""
    found = {}
    for field in sample.schema:
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
            values = sample[field.name].cast(pa.float64(), safe=False).to_numpy()
            values = np.where(np.isfinite(values), values, np.nan)
            if not np.isnan(values).all():
                found[field.name] = values
    return found


def category_codes(sample: pa.Table, numeric: Mapping[str, Floats]) -> dict[str, Codes]:
    """Codes of the columns that have a few values, texts first."""
    codes = {
        n: _text_codes(sample[n])
        for n in sample.column_names
        if n not in numeric and _is_text(sample, n)
    }
    for name, values in numeric.items():
        distinct = np.unique(values[~np.isnan(values)])
        if len(distinct) <= FEW_VALUES:
            codes[name] = np.where(np.isnan(values), -1, np.searchsorted(distinct, values))
    return {name: own for name, own in codes.items() if own.max(initial=-1) > 0}


def _is_text(sample: pa.Table, name: str) -> bool:
    return bool(pa.types.is_string(sample.schema.field(name).type))


def _text_codes(column: pa.ChunkedArray) -> Codes:
    """Codes by frequency, the rarer ones together as `TOP`, -1 for a missing value."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=len(encoded.dictionary))
    place = np.empty(len(counts), np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    result: Codes = np.where(codes < 0, -1, np.minimum(place, TOP)[codes] if len(place) else -1)
    return result


def _number_codes(values: Floats, parts: int) -> Codes:
    """Parts of about equal size, -1 for a missing value; a few distinct values are parts."""
    there = ~np.isnan(values)
    distinct = np.unique(values[there])
    if len(distinct) > parts:
        bounds = np.unique(np.quantile(values[there], np.linspace(0, 1, parts + 1)[1:-1]))
        codes = np.searchsorted(bounds, values, side="left")
    else:
        codes = np.searchsorted(distinct, values)
    return np.where(there, codes, -1)


def any_codes(sample: pa.Table, numeric: Mapping[str, Floats], name: str) -> Codes | None:
    if name in numeric:
        return _number_codes(numeric[name], PARTS)
    return _text_codes(sample[name]) if _is_text(sample, name) else None
