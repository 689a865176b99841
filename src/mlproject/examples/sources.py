"""Where raw data is: a file, a folder of files, or a glob; and the digest of what is there."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlproject.errors import ConfigError, DataError, closest
from mlproject.examples.columns import Columns

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}
_EXPECTED = "a file, a folder or a glob of " + ", ".join(_FORMATS) + " files"


@dataclass(frozen=True)
class ReadOptions:
    """How raw files are to be read.

    Attributes:
        delimiter: Between the cells of a CSV file.
        null_values: CSV cells that mean "no value", besides the empty cell, which always does.
        column_types: Declared types ("int", "float", "string"), which win over what is found.
    """

    delimiter: str = ","
    null_values: tuple[str, ...] = ("",)
    column_types: Mapping[str, str] = field(default_factory=dict)


class TypesWidened(Exception):  # noqa: N818 - a signal to read again, not an error
    """A later value widened a column's type: discard the batches, read again."""


class Source(Protocol):
    """Files of one format that share their columns."""

    @property
    def columns(self) -> Columns:
        """The columns, as far as they are known now; final once `batches` ran through."""

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Stream some of the files in the stored types, in memory that does not grow with them.

        Raises:
            TypesWidened: What was read so far is void; call again.
            DataError: A file cannot be read.
        """


def open_source(files: Sequence[Path], options: ReadOptions) -> Source:
    """Open files by the format that their suffix names.

    Args:
        files: What `find_files` found; of one format.
        options: How to read them.

    Raises:
        ConfigError: A declared column type names no column or no type.
        DataError: The files are of two formats, or one of them cannot be used.
    """
    formats = {_format_of(file): file for file in reversed(files)}
    if len(formats) != 1:
        raise DataError(
            "The files of the source have different formats",
            received=", ".join(sorted(f"'{file}'" for file in formats.values())),
            expected="CSV files only or Parquet files only",
            next_step="name the files with a glob, such as 'FOLDER/*.csv'",
        )
    if "parquet" in formats:
        from mlproject.examples.parquet_source import ParquetSource

        return ParquetSource(files, options)
    from mlproject.examples.csv_source import CsvSource

    return CsvSource(files, options)


def find_files(source: str) -> tuple[Path, ...]:
    """The data files of a source, sorted by path.

    Args:
        source: A file, a folder (its data files, not those of its subfolders) or a glob.
            Hidden files, and files of a folder or glob without a data suffix, are left out.

    Raises:
        ConfigError: The source is a URL.
        DataError: There is nothing, or nothing that can be read.
    """
    if "://" in source:
        raise ConfigError(
            "The source of the data is not a local path",
            received=f"'{source}'",
            expected=_EXPECTED,
            next_step="copy the data to a local folder and name that",
        )
    path = Path(source)
    try:
        if path.is_file():
            found = [path]
        elif path.is_dir():
            found = list(path.iterdir())
        else:
            found = [Path(match) for match in glob.glob(source, recursive=True)]
        files = tuple(sorted(f for f in found if f.is_file() and not f.name.startswith(".")))
    except OSError as err:
        raise unreadable(path, err) from err
    data_files = tuple(file for file in files if _format_of(file))
    if not data_files:
        raise _nothing_found(path, files)
    return data_files


def source_digest(paths: Iterable[Path]) -> str:
    """SHA-256 of files: their base names in sorted order, and their content.

    Folders do not count, so data keeps its digest when it is moved as a whole.

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: A file cannot be read.
    """
    ordered = tuple(sorted(paths, key=lambda path: (path.name, str(path))))
    state = tuple(_state(path) for path in ordered)
    # A run asks three times: the plan before it, its own plan, and ingest.
    if state not in _digests:
        _digests[state] = _digest_contents(ordered)
    return _digests[state]


_digests: dict[tuple[tuple[str, int, int, int], ...], str] = {}


def _state(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError as err:
        raise unreadable(path, err) from err
    return str(path), found.st_size, found.st_mtime_ns, found.st_ino


def _digest_contents(ordered: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in ordered:
        name = path.name.encode("utf-8", "surrogateescape")
        digest.update(f"{len(name)}:".encode() + name)
        size = 0
        try:
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
                    size += len(chunk)
        except OSError as err:
            raise unreadable(path, err) from err
        digest.update(f":{size};".encode())  # else content could pass for the next file's name
    return digest.hexdigest()


def unreadable(path: Path, err: OSError) -> DataError:
    """The error for a file that the operating system does not let us read."""
    return DataError(
        f"'{path}' cannot be read",
        received=err.strerror or str(err),
        expected="a file that this user may read",
        next_step=f"check it with: ls -l '{path}'",
    )


def _format_of(path: Path) -> str:
    name = path.name.lower()
    return next((kind for suffix, kind in _FORMATS.items() if name.endswith(suffix)), "")


def _nothing_found(path: Path, others: Sequence[Path]) -> DataError:
    if path.is_file():
        suffix = "".join(path.suffixes[-2:])
        return DataError(
            f"The format of '{path}' is not known",
            received=f"suffix '{suffix}'",
            expected=", ".join(_FORMATS),
            next_step="convert the file, or give it the suffix of its format",
        )
    if path.is_dir() or others:
        names = ", ".join(f"'{file.name}'" for file in others[:5])
        return DataError(
            f"'{path}' holds no data files",
            received=names or "no visible files",
            expected="files that end in " + ", ".join(_FORMATS),
            next_step="put the data there, or name another place",
        )
    return DataError(
        f"There is no data at '{path}'",
        received="no such file, folder or match",
        expected=_hint(path),
        next_step="correct the path of the source in project.yaml",
    )


def _hint(path: Path) -> str:
    """The likeliest file that was meant, from the nearest folder that exists."""
    folder = path.parent
    if not folder.is_dir():
        return f"{_EXPECTED}; the folder '{folder}' does not exist"
    names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    hint = closest(path.name, names)
    return hint if hint.startswith("did") or 0 < len(names) <= 10 else _EXPECTED
