"""Examples written back out: as TFRecord of `tf.train.Example`, Parquet or CSV.

<out>/Split-train/data_tfrecord-00000-of-00001.gz     named as TFX names them
<out>/Split-train/examples-00000.parquet
<out>/Split-train/examples-00000.csv
<out>/span-12/Split-train/...                         with spans
"""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mlproject.artifacts import translate_os_errors
from mlproject.errors import ConfigError, DataError, StorageError, closest
from mlproject.examples.reader import read_batches, to_example_batch

EXPORT_FORMATS = ("tfrecord", "parquet", "csv")
_BATCH_ROWS = 20_000
_MASK_DELTA = 0xA282EAD8


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written.

    Attributes:
        path: The file.
        rows: Its rows.
    """

    path: Path
    rows: int


def export_examples(
    files: Sequence[tuple[str, Path, int | None]],
    kind: str,
    out_dir: Path,
    *,
    replace: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> list[ExportedFile]:
    """Writes Examples to a folder of their own, whole or not at all.

    What a format cannot hold is refused (lists and bytes in CSV) or said here: a TFRecord holds
    float32; a CSV file has no empty string beside the missing value, and a list without a value is
    a missing one everywhere.

    Args:
        files: Split, its file of Examples, and the file's span (None where there are none).
        kind: One of `EXPORT_FORMATS`.
        out_dir: The folder; it must not exist, or be empty.
        replace: Replace a folder that exists.
        on_rows: Told the rows written so far.

    Returns:
        What was written, in the order of `files`.

    Raises:
        ConfigError: The format is unknown, or the folder exists and is not empty.
        DataError: The Examples are damaged, or hold what the format cannot.
        StorageError: The folder cannot be written.
    """
    if kind not in EXPORT_FORMATS:
        raise ConfigError(
            "The format of an export is not known",
            received=kind,
            expected=closest(kind, EXPORT_FORMATS),
        )
    write = {"tfrecord": _write_tfrecord, "parquet": _write_parquet, "csv": _write_csv}[kind]
    written: list[ExportedFile] = []
    done = 0
    with _published(out_dir, replace) as aside:
        for split, source, span in files:
            folder = aside if span is None else aside / f"span-{span}"
            target = folder / f"Split-{split}" / _file_name(kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            rows = 0
            for rows in write(source, target):
                if on_rows:
                    on_rows(done + rows)
            done += rows
            written.append(ExportedFile(out_dir / target.relative_to(aside), rows))
    return written


def _file_name(kind: str) -> str:
    return "data_tfrecord-00000-of-00001.gz" if kind == "tfrecord" else f"examples-00000.{kind}"


@contextmanager
def _published(out_dir: Path, replace: bool) -> Iterator[Path]:
    """A folder beside the wanted one, renamed when everything in it is whole."""
    if out_dir.exists() and not replace and (out_dir.is_file() or any(out_dir.iterdir())):
        raise ConfigError(
            "The folder of the export exists",
            received=str(out_dir),
            expected="a folder that does not exist or is empty",
            next_step="name another one with --out, or add --replace",
        )
    aside = out_dir.with_name(f".{out_dir.name}-{uuid.uuid4().hex[:8]}")
    try:
        with translate_os_errors("Exporting the Examples", out_dir.parent):
            aside.mkdir(parents=True)
            yield aside
            old = aside.with_name(f"{aside.name}-replaced")
            if out_dir.exists():
                os.rename(out_dir, old)
            os.rename(aside, out_dir)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as err:
        raise StorageError(
            f"The export cannot be written to '{out_dir}'", received=err.strerror or str(err)
        ) from err
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_parquet(source: Path, target: Path) -> Iterator[int]:
    rows = 0
    writer = None
    try:
        for batch in read_batches(source):
            writer = writer or pq.ParquetWriter(target, batch.schema, compression="snappy")
            writer.write_batch(batch)
            rows += batch.num_rows
            yield rows
    finally:
        if writer is not None:
            writer.close()


def _write_csv(source: Path, target: Path) -> Iterator[int]:
    rows = 0
    writer = None
    try:
        for batch in read_batches(source):
            if writer is None:
                _check_flat(batch.schema)
                writer = pa_csv.CSVWriter(str(target), batch.schema)
            writer.write_batch(batch)
            rows += batch.num_rows
            yield rows
    finally:
        if writer is not None:
            writer.close()


def _check_flat(schema: pa.Schema) -> None:
    deep = [f for f in schema if pa.types.is_list(f.type) or pa.types.is_binary(f.type)]
    if deep:
        raise DataError(
            f"Column '{deep[0].name}' cannot stand in a CSV file",
            received=f"type {deep[0].type}",
            expected="numbers and text",
            next_step="export with --format parquet or --format tfrecord",
        )


def _write_tfrecord(source: Path, target: Path) -> Iterator[int]:
    from tfx_bsl.coders.example_coder import RecordBatchToExamples

    rows = 0
    with gzip.open(target, "wb", compresslevel=1) as file:
        for batch in read_batches(source, batch_rows=_BATCH_ROWS):
            records = RecordBatchToExamples(to_example_batch(batch))
            cast(IO[bytes], file).write(b"".join(_framed(record) for record in records))
            rows += batch.num_rows
            yield rows


def _framed(record: bytes) -> bytes:
    """A record in TFRecord's frame: length, its checksum, data, its checksum.

    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_crc(length), record, _masked_crc(record)))


def _masked_crc(data: bytes) -> bytes:
    import google_crc32c

    crc = google_crc32c.value(data)
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _MASK_DELTA) & 0xFFFFFFFF)
