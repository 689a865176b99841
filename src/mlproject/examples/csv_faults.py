"""Why a CSV file cannot be read: the line, the cell and the next step.

Arrow reads fast and says little, so its refusals are explained by a second, slow look that
only failures pay for.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from mlproject.errors import DataError
from mlproject.examples.columns import check_names
from mlproject.examples.csv_text import CsvRows, RowError, read_text_blocks

MAX_ROW_BYTES = 1 << 20
"""What the reader parses at a time; a row must fit."""

_MISSING_WORDS = {"na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", ".", "missing"}
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'", ",": "','"}


def read_header(path: Path, delimiter: str) -> list[str]:
    """The column names in a file's first line.

    Raises:
        DataError: The file is empty, the delimiter is another, a name is empty or doubled.
    """
    try:
        names = next((row for _, row in CsvRows(path, delimiter)), None)
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
    line = next((line for line, _ in islice(CsvRows(path, delimiter), row + 1, None)), None)
    if kind == "int" and _WHOLE_NUMBER.fullmatch(value.strip()):
        return _beyond_64_bits(path, line, column, value.strip())
    expected = {"int": "a whole number", "float": "a number", "bool": "true or false"}[kind]
    why = "data.column_types declares it" if declared else "the column's other cells are"
    next_step = "fix the cell"
    if value.strip() == column:
        next_step = "take the second header line out; the file seems joined from several"
    elif value.strip().lower() in _MISSING_WORDS:
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
    rows = CsvRows(path, delimiter)
    with suppress(RowError):
        for _ in rows:
            pass
    if rows.quotes_to_the_end() % 2 == 0:
        return None
    return DataError(
        f"'{path}', line {rows.line}: a quote is opened and never closed",
        received="the end of the file inside a quoted cell",
        expected="a closing quote; a quote inside a cell is doubled",
        next_step="close the quote",
    )


def _beyond_64_bits(path: Path, line: int | None, column: str, value: str) -> DataError:
    return DataError(
        f"'{path}', line {line}: column '{column}' holds a whole number beyond 64 bits",
        received=f"'{_short(value)}'",
        expected="whole numbers from -9223372036854775808 to 9223372036854775807",
        next_step=f"declare data.column_types: {{{column}: string}} in project.yaml if it is a "
        "name, or float if its first 15 digits are enough",
    )


def _bad_encoding(path: Path) -> DataError | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = decoded = 0
    line = 1
    try:
        for line, block in read_text_blocks(path):
            decoder.decode(block)
            read += len(block)
            decoded = read - len(decoder.getstate()[0])  # a character may go on in the next
            line += block.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as err:
        line += err.object.count(b"\n", 0, err.start)
        return DataError(
            f"'{path}', line {line}: bytes that are not UTF-8",
            received=f"byte 0x{err.object[err.start]:02x} at offset {decoded + err.start:,}",
            expected="CSV text in UTF-8",
            next_step="re-encode it, for Western text with: "
            f"iconv -f WINDOWS-1252 -t UTF-8 '{path}'",
        )
    return None


def _bad_row(path: Path, delimiter: str) -> DataError | None:
    fields = 0
    line = 0
    try:
        for line, row in CsvRows(path, delimiter):
            fields = fields or len(row)
            if len(row) != fields or sum(map(len, row)) >= MAX_ROW_BYTES:
                return unclosed_quote(path, delimiter) or _misshapen(path, line, row, fields)
    except RowError as err:
        if fault := unclosed_quote(path, delimiter):
            return fault
        if err.too_long:
            return _too_long(path, err.line, str(err))
        return DataError(
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
        return _too_long(path, line, f"{sum(map(len, row)):,} characters")
    return DataError(
        f"'{path}', line {line}: the row has not as many cells as the header",
        received=f"{len(row)} cells: '{_short(','.join(row))}'",
        expected=f"{fields} cells",
        next_step="fix the line, a cell that holds the delimiter needs quotes; if the columns "
        "change from there on, cut the file in two",
    )


def _too_long(path: Path, line: int, received: str) -> DataError:
    return DataError(
        f"'{path}', line {line}: the row is too long",
        received=received,
        expected=f"rows of less than {MAX_ROW_BYTES:,} bytes",
        next_step="look for an unpaired quote, or keep such content in files of its own",
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
