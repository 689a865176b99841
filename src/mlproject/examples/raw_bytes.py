"""The bytes of a raw file, unpacked as its name says (`.gz`, `.zst`)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from mlproject.errors import DataError
from mlproject.examples.locations import unreadable

_CODECS = {".gz": "gzip", ".zst": "zstd"}


def codec_of(path: Path) -> str:
    """How a file is packed, by its name: "gzip", "zstd" or "" for not at all."""
    return _CODECS.get(path.suffix.lower(), "")


def open_native(path: Path) -> pa.NativeFile:
    """A file's unpacked bytes, for Arrow's readers.

    Raises:
        OSError: The file cannot be opened. Reading raises it too, for a damaged pack as well.
    """
    # Never a Python file: Arrow's CSV reader reads ahead on a thread of its own that would need
    # Python's lock, while its destructor waits for that thread with the lock held.
    file = pa.OSFile(str(path), "rb")
    codec = codec_of(path)
    return pa.CompressedInputStream(file, codec) if codec else file


class RawBytes(io.RawIOBase):
    """A file's unpacked bytes, for Python; a damaged file raises DataError.

    Args:
        path: The file.

    Attributes:
        offset: Unpacked bytes read so far.

    Raises:
        DataError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.offset = 0
        self._path = path
        try:
            self._file = open_native(path)
        except OSError as err:
            raise unreadable(path, err) from err

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes (all when None or negative); none at the end.

        Raises:
            DataError: The file cannot be read, or is not whole.
        """
        try:
            data: bytes = self._file.read(None if size is None or size < 0 else size)
        except OSError as err:
            raise self._fault(err) from err
        self.offset += len(data)
        return data

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()

    def _fault(self, err: OSError) -> DataError:
        codec = codec_of(self._path)
        if not codec or err.errno:
            return unreadable(self._path, err)
        return DataError(
            f"'{self._path}' is not a whole {codec} file",
            received=f"{err} (after {self.offset:,} bytes of content)",
            expected=f"a complete file that `{codec} -t` accepts",
            next_step="copy or pack the file again",
        )


def read_blocks(path: Path, size: int) -> Iterator[bytes]:
    """A file's unpacked bytes, `size` at a time.

    Raises:
        DataError: The file cannot be read, or is not whole.
    """
    with RawBytes(path) as file:
        while block := file.read(size):
            yield block
