"""Why a CSV file cannot be read: the line, the cell and the next step.

Arrow reads fast and says little, so its refusals are explained by a second, slow look that
only failures pay for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from mlproject.errors import DataError
from mlproject.examples.columns import check_names
from mlproject.examples.csv_text import RowError, read_lines, read_rows

MAX_ROW_BYTES = 1 << 20
"""What the reader parses at a time; a row must fit."""

_MISSING_WORDS = {"na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", ".", "missing"}
_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'", ",": "','"}


def read_header(path: Path, delimiter: str) -> list[str]:
    """The column names in a file's first line.

    Raises:
        DataError: The file is empty, the delimiter is another, a name is empty or doubled.
    """
    try:
        names = next((row for _, row in read_rows(path, delimiter)), None)
    except (RowError, UnicodeDecodeError) as err:
        raise explain(path, delimiter, err) from err
    if names is None:
        raise DataError(
            f"'{path}' is empty",
            received="no header line",
            expected="a header line with the column names, then rows",
            next_step="export the file again, or take it out of the source",
        )
    _check_delimiter(path, names, delimiter)
    check_names(names, f"'{path}'")
    return names


def bad_cell(
    path: Path, delimiter: str, row: int, column: str, value: str, kind: str, declared: bool
) -> DataError:
    """The error for a cell that is not of its column's type.

    Args:
        path: The file.
        delimiter: Between cells.
        row: Data rows before the cell's row.
        column: The column's name.
        value: The cell.
        kind: "int", "float" or "bool".
        declared: Whether project.yaml gave the type, or the cells before did.
    """
    if "\n" in value and (fault := unclosed_quote(path, delimiter)):
        return fault
    line = next((line for line, _ in islice(read_rows(path, delimiter), row + 1, None)), None)
    expected = {"int": "a whole number", "float": "a number", "bool": "true or false"}[kind]
    why = "data.column_types declares it" if declared else "the column's other cells are"
    next_step = "fix the cell"
    if value.strip().lower() in _MISSING_WORDS:
        next_step += f", or add '{value}' to data.null_values in project.yaml if it means no value"
    elif not value.strip():
        next_step = "leave the cell empty if it means no value"
    next_step += f", or declare data.column_types: {{{column}: string}} in project.yaml"
    return DataError(
        f"'{path}', line {line}: column '{column}' holds a value that is not {expected}",
        received=f"'{_short(value)}'",
        expected=f"{expected}, as {why}",
        next_step=next_step,
    )


def explain(path: Path, delimiter: str, refusal: Exception) -> DataError:
    """Find out why a file cannot be parsed.

    Args:
        path: The file.
        delimiter: Between cells.
        refusal: What the parser said, for want of a better explanation.
    """
    return (
        _bad_encoding(path)
        or _bad_row(path, delimiter)
        or DataError(
            f"'{path}' cannot be parsed as CSV",
            received=str(refusal),
            expected=f"rows of less than {MAX_ROW_BYTES:,} bytes, every opened quote closed",
            next_step="look for an unpaired quote, or for a very long cell",
        )
    )


def unclosed_quote(path: Path, delimiter: str) -> DataError | None:
    """The error for a quote that swallows the rest of the file; None if all are closed."""
    start = 1
    try:
        for start, _ in read_rows(path, delimiter):  # noqa: B007 - the last row is what counts
            pass
    except RowError as err:
        start = err.line
    quotes = sum(line.count(b'"') for line in islice(read_lines(path), start - 1, None))
    if quotes % 2 == 0:
        return None
    return DataError(
        f"'{path}', line {start}: a quote is opened and never closed",
        received="the end of the file inside a quoted cell",
        expected="a closing quote; a quote inside a cell is doubled",
        next_step="close the quote",
    )


def _bad_encoding(path: Path) -> DataError | None:
    offset = 0
    for number, line in enumerate(read_lines(path), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as err:
            return DataError(
                f"'{path}', line {number}: bytes that are not UTF-8",
                received=f"byte 0x{line[err.start]:02x} at offset {offset + err.start:,}",
                expected="CSV text in UTF-8",
                next_step="re-encode it, for Western text with: "
                f"iconv -f WINDOWS-1252 -t UTF-8 '{path}'",
            )
        offset += len(line)
    return None


def _bad_row(path: Path, delimiter: str) -> DataError | None:
    fields = 0
    line = 0
    try:
        for line, row in read_rows(path, delimiter):
            fields = fields or len(row)
            if len(row) != fields or sum(map(len, row)) >= MAX_ROW_BYTES:
                return unclosed_quote(path, delimiter) or _misshapen(path, line, row, fields)
    except RowError as err:
        return unclosed_quote(path, delimiter) or DataError(
            f"'{path}', line {err.line}: the row cannot be parsed",
            received=str(err),
            expected="CSV, with every opened quote closed",
            next_step="look for an unpaired quote in that line",
        )
    if line > 1:
        return None
    return DataError(
        f"'{path}' has no rows",
        received="a header only",
        expected="a header and at least one row",
        next_step="export the file again, or take it out of the source",
    )


def _misshapen(path: Path, line: int, row: Sequence[str], fields: int) -> DataError:
    if len(row) == fields:
        return DataError(
            f"'{path}', line {line}: the row is too long",
            received=f"{sum(map(len, row)):,} characters",
            expected=f"rows of less than {MAX_ROW_BYTES:,} bytes",
            next_step="look for an unpaired quote, or keep such content in files of its own",
        )
    return DataError(
        f"'{path}', line {line}: the row has not as many cells as the header",
        received=f"{len(row)} cells: '{_short(','.join(row))}'",
        expected=f"{fields} cells",
        next_step="fix the line; a cell that holds the delimiter needs quotes",
    )


def _check_delimiter(path: Path, names: Sequence[str], delimiter: str) -> None:
    if len(names) != 1:
        return
    counts = {other: names[0].count(other) for other in _DELIMITERS if other != delimiter}
    likeliest = max(counts, key=lambda other: counts[other])
    if counts[likeliest]:
        shown = "\\t" if likeliest == "\t" else likeliest
        raise DataError(
            f"The header of '{path}' reads as a single column",
            received=f"'{_short(names[0])}'",
            expected=f"several columns; the delimiter looks like {_DELIMITERS[likeliest]}",
            next_step=f'set data.delimiter: "{shown}" in project.yaml',
        )


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
