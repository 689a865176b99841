"""Sources: what raw data there is, in which parts, and who reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlproject.errors import DataError
from mlproject.examples.columns import Columns
from mlproject.examples.formats import ReadOptions
from mlproject.examples.request import BigQueryQuery, DatabaseQuery, IngestRequest
from mlproject.examples.spans import Span

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Part:
    """A stretch of a source that is read as a whole.

    Attributes:
        split: The split its rows belong to, or None where a rule splits them.
        span: The span its rows belong to, where the source has spans.
        uri: Where it is, for the record; holds no secret.
        files: The files it is read from; empty where it is no files.
    """

    split: str | None
    span: Span | None
    uri: str
    files: tuple[Path, ...] = ()


class Reader(Protocol):
    """An opened source."""

    @property
    def columns(self) -> Columns:
        """The columns, as far as they are known now; final once every part was read."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, in the order to read them."""

    def batches(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Streams a part in the stored types, in memory that does not grow with it.

        Raises:
            TypesWidened: What was read so far, of this part and of those before, is void.
            DataError: It cannot be read.
        """


class Source(Protocol):
    """Raw data that was found."""

    @property
    def uris(self) -> tuple[tuple[str | None, str], ...]:
        """Split (None: a rule splits) and where its rows are; without a secret."""

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans of the window, in rising order; empty where the source has none."""

    def describe(self) -> str:
        """In a few words: how many files, and which is the first; or which query."""

    def digest(self) -> str:
        """A hash of the raw data that changes whenever the data does (hex).

        Raises:
            DataError: It cannot be read.
        """

    def open(self, options: ReadOptions) -> Reader:
        """Opens it.

        Raises:
            ConfigError: A declared column type names no column or no type.
            DataError: It cannot be read.
        """

    def check_unchanged(self) -> None:
        """Checks that it is still what was found.

        Raises:
            DataError: It changed, or is gone.
        """


def find_source(request: IngestRequest) -> Source:
    """Finds the source that a request names, without reading it as data.

    Raises:
        ConfigError: The request cannot be.
        DataError: There is nothing, or nothing that can be read.
    """
    if isinstance(request.database, DatabaseQuery):
        from mlproject.examples.sql.source import SqlSource

        return SqlSource(request.database)
    if isinstance(request.database, BigQueryQuery):
        from mlproject.examples.google.bigquery_source import BigQuerySource

        return BigQuerySource(request.database)
    if request.frame is not None:
        from mlproject.examples.frame_source import FrameSource

        return FrameSource(request.frame)
    from mlproject.examples.files_source import FilesSource

    return FilesSource(request)


def changed(what: str, expected: str) -> DataError:
    """The error for a source that changes while it is read.

    Args:
        what: What is not as it was.
        expected: What it should be.
    """
    return DataError(
        "The source changed while it was read",
        received=what,
        expected=expected,
        next_step="run again when the data is whole",
    )


def summarise(names: Sequence[str]) -> str:
    """The number of files and the first of them."""
    return f"{len(names)} file{'s' if len(names) > 1 else ''}, first {names[0]}"
