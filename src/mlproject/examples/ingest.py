"""Ingest: from a source of raw data to Examples, in one pass."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError, DataError
from mlproject.examples.columns import Columns, check_key
from mlproject.examples.sources import (
    ReadOptions,
    Source,
    TypesWidened,
    find_files,
    open_source,
    source_digest,
    unreadable,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from mlproject.examples.split_writer import WrittenSplit

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class IngestRequest:
    """What to ingest, and how.

    Attributes:
        source: A file, folder or glob to split by a hash of each row; or None.
        split_sources: Split name and source, for data that comes split; taken as given.
        shares: Split name and relative weight, in order; for `source`.
        split_key: Columns whose values must not stand in two splits; empty: whole rows.
        delimiter: Between the cells of CSV files.
        null_values: CSV cells that mean "no value"; the empty cell always does.
        column_types: Column name and "int", "float" or "string"; wins over what is found.
        type_hints: As `column_types`, from a reviewed schema: columns that the data lacks are
            passed over (validation will say so), and `column_types` wins.
    """

    source: str | None
    split_sources: tuple[tuple[str, str], ...] = ()
    shares: tuple[tuple[str, float], ...] = (("train", 2.0), ("eval", 1.0))
    split_key: tuple[str, ...] = ()
    delimiter: str = ","
    null_values: tuple[str, ...] = ("",)
    column_types: tuple[tuple[str, str], ...] = ()
    type_hints: tuple[tuple[str, str], ...] = ()

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that ingest will write, in order."""
        return tuple(name for name, _ in (self.split_sources or self.shares))


@dataclass(frozen=True)
class Examples:
    """Rows ready for every later step, by split.

    On disk:

        <folder>/
        ├── Split-train/examples-00000.parquet     row groups of 100,000 rows
        └── Split-eval/examples-00000.parquet      same columns, same types

    Attributes:
        columns: Name and type ("int": int64, "float": double, "string": UTF-8), in file order.
        splits: Name and number of rows (at least one).
        source_digest: SHA-256 of the raw files, as `request_digest` computes it.
        split_digests: Split name and SHA-256 of its content (columns, and rows in order); the
            same for the same rows, however the source or the Parquet file encodes them.
    """

    columns: Columns
    splits: tuple[tuple[str, int], ...]
    source_digest: str
    split_digests: tuple[tuple[str, str], ...]


def ingest(
    request: IngestRequest, out_dir: Path, on_rows: Callable[[int], None] | None = None
) -> Examples:
    """Read the source once, and write every split.

    Args:
        request: What to read.
        out_dir: An existing folder that nobody else reads yet. What was written stays there
            when this raises; the caller throws the folder away.
        on_rows: Called with the number of rows done so far, about every 100,000. It starts
            again from zero when a late value makes the reader start again.

    Raises:
        ConfigError: The request contradicts itself or the data's columns.
        DataError: The data is missing, malformed, empty or changing; or a split has no row.
        StorageError: `out_dir` cannot be written.
    """
    check_request(request)
    files = _files_by_split(request)
    every_file = [path for paths in files.values() for path in paths]
    stamps = _stamps(every_file)
    options = ReadOptions(request.delimiter, request.null_values, dict(request.column_types))
    source = open_source(every_file, options)
    if request.type_hints:
        there = {name for name, _ in source.columns}
        hints = {name: kind for name, kind in request.type_hints if name in there}
        options = replace(options, column_types={**hints, **options.column_types})
        source = open_source(every_file, options)
    check_key(request.split_key, [name for name, _ in source.columns])
    digest = request_digest(request)
    written = _write(request, source, files, out_dir, on_rows or _ignore)
    if _stamps(every_file) != stamps:
        raise DataError(
            "The source changed while it was read",
            received="another size or modification time than at the start",
            expected="files that are complete",
            next_step="run again when the files are whole",
        )
    return Examples(
        columns=source.columns,
        splits=tuple((name, split.rows) for name, split in written.items()),
        source_digest=digest,
        split_digests=tuple((name, split.digest) for name, split in written.items()),
    )


