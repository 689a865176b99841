"""Ingest: from a source of raw data to Examples, in one pass."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import DataError
from mlproject.examples.columns import LIST, Columns
from mlproject.examples.formats import ReadOptions, TypesWidened
from mlproject.examples.request import IngestRequest, check_request
from mlproject.examples.sources import Part, Reader, Source, find_source
from mlproject.examples.spans import Span
from mlproject.examples.split_rules import check_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from mlproject.examples.split_writer import WrittenPart

MAX_NAMED_FILES = 100


@dataclass(frozen=True)
class Skipped:
    """Files that could not be read and were passed over.

    Attributes:
        count: How many.
        named: File and reason, of the first 100.
    """

    count: int = 0
    named: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ExamplesFile:
    """One file of the Examples: a split, or one span of it.

    Attributes:
        split: The split.
        name: The file's name in the split's folder.
        span: The span, or None where the source has none.
        rows: Its rows, at least one.
        digest: SHA-256 of the columns and of the rows' content in order.
    """

    split: str
    name: str
    span: Span | None
    rows: int
    digest: str


@dataclass(frozen=True)
class Examples:
    """Rows ready for every later step, by split.

    On disk:

        <folder>/
        ├── Split-train/examples-00000.parquet     row groups of 100,000 rows
        └── Split-eval/examples-00000.parquet      same columns, same types

    or, of a source with spans, one file for each span, named by its number, so that the order of
    the names is the order of the spans:

        <folder>/
        ├── Split-train/span-0000000011.parquet
        ├── Split-train/span-0000000012.parquet
        └── ...

    Attributes:
        columns: Name and type (`columns.COLUMN_TYPES`), in file order.
        splits: Name and number of rows (at least one).
        source_digest: Hash of the raw data, as `sources.Source.digest` computes it.
        split_digests: Split name and SHA-256 of its content (columns, and rows in order); the
            same for the same rows, however the source or the Parquet file encodes them.
        spans: The spans, in rising order; empty where the source has none.
        files: What was written; nothing of a span that gave a split no row.
        skipped: Files that were passed over.
    """

    columns: Columns
    splits: tuple[tuple[str, int], ...]
    source_digest: str
    split_digests: tuple[tuple[str, str], ...]
    spans: tuple[Span, ...] = ()
    files: tuple[ExamplesFile, ...] = ()
    skipped: Skipped = Skipped()


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
    source = find_source(request)
    digest = source.digest()
    skipped: dict[str, str] = {}

    def skip(file: Path, reason: str) -> None:
        skipped[str(file)] = reason

    options = ReadOptions(
        request.delimiter,
        request.null_values,
        dict(request.column_types),
        request.images,
        skip if request.on_bad_file == "skip" else None,
    )
    reader = _open(source, options, request)
    written = _write(request, reader, out_dir, on_rows or _ignore)
    source.check_unchanged()
    names = request.split_names
    return Examples(
        columns=_stored_columns(reader.columns, request),
        splits=tuple((n, sum(p.rows for p in written[n].values())) for n in names),
        source_digest=digest,
        split_digests=tuple((name, _digest_of(written[name])) for name in names),
        spans=source.spans,
        files=tuple(_files(names, written)),
        skipped=Skipped(len(skipped), tuple(sorted(skipped.items())[:MAX_NAMED_FILES])),
    )


def _open(source: Source, options: ReadOptions, request: IngestRequest) -> Reader:
    reader = source.open(options)
    if request.type_hints:
        found = dict(reader.columns)
        hints = {n: _hinted(kind, found[n]) for n, kind in request.type_hints if n in found}
        options = replace(options, column_types={**hints, **options.column_types})
        reader = source.open(options)
    columns = dict(_stored_columns(reader.columns, request))
    if not request.split_sources:
        check_columns(request.rule, columns)
    return reader


def _hinted(hint: str, found: str) -> str:
    """A schema tells int, float and text apart, but neither text from bytes nor one from many."""
    if hint.endswith(LIST):
        return hint
    scalar = found.removesuffix(LIST)
    kind = scalar if (hint, scalar) == ("string", "bytes") else hint
    return kind + found[len(scalar) :]


def _write(
    request: IngestRequest, reader: Reader, out_dir: Path, on_rows: Callable[[int], None]
) -> Mapping[str, Mapping[Span | None, WrittenPart]]:
    from mlproject.examples.split_writer import write_splits

    names = request.split_names
    while True:
        columns = _stored_columns(reader.columns, request)
        batches = _with_part(reader, request)
        try:
            written = write_splits(batches, names, request.rule, columns, out_dir, on_rows)
        except TypesWidened:
            for name in names:
                shutil.rmtree(out_dir / f"Split-{name}", ignore_errors=True)
            continue
        _check_rows(request, {n: sum(p.rows for p in written[n].values()) for n in names})
        return written


def _with_part(reader: Reader, request: IngestRequest) -> Iterator[tuple[Part, pa.RecordBatch]]:
    from mlproject.examples.batches import settle, with_span

    for part in reader.parts:
        for batch in reader.batches(part):
            settled = settle(batch)
            if request.span_column and part.span:
                settled = with_span(settled, request.span_column, part.span.number)
            yield part, settled


def _stored_columns(columns: Columns, request: IngestRequest) -> Columns:
    return (*columns, (request.span_column, "int")) if request.span_column else columns


def _files(
    names: Sequence[str], written: Mapping[str, Mapping[Span | None, WrittenPart]]
) -> Iterator[ExamplesFile]:
    from mlproject.examples.split_writer import examples_file

    for name in names:
        for span, part in written[name].items():
            yield ExamplesFile(name, examples_file(span), span, part.rows, part.digest)


def _digest_of(parts: Mapping[Span | None, WrittenPart]) -> str:
    from mlproject.examples.split_writer import digest_of_parts

    return digest_of_parts(parts)


def _check_rows(request: IngestRequest, counts: Mapping[str, int]) -> None:
    total = sum(counts.values())
    empty = [name for name, rows in counts.items() if not rows]
    if not total:
        raise DataError(
            "The source has no rows",
            received="headers only" if request.split_sources else "a header only, or nothing",
            expected="at least one row for each split",
            next_step="check the export that wrote the data",
        )
    if empty:
        raise DataError(
            f"Split '{empty[0]}' has no rows",
            received=", ".join(f"{name}: {rows:,} rows" for name, rows in counts.items()),
            expected="at least one row for each split",
            next_step=f"add data to the source of '{empty[0]}'"
            if request.split_sources
            else "add data, give the split a larger share, or choose a split rule with more values",
        )


def _ignore(rows: int) -> None:
    """Stands in for a caller who does not follow the progress."""
