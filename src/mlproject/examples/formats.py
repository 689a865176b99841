"""The formats of raw files: by suffix, and who reads each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlproject.errors import ConfigError, closest
from mlproject.examples.columns import Columns
from mlproject.examples.request import ImageOptions

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES: Mapping[str, str] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".csv.zst": "csv",
    ".parquet": "parquet",
    ".tfrecord": "tfrecord",
    ".tfrecord.gz": "tfrecord",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".jsonl.zst": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
    ".ndjson.zst": "jsonl",
}
_SHARD = re.compile(r"tfrecord-[0-9]+-of-[0-9]+(\.gz)?$")  # as TFX and Beam name them
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
FORMATS = ("csv", "parquet", "tfrecord", "jsonl", "images")


@dataclass(frozen=True)
class ReadOptions:
    """How raw files are to be read.

    Attributes:
        delimiter: Between the cells of a CSV file.
        null_values: CSV cells that mean "no value", besides the empty cell, which always does.
        column_types: Declared types (`columns.COLUMN_TYPES`), which win over what is found.
        images: For images.
        skip: Told a file that cannot be read, and why, where such files are passed over; None
            where they are errors.
    """

    delimiter: str = ","
    null_values: tuple[str, ...] = ("",)
    column_types: Mapping[str, str] = field(default_factory=dict)
    images: ImageOptions = ImageOptions()  # noqa: RUF009 - frozen
    skip: Callable[[Path, str], None] | None = None


class TypesWidened(Exception):  # noqa: N818 - a signal to read again, not an error
    """A later value widened a column's type: discard the batches, read again."""


class FileReader(Protocol):
    """Reads files of one format that share their columns."""

    @property
    def columns(self) -> Columns:
        """The columns, as far as they are known now; final once `batches` ran through."""

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Stream some of the files in the stored types, in memory that does not grow with them.

        Raises:
            TypesWidened: What was read so far is void; call again.
            DataError: A file cannot be read.
        """


def format_of(name: str) -> str:
    """The format that a file's name tells, or ""."""
    name = name.lower()
    if name.endswith(IMAGE_SUFFIXES):
        return "images"
    if _SHARD.search(name):
        return "tfrecord"
    return next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), "")


def check_format(name: str) -> None:
    """Refuses a format that does not exist.

    Raises:
        ConfigError: The closest is named.
    """
    if name and name not in FORMATS:
        raise ConfigError(
            "The format of the data is not known",
            received=f"data.format: {name}",
            expected=closest(name, FORMATS),
            next_step="correct data.format in project.yaml",
        )


def open_files(kind: str, files: Sequence[Path], options: ReadOptions) -> FileReader:
    """Opens files of one format.

    Args:
        kind: One of `FORMATS`.
        files: At least one.
        options: How to read them.

    Raises:
        ConfigError: A declared column type names no column or no type.
        DataError: One of the files cannot be used.
    """
    if kind == "parquet":
        from mlproject.examples.parquet_source import ParquetSource

        return ParquetSource(files, options)
    if kind == "tfrecord":
        from mlproject.examples.tfrecord_source import TFRecordSource

        return TFRecordSource(files, options)
    if kind == "jsonl":
        from mlproject.examples.jsonl_source import JsonLinesSource

        return JsonLinesSource(files, options)
    if kind == "images":
        from mlproject.examples.image_source import ImageSource

        return ImageSource(files, options)
    from mlproject.examples.csv_source import CsvSource

    return CsvSource(files, options)
