"""A registered model over files: rows in, the same rows with predictions out, as Parquet.

One part for each input file, in `bulk_folder`. Memory does not grow with the files.

Imports pyarrow: it is imported where there are files to read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, DataError
from mlproject.examples.files_source import find_files
from mlproject.examples.formats import ReadOptions
from serving.bulk_folder import BulkFolder, open_folder
from serving.bulk_part import PartWriter
from serving.bulk_signature import ModelColumns, model_columns

if TYPE_CHECKING:
    from mlproject.examples.locations import Location

BATCH_ROWS = 8_192

OnRows = Callable[[int, int, int], None]


@dataclass(frozen=True)
class BulkRequest:
    """What is asked.

    Attributes:
        model: Its name and version, `taxi/3`.
        saved_model: The SavedModel's folder.
        model_digest: What it is known by, so that no other model goes on with its predictions.
        sources: Files, folders, globs, of this machine or `gs://`.
        out: The folder of the predictions.
        signature: The signature to run.
        kept: Columns of the input that stand beside the predictions; None for all of them.
        options: How raw files are read; types of columns that a file lacks do not count.
        file_format: The format of all files; "" to go by suffix.
        default_format: Of files whose suffix tells none.
        batch_rows: Rows that the model is given at a time.
        allow_missing: Read a column that is not there as missing values.
    """

    model: str
    saved_model: Path
    model_digest: str
    sources: tuple[str, ...]
    out: Path
    signature: str = "serving_default"
    kept: tuple[str, ...] | None = None
    options: ReadOptions = ReadOptions()  # noqa: RUF009 - frozen
    file_format: str = ""
    default_format: str = ""
    batch_rows: int = BATCH_ROWS
    allow_missing: bool = False


@dataclass(frozen=True)
class BulkResult:
    """What was done.

    Attributes:
        parts: File of predictions -> its input file and rows.
        rows: All of them, those of an earlier run too.
        written: Rows of this run.
        resumed: Parts that an earlier run had written.
        seconds: Wall seconds of this run.
        manifest: What `_manifest.json` says.
    """

    parts: Mapping[str, Mapping[str, Any]]
    rows: int
    written: int
    resumed: int
    seconds: float
    manifest: Mapping[str, Any]

    @property
    def rows_per_s(self) -> float:
        """Rows of this run by its wall seconds, loading the model included."""
        return self.written / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class BulkJob:
    """A request whose folder is held."""

    request: BulkRequest
    files: Sequence[Location]
    folder: BulkFolder
    model: ModelColumns

    def run(self, on_rows: OnRows | None = None) -> BulkResult:
        """Writes the parts that are missing, then the manifest.

        Args:
            on_rows: Told the number of files done, of all files, and this run's rows so far.

        Raises:
            DataError: A file cannot be read, or lacks a column that the model takes.
            ServingError: The model does not load, or refuses rows.
            StorageError: The predictions cannot be written.
        """
        began = time.monotonic()
        made_of = {
            f"part-{number:05d}.parquet": (file, self.folder.made_of(file.path, _stamp(file)))
            for number, file in enumerate(self.files)
        }
        finished = {part: self.folder.finished(part, made) for part, (_, made) in made_of.items()}
        left = [part for part, rows in finished.items() if rows is None]
        counts = {part: rows for part, rows in finished.items() if rows is not None}
        if left:
            self.folder.forget_manifest()
            self._write_parts({part: made_of[part] for part in left}, counts, on_rows)
        parts = {
            part: {"source": file.path, "rows": counts[part]} for part, (file, _) in made_of.items()
        }
        rows = sum(counts.values())
        return BulkResult(
            parts=parts,
            rows=rows,
            written=sum(counts[part] for part in left),
            resumed=len(parts) - len(left),
            seconds=time.monotonic() - began,
            manifest=self.folder.write_manifest(parts, rows),
        )

    def _write_parts(
        self,
        left: Mapping[str, tuple[Location, Mapping[str, str]]],
        counts: dict[str, int],
        on_rows: OnRows | None,
    ) -> None:
        from mlproject.saved_model import open_signature

        done, written = len(counts), 0
        with open_signature(self.request.saved_model, self.request.signature) as predict:
            for part, (file, made_of) in left.items():

                def tell(rows: int, done: int = done, before: int = written) -> None:
                    if on_rows:
                        on_rows(done, len(self.files), before + rows)

                writer = PartWriter(self.request, self.model, predict, file)
                with self.folder.writing(part) as aside:
                    counts[part] = writer.write(aside, made_of, tell)
                done, written = done + 1, written + counts[part]
                if on_rows:
                    on_rows(done, len(self.files), written)


@contextmanager
def open_job(request: BulkRequest, *, replace: bool = False) -> Iterator[BulkJob]:
    """Finds the files, and holds the folder.

    Args:
        request: What is asked.
        replace: Remove another request's predictions from the folder.

    Raises:
        BusyError: Another run writes there.
        ConfigError: The folder holds another request's predictions, or an option is wrong.
        DataError: There are no files.
        ServingError: The model has no such signature, or one that takes no columns.
    """
    if request.batch_rows < 1:
        raise ConfigError(
            "Reading --batch-rows failed", received=str(request.batch_rows), expected="1 or more"
        )
    model = model_columns(request.saved_model, request.signature)
    files = [file for source in request.sources for file in _find(source, request)]
    with open_folder(request.out, _asked(request, files), replace=replace) as folder:
        yield BulkJob(request, files, folder, model)


def _find(source: str, request: BulkRequest) -> tuple[Location, ...]:
    try:
        return find_files(source, request.file_format)
    except DataError:
        if request.file_format or not request.default_format:
            raise
        return find_files(source, request.default_format)


def _asked(request: BulkRequest, files: Sequence[Location]) -> dict[str, Any]:
    """What makes a request another one: the model, the files by their names, the options."""
    return {
        "model": request.model,
        "model_digest": request.model_digest,
        "signature": request.signature,
        "files": [file.path for file in files],
        "keep": None if request.kept is None else list(request.kept),
        "format": request.file_format,
        "delimiter": request.options.delimiter,
        "null_values": list(request.options.null_values),
        "column_types": dict(request.options.column_types),
        "allow_missing": request.allow_missing,
    }


def _stamp(file: Location) -> str:
    return " ".join(map(str, file.stamp()))