def request_digest(request: IngestRequest) -> str:
    """The digest of the raw files that a request names, without reading them as data.

    Returns:
        `source_digest` of the files; with `split_sources`, SHA-256 over each split's name and
        digest, so that swapping two splits is a change.

    Raises:
        DataError: A file is missing or cannot be read.
    """
    files = _files_by_split(request)
    if not request.split_sources:
        return source_digest(files[None])
    lines = [f"{name}:{source_digest(paths)}\n" for name, paths in files.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_request(request: IngestRequest) -> None:
    """Refuse a request that no data could satisfy.

    Raises:
        ConfigError: Says which part.
    """
    failed = ""
    received = ""
    names = request.split_names
    if (request.source is None) == (not request.split_sources):
        failed, received = "The source of the data is not clear", f"source {request.source!r}"
        received += f" and {len(request.split_sources)} split sources"
    elif not names or len(set(names)) != len(names):
        failed, received = "The splits are not distinct", str(names)
    elif bad := [name for name in names if not _SPLIT_NAME.fullmatch(name)]:
        failed, received = "A split's name cannot be a folder's name", repr(bad[0])
    elif bad := [n for n, w in request.shares if not (math.isfinite(w) and w > 0)]:
        failed, received = f"The share of split '{bad[0]}' is not above 0", str(request.shares)
    elif len(request.delimiter) != 1 or request.delimiter in '"\r\n':
        failed, received = "The delimiter is not one character", repr(request.delimiter)
    elif request.split_sources and request.split_key:
        failed, received = "A split key does nothing for data that comes split", "both"
    if failed:
        raise ConfigError(
            failed,
            received=received,
            expected="one source with shares above 0 by split name, or one source a split; "
            "split names of letters, digits, '_' and '-'",
            next_step="correct the data section of project.yaml",
        )


def _files_by_split(request: IngestRequest) -> dict[str | None, tuple[Path, ...]]:
    """The files of each split; under None those that are to be split by hash."""
    if request.source is not None:
        return {None: find_files(request.source)}
    return {name: find_files(source) for name, source in request.split_sources}


def _write(
    request: IngestRequest,
    source: Source,
    files: dict[str | None, tuple[Path, ...]],
    out_dir: Path,
    on_rows: Callable[[int], None],
) -> dict[str, WrittenSplit]:
    from mlproject.examples.split_writer import SplitRule, write_splits

    rule = SplitRule(dict(request.shares), request.split_key)
    names = request.split_names
    while True:
        try:
            batches = _with_split(source, files)
            written = write_splits(batches, names, rule, source.columns, out_dir, on_rows)
        except TypesWidened:
            for name in names:
                shutil.rmtree(out_dir / f"Split-{name}", ignore_errors=True)
            continue
        _check_rows(request, written)
        return written


def _with_split(
    source: Source, files: dict[str | None, tuple[Path, ...]]
) -> Iterator[tuple[str | None, pa.RecordBatch]]:
    for split, paths in files.items():
        for batch in source.batches(paths):
            yield split, batch


def _check_rows(request: IngestRequest, written: Mapping[str, WrittenSplit]) -> None:
    counts = {name: split.rows for name, split in written.items()}
    total = sum(counts.values())
    empty = [name for name, rows in counts.items() if not rows]
    if not total:
        raise DataError(
            "The source has no rows",
            received="a header only" if request.source else "headers only",
            expected="at least one row for each split",
            next_step="check the export that wrote the data",
        )
    if empty:
        raise DataError(
            f"Split '{empty[0]}' has no rows",
            received=", ".join(f"{name}: {rows:,} rows" for name, rows in counts.items()),
            expected="at least one row for each split",
            next_step="add data, give the split a larger share, or choose a split key "
            "with more values"
            if request.source
            else f"add data to the source of '{empty[0]}'",
        )


def _stamps(files: Iterable[Path]) -> list[tuple[int, int]]:
    """Size and modification time of files, to tell whether they change."""
    stamps = []
    for path in files:
        try:
            stat = path.stat()
        except OSError as err:
            raise unreadable(path, err) from err
        stamps.append((stat.st_size, stat.st_mtime_ns))
    return stamps


def _ignore(rows: int) -> None:
    """Stands in for a caller who does not follow the progress."""
