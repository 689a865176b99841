"""CSV text read slowly and exactly, with Python's own csv module, to explain what Arrow refuses.

Never hand one of these files to Arrow's CSV reader: it reads ahead on a thread of its own that
needs Python's lock for them, while its destructor waits for that thread with the lock held.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from mlproject.errors import DataError
from mlproject.examples.sources import unreadable

_MAX_CELL = 16 << 20  # the csv module's own limit is 128 KiB


class CsvBytes(io.RawIOBase):
    """A CSV file's bytes, unpacked; a NUL byte or a corrupt gzip raises DataError.

    Args:
        path: A file; unpacked when its name ends in `.gz`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._offset = 0
        opened = gzip.open if is_packed(path) else open
        try:
            self._file = cast(IO[bytes], opened(path, "rb"))
        except OSError as err:
            raise unreadable(path, err) from err

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        try:
            data = self._file.read(-1 if size is None else size)
        except (gzip.BadGzipFile, zlib.error, EOFError) as err:
            raise DataError(
                f"'{self._path}' is not a whole gzip file",
                received=f"{err} (after {self._offset:,} bytes of content)",
                expected="a complete file that `gzip -t` accepts",
                next_step="copy or pack the file again",
            ) from err
        except OSError as err:
            raise unreadable(self._path, err) from err
        if b"\0" in data:
            raise self._nul_byte(data)
        self._offset += len(data)
        return data

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _nul_byte(self, data: bytes) -> DataError:
        utf16 = (self._offset == 0 and 0 in data[:2]) or data[:2] in (b"\xff\xfe", b"\xfe\xff")
        return DataError(
            f"'{self._path}' holds NUL bytes, so it is not UTF-8 text",
            received=f"a zero byte at offset {self._offset + data.index(0):,}",
            expected="CSV text in UTF-8",
            next_step=f"convert it with: iconv -f UTF-16 -t UTF-8 '{self._path}'"
            if utf16
            else "export the file again; it may be cut, sparse or binary",
        )


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, by its name."""
    return path.name.lower().endswith(".gz")


def read_lines(path: Path) -> Iterator[bytes]:
    """The file's lines as bytes, line ends included; raises like `CsvBytes`."""
    with _buffered(path) as lines:
        yield from lines


class RowError(Exception):
    """The csv module cannot read a row.

    Attributes:
        line: Where the row starts, from 1.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows as Python's csv module reads them: slow, and exact about line numbers.

    Args:
        path: The file.
        delimiter: Between cells.

    Yields:
        The line (from 1) where the row starts, and its cells. Blank lines are left out.

    Raises:
        RowError: A row cannot be read.
        UnicodeDecodeError: Bytes are not UTF-8.
        DataError: The file cannot be read.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    line = 1
    with io.TextIOWrapper(_buffered(path), encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter)
        try:
            for row in rows:
                if row:
                    yield line, row
                line = rows.line_num + 1
        except csv.Error as err:
            raise RowError(line, str(err)) from err


def _buffered(path: Path) -> io.BufferedReader:
    return io.BufferedReader(CsvBytes(path), 1 << 20)
