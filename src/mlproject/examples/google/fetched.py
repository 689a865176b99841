"""Copies of objects on this machine: fetched once, checked, kept until the object is replaced.

    <home>/fetched/<bucket>/<object's name>/<generation>/<its folder>/<file>

An object's own folder and file name are kept, since they tell format and class.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from pathlib import Path
from typing import IO
from urllib.parse import quote
from uuid import uuid4

from mlproject.errors import DataUnavailable, StorageError
from mlproject.examples.google.bucket import Bucket, ObjectState
from mlproject.examples.sources import changed

_MAX_NAME_BYTES = 200
"""Of a folder or file; file systems take 255."""


def fetch(bucket: Bucket, state: ObjectState, folder: Path) -> Path:
    """The copy of one generation of an object; fetched unless it is there.

    Args:
        bucket: Where it lies.
        state: Which generation.
        folder: Of all copies.

    Raises:
        ConfigError: There are no credentials.
        DataError: It cannot be read, has been replaced, or arrived damaged.
        StorageError: The copy cannot be written.
    """
    of_object = folder / bucket.name / _folder_name(state.key)
    copy = of_object / str(state.generation) / _own_path(state.key)
    try:
        if copy.is_file() and copy.stat().st_size == state.size:
            return copy
        copy.parent.mkdir(parents=True, exist_ok=True)
        aside = copy.with_name(f".{uuid4().hex}.part")
        try:
            with aside.open("wb") as file:
                _download(bucket, state, _CheckedFile(file, aside))
            os.replace(aside, copy)
        finally:
            aside.unlink(missing_ok=True)
        for other in of_object.iterdir():
            if other.name != str(state.generation):
                shutil.rmtree(other, ignore_errors=True)
    except OSError as err:
        raise _cannot_write(copy, err) from err
    return copy


class _CheckedFile:
    """A file that sums up what is written to it; its own errors are no errors of the network."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        import google_crc32c

        self._file = file
        self._path = path
        self._crc32c = google_crc32c.Checksum()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        try:
            self._file.write(data)
        except OSError as err:
            raise _cannot_write(self._path, err) from err
        self._crc32c.update(data)
        self.size += len(data)
        return len(data)

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._crc32c.digest()).decode()


def _download(bucket: Bucket, state: ObjectState, file: _CheckedFile) -> None:
    uri = f"gs://{bucket.name}/{state.key}"
    whole = bucket.download(state, file)
    if whole and file.size == state.size and state.crc32c in (None, file.crc32c):
        return
    now = bucket.find(state.key) if whole else None
    if now is None or now.generation != state.generation:
        raise changed(f"'{uri}' was replaced or removed", f"generation {state.generation} of it")
    raise DataUnavailable(
        f"'{uri}' arrived damaged",
        received=f"{file.size:,} bytes, CRC32C {file.crc32c}",
        expected=f"{state.size:,} bytes, CRC32C {state.crc32c}",
        next_step="run again",
    )


def _cannot_write(path: Path, err: OSError) -> StorageError:
    return StorageError(
        f"'{path}' cannot be written",
        received=err.strerror or str(err),
        expected="room for a copy of every object that is read",
        next_step="free space, or set BENISON_HOME to a larger disk; copies in its folder "
        "'fetched' can be removed at any time",
    )


def _folder_name(key: str) -> str:
    """A folder's name for an object's whole name: readable, safe, and its own."""
    name = quote(key, safe=" ")
    if len(name) <= _MAX_NAME_BYTES and not name.startswith("."):
        return name
    return f"_{name[:100]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _own_path(key: str) -> Path:
    """The last folder and the file of an object's name; the end of a long name is what stays."""
    parts = [part for part in key.split("/")[-2:] if part]
    safe = [part.replace("\0", "_").encode()[-_MAX_NAME_BYTES:] for part in parts]
    names = [part.decode(errors="ignore") for part in safe]
    return Path(*(f"_{name}" if name in ("", ".", "..") else name for name in names))
