"""CSV text read slowly and exactly, with Python's own csv module, to explain what Arrow refuses.

Nothing here holds more than a row, and no row of more than `MAX_ROW_CHARS`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from mlproject.errors import DataError
from mlproject.examples.raw_bytes import RawBytes

MAX_ROW_CHARS = 4 << 20
"""The longest row that is looked at; Arrow's reader gives up on shorter ones."""

_BLOCK_BYTES = 1 << 20


class CsvBytes(RawBytes):
    """A CSV file's unpacked bytes; a NUL byte or a damaged file raises DataError.

    Args:
        path: The file.
    """

    def read(self, size: int | None = -1) -> bytes:
        """See `RawBytes.read`."""
        data = super().read(size)
        if b"\0" in data:
            raise self._nul_byte(data, self.offset - len(data))
        return data

    def _nul_byte(self, data: bytes, offset: int) -> DataError:
        utf16 = (offset == 0 and 0 in data[:2]) or data[:2] in (b"\xff\xfe", b"\xfe\xff")
        return DataError(
            f"'{self._path}' holds NUL bytes, so it is not UTF-8 text",
            received=f"a zero byte at offset {offset + data.index(0):,}",
            expected="CSV text in UTF-8",
            next_step=f"convert it with: iconv -f UTF-16 -t UTF-8 '{self._path}'"
            if utf16
            else "export the file again; it may be cut, sparse or binary",
        )


def read_text_blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The file's bytes, 1 MiB at a time.

    Yields:
        The number, from 1, of the line that the block begins in, and the block.

    Raises:
        DataError: The file cannot be read.
    """
    line = 1
    with CsvBytes(path) as file:
        while block := file.read(_BLOCK_BYTES):
            yield line, block
            line += block.count(b"\n")


class RowError(Exception):
    """The csv module cannot read a row.

    Attributes:
        line: Where the row starts, from 1.
        too_long: Whether the row has more than `MAX_ROW_CHARS`.
    """

    def __init__(self, line: int, message: str, too_long: bool = False) -> None:
        super().__init__(message)
        self.line = line
        self.too_long = too_long


class CsvRows:
    """Rows as Python's csv module reads them: slow, and exact about line numbers.

    Iterating yields the line (from 1) where a row starts, and its cells; blank lines are left out.
    It raises RowError where a row cannot be read, UnicodeDecodeError where bytes are not UTF-8,
    and DataError where the file cannot be read.

    Args:
        path: The file.
        delimiter: Between cells.

    Attributes:
        line: Where the row that was begun last starts.
        quotes: Quotes in what was read of it.
    """

    def __init__(self, path: Path, delimiter: str) -> None:
        self.line = 1
        self.quotes = 0
        self._chars = 0
        self._next_line = 1
        self._delimiter = delimiter
        self._text = io.TextIOWrapper(_buffered(path), encoding="utf-8-sig", newline="")

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_CHARS))
        rows = csv.reader(self._lines(), delimiter=self._delimiter)
        try:
            for row in rows:
                if row:
                    yield self.line, row
                self._next_line = rows.line_num + 1
        except csv.Error as err:
            raise RowError(self.line, str(err)) from err

    def quotes_to_the_end(self) -> int:
        """The quotes from the start of the last row to the end of the file."""
        while part := self._text.read(_BLOCK_BYTES):
            self.quotes += part.count('"')
        return self.quotes

    def _lines(self) -> Iterator[str]:
        while part := self._text.readline(MAX_ROW_CHARS + 1):
            if self.line != self._next_line:  # a row is done and another begins
                self.line = self._next_line
                self._chars = self.quotes = 0
            self._chars += len(part)
            self.quotes += part.count('"')
            if self._chars > MAX_ROW_CHARS:
                raise RowError(self.line, f"more than {MAX_ROW_CHARS:,} characters", too_long=True)
            yield part


def _buffered(path: Path) -> io.BufferedReader:
    return io.BufferedReader(CsvBytes(path), _BLOCK_BYTES)
