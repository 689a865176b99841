"""The type of every CSV column: what the first cells say, widened by later ones.

The rules, in this order; none depends on how the reader cuts the file into blocks:

1. A declared type wins.
2. The first `SAMPLE_CELLS` filled cells of a column decide: all whole numbers -> int, all
   numbers -> float, all true/false -> bool (stored as the integers 1 and 0). If more than
   half are numbers the column is numeric, and its text cells are errors. Else it is text.
3. A later number with a fraction widens int to float. Beyond 64 bits a whole number fits a
   column of fractions only: among whole numbers alone it is an error, for an id that lost its last
   digits would go unnoticed.
4. A later text in a numeric column is an error. A later number in a text column is text.
5. A column without a single filled cell is a float column of nulls.

`nan`, `inf` and `-inf`, in any case, are numbers, kept as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

SAMPLE_CELLS = 1000

EMPTY = "empty"
BOOL_WORDS = {"true": True, "True": True, "TRUE": True}
BOOL_WORDS |= {"false": False, "False": False, "FALSE": False}

READ_TYPES = {
    EMPTY: pa.null(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bytes": pa.string(),  # as text, so that it is checked to be UTF-8
}
"""The Arrow type that a column of each kind is parsed as."""

STORED_TYPES = {EMPTY: "float", "bool": "int"}
STORED_TYPES |= {kind: kind for kind in ("int", "float", "string", "bytes")}

TextBatches = Callable[[Path, Sequence[str]], Iterator[pa.RecordBatch]]
"""Streams some columns of a file as text, missing cells as null."""


class Misfit(Exception):  # noqa: N818 - a finding, which the caller turns into a DataError
    """A cell that does not fit its column's type, and that no widening can fit."""

    def __init__(self, path: Path, row: int, column: str, value: str, kind: str) -> None:
        super().__init__(f"{path}: row {row}, column {column}: {value!r} is not {kind}")
        self.path = path
        self.row = row
        self.column = column
        self.value = value
        self.kind = kind


def kind_of(cells: pa.Array) -> str:
    """The kind of a column by its first filled cells.

    Args:
        cells: Text, no nulls.

    Returns:
        "empty", "bool", "int", "float" or "string".
    """
    cells = _trimmed(cells.slice(0, SAMPLE_CELLS))
    if not len(cells):
        return EMPTY
    for kind in ("bool", "int", "float"):
        if _fits(cells, kind):
            return "int" if kind == "float" and _are_whole(cells) else kind
    counted = cells.value_counts()
    numbers, whole = 0, True
    for value, count in zip(counted.field(0), counted.field(1).to_pylist(), strict=True):
        cell = pa.array([value.as_py()])
        if _fits(cell, "float"):
            numbers += count
            whole = whole and (_fits(cell, "int") or _are_whole(cell))
    if 2 * numbers > len(cells):
        return "int" if whole else "float"
    return "string"


def kinds_of_empty(
    files: Sequence[Path], kinds: Mapping[str, str], read_text: TextBatches
) -> dict[str, str]:
    """Find the kinds of columns that had no filled cell so far, over all files.

    Returns:
        All kinds, those of `kinds` that are "empty" replaced where cells were found.
    """
    wanted = [name for name, kind in kinds.items() if kind == EMPTY]
    found: dict[str, pa.Array] = {name: pa.array([], pa.string()) for name in wanted}
    for path in files:
        for batch in read_text(path, wanted):
            for name in wanted:
                if len(found[name]) < SAMPLE_CELLS:
                    column = batch.column(batch.schema.get_field_index(name)).drop_null()
                    found[name] = pa.concat_arrays([found[name], column])
    return {name: kind_of(found[name]) if name in found else kind for name, kind in kinds.items()}


def widened_kinds(
    files: Sequence[Path],
    kinds: Mapping[str, str],
    declared: Mapping[str, str],
    read_text: TextBatches,
) -> dict[str, str]:
    """Widen int to float wherever all cells of all files ask for it.

    Raises:
        Misfit: A cell fits neither its column's type nor a wider one.
    """
    widened = dict(kinds)
    too_big: dict[str, Misfit] = {}
    checked = [name for name, kind in kinds.items() if kind in ("bool", "int", "float")]
    for path in files:
        row = 0
        for batch in read_text(path, checked):
            for name in checked:
                cells = _trimmed(batch.column(batch.schema.get_field_index(name)))
                if _fits(cells, widened[name]):
                    continue
                widest = (
                    "float" if widened[name] == "int" and name not in declared else widened[name]
                )
                fits = _fits(cells, widest)
                whole = fits and _are_whole(cells)
                if fits and not whole:
                    widened[name] = widest
                    continue
                at = _first_misfit(cells, widened[name] if whole else widest)
                value = batch.column(batch.schema.get_field_index(name))[at].as_py()
                misfit = Misfit(path, row + at, name, value, kinds[name])
                if not whole:
                    raise misfit
                too_big.setdefault(name, misfit)  # and fits if a fraction is yet to come
            row += batch.num_rows
    for name, misfit in too_big.items():
        if widened[name] == "int":
            raise misfit
    return widened


def _trimmed(cells: pa.Array) -> pa.Array:
    return pc.utf8_trim(cells, characters=" \t")  # what Arrow's CSV reader trims


def _fits(cells: pa.Array, kind: str) -> bool:
    """Whether all cells (null or trimmed) parse as `kind`, by the parser that will read them."""
    if kind == "bool":
        words = pc.is_in(cells, value_set=pa.array(list(BOOL_WORDS)), skip_nulls=False)
        return bool(pc.all(pc.or_(words, pc.is_null(cells)), min_count=0).as_py())
    try:
        cells.cast(READ_TYPES[kind])
    except pa.ArrowInvalid:
        return False
    return True


def _are_whole(cells: pa.Array) -> bool:
    """Whether all cells (null or trimmed) are whole numbers, of any size."""
    return bool(pc.all(pc.match_substring_regex(cells, "^[+-]?[0-9]+$"), min_count=0).as_py())


def _first_misfit(cells: pa.Array, kind: str) -> int:
    low, high = 0, len(cells)  # cells[:low] fit; cells[:high] do not
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(cells.slice(low, middle - low), kind):
            low = middle
        else:
            high = middle
    return low
