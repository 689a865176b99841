"""The bytes and the rows of a CSV file: plain or gzip, checked while they pass."""

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


class CsvBytes(io.RawIOBase):
    """A CSV file's bytes, unpacked; a NUL byte or a corrupt gzip raises DataError.

    Args:
        path: A file; unpacked when its name ends in `.gz`.

    Attributes:
        quotes: Quote characters that have passed; odd at the end if one was never closed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._offset = 0
        self.quotes = 0
        try:
            packed = path.name.lower().endswith(".gz")
            self._file = cast(IO[bytes], gzip.open(path) if packed else path.open("rb"))
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
        self.quotes += data.count(b'"')
        return data

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def, override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _nul_byte(self, data: bytes) -> DataError:
        utf16 = self._offset == 0 and (data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[1] == 0)
        return DataError(
            f"'{self._path}' holds NUL bytes, so it is not UTF-8 text",
            received=f"a zero byte at offset {self._offset + data.index(0):,}",
            expected="CSV text in UTF-8",
            next_step=f"convert it with: iconv -f UTF-16 -t UTF-8 '{self._path}'"
            if utf16
            else "export the file again; it may be cut, sparse or binary",
        )


def read_rows(path: Path, delimiter: str, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Rows as Python's csv module reads them: slow, and exact about line numbers.

    Args:
        path: The file.
        delimiter: Between cells.
        strict: Raise on a quote that is never closed.

    Yields:
        The line (from 1) where the row starts, and its cells. Blank lines are left out.

    Raises:
        csv.Error: The row cannot be read.
        UnicodeDecodeError: Bytes are not UTF-8.
        DataError: The file cannot be read.
    """
    with io.TextIOWrapper(CsvBytes(path), encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter, strict=strict)
        line = 1
        for row in rows:
            if row:
                yield line, row
            line = rows.line_num + 1
