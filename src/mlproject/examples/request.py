"""What to ingest, and how: plain values, checked before any data is touched."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlproject.errors import ConfigError
from mlproject.examples.spans import Window, has_placeholders
from mlproject.examples.split_rules import ByHash, ByTime, ByValue, SplitRule

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Parameters = tuple[tuple[str, str | int | float | bool | None], ...]


@dataclass(frozen=True)
class ImageOptions:
    """How a folder of images becomes columns.

    Attributes:
        height: Pixels; images of another size are resized.
        width: Pixels.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        keep: What stands in the column `image`: "pixels" (a list of height x width x channels
            integers of 0 to 255, row by row), "encoded" (the original file's bytes) or "path"
            (where the original lies).
    """

    height: int = 0
    width: int = 0
    channels: int = 3
    keep: Literal["pixels", "encoded", "path"] = "pixels"


@dataclass(frozen=True)
class DatabaseQuery:
    """Rows of a SQL database.

    Attributes:
        connection_env: Name of the environment variable that holds the SQLAlchemy URL, or "".
        file: A SQLite file instead, or "".
        table: A table or view, or "".
        query: A SELECT instead, with `:name` for parameters, or "".
        parameters: Name and value, bound by the driver.
        key: Columns that order the rows and are unique together; a read that is cut off goes on
            after the last key. Without them the rows keep the order the database gives, and a read
            that is cut off fails.
        version_query: A SELECT whose result changes whenever the rows do; without it the rows are
            read once more to tell.
    """

    connection_env: str = ""
    file: str = ""
    table: str = ""
    query: str = ""
    parameters: Parameters = ()
    key: tuple[str, ...] = ()
    version_query: str = ""


@dataclass(frozen=True)
class BigQueryQuery:
    """Rows of BigQuery; credentials and the billing project come from the environment.

    Attributes:
        table: `project.dataset.table`, or "".
        query: A SELECT of GoogleSQL instead, with `@name` for parameters, or "".
        parameters: Name and value.
        location: Where the job runs, such as "EU", or "".
    """

    table: str = ""
    query: str = ""
    parameters: Parameters = ()
    location: str = ""


@dataclass(frozen=True)
class IngestRequest:
    """What to ingest, and how.

    Attributes:
        source: A file, folder or glob (a path, `file://` or `gs://`; see `spans` for
            placeholders), to be split by `split_by`; or None.
        split_sources: Split name and source, for data that comes split; taken as given.
        database: Rows of a database instead, split by `split_by`.
        frame: A pandas DataFrame instead (from Python only), split by `split_by`.
        format: Of the files; "" to go by their suffix.
        shares: Split name and relative weight, in order; where `split_by` is None.
        split_key: Columns whose values must not stand in two splits; empty: whole rows.
        split_by: Another rule than shares of a hash.
        window: Which spans, where a source's path has placeholders.
        span_column: Name of an int column to add with each row's span; "" for none.
        delimiter: Between the cells of CSV files.
        null_values: CSV cells that mean "no value"; the empty cell always does.
        column_types: Column name and type, as `columns.COLUMN_TYPES`; wins over what is found.
        type_hints: As `column_types`, from a reviewed schema: columns that the data lacks are
            passed over (validation will say so), and `column_types` wins.
        images: For a folder of images.
        on_bad_file: Whether an image that cannot be decoded fails the ingest or is skipped, named
            and counted.
    """

    source: str | None = None
    split_sources: tuple[tuple[str, str], ...] = ()
    database: DatabaseQuery | BigQueryQuery | None = None
    frame: Any = None
    format: str = ""
    shares: tuple[tuple[str, float], ...] = (("train", 2.0), ("eval", 1.0))
    split_key: tuple[str, ...] = ()
    split_by: ByValue | ByTime | None = None
    window: Window = Window()  # noqa: RUF009 - frozen
    span_column: str = ""
    delimiter: str = ","
    null_values: tuple[str, ...] = ("",)
    column_types: tuple[tuple[str, str], ...] = ()
    type_hints: tuple[tuple[str, str], ...] = ()
    images: ImageOptions = ImageOptions()
    on_bad_file: Literal["fail", "skip"] = "fail"

    @property
    def rule(self) -> SplitRule:
        """How rows are split that do not come split."""
        return self.split_by or ByHash(self.shares, self.split_key)

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that ingest will write, in order."""
        if self.split_sources:
            return tuple(name for name, _ in self.split_sources)
        return self.rule.names

    def fingerprint_parts(self) -> dict[str, Any]:
        """Everything of it, as JSON values, that determines the Examples beside the raw data."""
        ways = ("format", "span_column", "delimiter", "null_values", "on_bad_file")
        rule = None if self.split_sources else [type(self.rule).__name__, asdict(self.rule)]  # type: ignore[call-overload]
        return {
            **{name: getattr(self, name) for name in ways},
            "splits": list(self.split_names),
            "rule": rule,
            "column_types": list(self.column_types),
            "type_hints": list(self.type_hints),
            "images": asdict(self.images),
        }


def check_request(request: IngestRequest) -> None:
    """Refuse a request that no data could satisfy.

    Raises:
        ConfigError: Says which part.
    """
    failed = ""
    received = ""
    names = request.split_names
    given = {
        "source": request.source is not None,
        "split sources": bool(request.split_sources),
        "database": request.database is not None,
        "frame": request.frame is not None,
    }
    there = [name for name, is_there in given.items() if is_there]
    if len(there) != 1:
        failed, received = "The source of the data is not clear", ", ".join(there) or "none"
    elif not names or len(set(names)) != len(names):
        failed, received = "The splits are not distinct", str(names)
    elif bad := [name for name in names if not _SPLIT_NAME.fullmatch(name)]:
        failed, received = "A split's name cannot be a folder's name", repr(bad[0])
    elif bad := [n for n, w in request.shares if not (math.isfinite(w) and w > 0)]:
        failed, received = f"The share of split '{bad[0]}' is not above 0", str(request.shares)
    elif len(request.delimiter) != 1 or request.delimiter in '"\r\n':
        failed, received = "The delimiter is not one character", repr(request.delimiter)
    elif request.split_sources and (request.split_key or request.split_by):
        failed, received = "A split rule does nothing for data that comes split", "both"
    elif request.split_key and request.split_by:
        failed, received = "Rows are split by one rule", "a split key and split_by"
    elif request.window.length < 1:
        failed, received = "The window has no span", str(request.window.length)
    if failed:
        raise ConfigError(
            failed,
            received=received,
            expected="one source with one rule to split it, or one source a split; shares above 0; "
            "split names of letters, digits, '_' and '-'",
            next_step="correct the data section of project.yaml",
        )
    _check_spans(request)


def _check_spans(request: IngestRequest) -> None:
    """Refuse a span of data that has none: all of the data would pass for that span."""
    sources = [source for _, source in request.split_sources]
    sources += [request.source] if request.source is not None else []
    if any(map(has_placeholders, sources)):
        return
    newest, column = request.window.newest, request.span_column
    if newest is not None or column:
        raise ConfigError(
            "The data has no spans",
            received=f"the span {newest}" if newest is not None else f"data.span_column: {column}",
            expected="a data.path that names them: {SPAN}, or {YYYY}-{MM}-{DD}",
            next_step="leave --span, data.span and data.span_column out, or keep each span in a "
            "file or folder of its own",
        )
