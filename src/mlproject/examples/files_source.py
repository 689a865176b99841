"""Files as a source: found, put in their splits and spans, and digested."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import DataError
from mlproject.examples.columns import Columns
from mlproject.examples.formats import (
    IMAGE_SUFFIXES,
    SUFFIXES,
    FileReader,
    ReadOptions,
    check_format,
    format_of,
    open_files,
)
from mlproject.examples.locations import Location, find_locations, local_path, nothing_found
from mlproject.examples.request import IngestRequest
from mlproject.examples.sources import Part, changed, summarise
from mlproject.examples.spans import Span, SpanPattern, Window, choose_spans, has_placeholders

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _FoundPart:
    split: str | None
    span: Span | None
    source: str
    files: tuple[Location, ...]


class FilesSource:
    """Files of one format.

    Args:
        request: Names the files, as `source` or as `split_sources`.

    Raises:
        ConfigError: A placeholder or the format cannot be used.
        DataError: Nothing is there, or files of several formats are.
    """

    def __init__(self, request: IngestRequest) -> None:
        check_format(request.format)
        wanted: tuple[tuple[str | None, str], ...] = request.split_sources
        if request.source is not None:
            wanted = ((None, request.source),)
        self._wanted = wanted
        self._parts = tuple(
            part
            for split, source in wanted
            for part in _find_parts(split, source, request.format, request.window)
        )
        self._kind = request.format or self._common_format()
        self._stamps = {file: file.stamp() for file in self._files}

    @property
    def uris(self) -> tuple[tuple[str | None, str], ...]:
        return self._wanted

    @property
    def spans(self) -> tuple[Span, ...]:
        """See `Source.spans`.

        Raises:
            DataError: The splits come in different spans.
        """
        by_split: dict[str | None, list[Span]] = defaultdict(list)
        for part in self._parts:
            if part.span is not None:
                by_split[part.split].append(part.span)
        windows = {tuple((s.number, s.dated) for s in spans): n for n, spans in by_split.items()}
        missing = len(by_split) not in (0, len(self._wanted))
        if len(windows) > 1 or missing:
            raise DataError(
                "The splits come in different spans",
                received="; ".join(
                    f"{name}: {', '.join(map(str, by_split[name])) or 'no spans'}"
                    for name, _ in self._wanted
                ),
                expected="the same spans in every split",
                next_step="wait for the data of all splits, or set data.span to a span they share",
            )
        return tuple(next(iter(by_split.values()), ()))

    def describe(self) -> str:
        """See `Source.describe`."""
        return summarise([file.path for file in self._files])

    def digest(self) -> str:
        """See `Source.digest`: of base names and contents, by split and span.

        Folders do not count, so data keeps its digest when it is moved as a whole.
        """
        digest = hashlib.sha256()
        for part in self._parts:
            span = (part.span.number, part.span.version) if part.span else None
            digest.update(f"{part.split}:{span}\n".encode())
            lines = sorted((file.name, file.digest()) for file in part.files)
            for name, content in lines:
                raw = name.encode("utf-8", "surrogateescape")
                digest.update(f"{len(raw)}:".encode() + raw + f":{content}\n".encode())
        return digest.hexdigest()

    def open(self, options: ReadOptions) -> FilesReader:
        """See `Source.open`."""
        self.spans  # noqa: B018 - raises where the splits disagree
        parts = tuple(
            Part(p.split, p.span, p.source, tuple(file.local() for file in p.files))
            for p in self._parts
        )
        files = [file for part in parts for file in part.files]
        return FilesReader(open_files(self._kind, files, options), parts)

    def check_unchanged(self) -> None:
        """See `Source.check_unchanged`."""
        for file, before in self._stamps.items():
            if file.stamp() != before:
                raise changed(
                    f"'{file.path}' has another size, time or generation than at the start",
                    "files that are complete",
                )

    @property
    def _files(self) -> Sequence[Location]:
        return [file for part in self._parts for file in part.files]

    def _common_format(self) -> str:
        formats = {format_of(file.name): file for file in reversed(self._files)}
        if len(formats) != 1:
            raise DataError(
                "The files of the source have different formats",
                received=", ".join(sorted(f"'{file.path}'" for file in formats.values())),
                expected="files of one format, such as CSV files only",
                next_step="name the files with a glob, such as 'FOLDER/*.csv', or set data.format",
            )
        return next(iter(formats))


class FilesReader:
    """Opened files.

    Args:
        reader: Reads the format.
        parts: The parts, their files on this machine.
    """

    def __init__(self, reader: FileReader, parts: tuple[Part, ...]) -> None:
        self._reader = reader
        self._parts = parts

    @property
    def columns(self) -> Columns:
        return self._reader.columns

    @property
    def parts(self) -> tuple[Part, ...]:
        return self._parts

    def batches(self, part: Part) -> Iterator[pa.RecordBatch]:
        """See `Reader.batches`."""
        return self._reader.batches(part.files)


def find_files(source: str, kind: str = "") -> tuple[Location, ...]:
    """The data files of a source without placeholders, sorted by path.

    Args:
        source: A file, a folder (its data files, not those of its subfolders) or a glob. Hidden
            files, and files of a folder or glob without a data suffix, are left out.
        kind: The format; "" to go by suffix. Of images a folder's class folders are searched.

    Raises:
        ConfigError: The URI is of a kind that is not known.
        DataError: There is nothing, or nothing that can be read.
    """
    found = find_locations(source)
    if kind:  # declared: files without a suffix count too, where none has the suffix
        data = tuple(file for file in found if format_of(file.name) == kind)
        data = data or (() if kind == "images" else found)
    else:
        data = tuple(file for file in found if format_of(file.name))
    if data and format_of(data[0].name) == "images" and _is_local_folder(source):
        raise DataError(
            "The images are not in class folders",
            received=f"images that lie directly in '{source}', first '{data[0].path}'",
            expected="a folder for each class in the source: SOURCE/cat/1.png, SOURCE/dog/2.png",
            next_step="put the images of each class in a folder that is named as the class",
        )
    if not data and kind in ("", "images"):
        in_folders = find_locations(f"{source.rstrip('/')}/*/*")
        data = tuple(file for file in in_folders if format_of(file.name) == "images")
    if not data:
        raise nothing_found(source, found, IMAGE_SUFFIXES if kind == "images" else (*SUFFIXES,))
    return data


def _is_local_folder(source: str) -> bool:
    return not source.startswith("gs://") and Path(local_path(source)).is_dir()


def _find_parts(split: str | None, source: str, kind: str, window: Window) -> Iterator[_FoundPart]:
    if not has_placeholders(source):
        yield _FoundPart(split, None, source, find_files(source, kind))
        return
    by_span = _files_by_span(source, kind) or _files_by_span(f"{source.rstrip('/')}/*", kind)
    for span in choose_spans(by_span, window, source):
        yield _FoundPart(split, span, source, tuple(by_span[span]))


def _files_by_span(source: str, kind: str) -> dict[Span, list[Location]]:
    remote = source.startswith("gs://")
    pattern = SpanPattern(source if remote else str(Path(local_path(source))))
    by_span: dict[Span, list[Location]] = defaultdict(list)
    for file in find_locations(pattern.glob):
        span = pattern.span_of(file.path)
        if span is not None and (kind or format_of(file.name)):
            by_span[span].append(file)
    return by_span
