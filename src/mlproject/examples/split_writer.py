"""Splits on disk: Parquet in even row groups, written as rows arrive."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlproject.errors import StorageError
from mlproject.examples.batches import BATCH_ROWS, Rebatcher
from mlproject.examples.columns import Columns, arrow_schema
from mlproject.examples.sources import Part
from mlproject.examples.spans import Span
from mlproject.examples.split_rules import SplitRule
from mlproject.examples.splits import Hashes, hash_rows

EXAMPLES_FILE = "examples-00000.parquet"


@dataclass(frozen=True)
class WrittenPart:
    """What was written of one split, or of one span of it.

    Attributes:
        rows: Its rows.
        digest: SHA-256 of the columns and of the row hashes in order.
    """

    rows: int
    digest: str


def examples_file(span: Span | None) -> str:
    """The name of the file that holds a span's rows; names sort as spans do."""
    return EXAMPLES_FILE if span is None else f"span-{span.number:010d}.parquet"


def write_splits(
    batches: Iterable[tuple[Part, pa.RecordBatch]],
    names: Sequence[str],
    rule: SplitRule,
    columns: Columns,
    out_dir: Path,
    on_rows: Callable[[int], None],
) -> dict[str, dict[Span | None, WrittenPart]]:
    """Write every split in one pass over the batches.

    Args:
        batches: Each with the part of the source that it comes from, which names its split or
            leaves it to `rule`; the spans of a split in rising order.
        names: The splits, in order.
        rule: For batches without a split.
        columns: Of every batch.
        out_dir: Gets a `Split-<name>` folder for each split.
        on_rows: Called with the rows done so far after every batch.

    Returns:
        Split -> span (None where the source has none) -> what was written; nothing is written of a
        span without a row.

    Raises:
        StorageError: The disk refuses, or a split's folder holds files.
    """
    for name in names:
        _check_free(out_dir / f"Split-{name}")
    written: dict[str, dict[Span | None, WrittenPart]] = {name: {} for name in names}
    with ExitStack() as stack:
        writers: dict[tuple[str, Span | None], SplitWriter] = {}

        def append(name: str, span: Span | None, rows: pa.RecordBatch, hashes: Hashes) -> None:
            if (name, span) not in writers:
                file = out_dir / f"Split-{name}" / examples_file(span)
                writers[name, span] = SplitWriter(file, columns)
                stack.callback(writers[name, span].abandon)
            writers[name, span].write(rows, hashes)

        done = 0
        for part, batch in batches:
            hashes = hash_rows(batch)
            if part.split is not None:
                append(part.split, part.span, batch, hashes)
            else:
                numbers = rule.assign(batch, hashes)
                for number, name in enumerate(rule.names):
                    chosen = np.flatnonzero(numbers == number)
                    if len(chosen):
                        rows = batch.take(pa.array(chosen))
                        append(name, part.span, rows, hashes[chosen])
            done += batch.num_rows
            on_rows(done)
        for (name, span), writer in writers.items():
            written[name][span] = WrittenPart(writer.rows, writer.finish())
    return written


def _check_free(folder: Path) -> None:
    """Refuse a folder with files in it: a later step would read them as rows of the split."""
    if folder.is_dir() and any(folder.iterdir()):
        raise StorageError(
            f"'{folder}' holds files already",
            received=f"'{next(folder.iterdir()).name}'",
            expected="a folder that does not exist yet, or is empty",
            next_step="ingest into another folder, or remove this one",
        )


def digest_of_parts(parts: Mapping[Span | None, WrittenPart]) -> str:
    """The digest of a split: that of its one part, or of all its spans'."""
    if list(parts) == [None]:
        return parts[None].digest
    lines = [f"{span.number if span else None}:{part.digest}\n" for span, part in parts.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class SplitWriter:
    """Writes one Parquet file of a split.

    The file depends on the rows and their order only, not on the batches they came in.

    Args:
        path: The file; its folder is made.
        columns: Of every batch to come.

    Attributes:
        rows: Rows written so far.

    Raises:
        StorageError: The disk refuses.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.rows = 0
        self._path = path
        self._digest = hashlib.sha256(repr(sorted(columns)).encode())
        self._rebatcher = Rebatcher(BATCH_ROWS)
        with self._storage_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(self._path), "wb")
            self._parquet = pq.ParquetWriter(self._sink, arrow_schema(columns), compression="lz4")

    def write(self, batch: pa.RecordBatch, hashes: Hashes) -> None:
        """Append rows.

        Args:
            batch: The rows.
            hashes: `[rows] uint64`, from `hash_rows` over all columns.

        Raises:
            StorageError: The disk refuses.
        """
        self.rows += batch.num_rows
        self._digest.update(hashes.astype("<u8", copy=False).tobytes())
        for full in self._rebatcher.push(batch):
            self._write_row_group(full)

    def finish(self) -> str:
        """Write what is left and close the file.

        Returns:
            The split's content digest.

        Raises:
            StorageError: The disk refuses.
        """
        for last in self._rebatcher.rest():
            self._write_row_group(last)
        with self._storage_errors():
            self._parquet.close()
            self._sink.close()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Close the file as it is; does nothing after `finish`."""
        with suppress(OSError, pa.ArrowException):
            self._parquet.close()
        with suppress(OSError, pa.ArrowException):
            self._sink.close()

    def _write_row_group(self, batch: pa.RecordBatch) -> None:
        with self._storage_errors():
            self._parquet.write_table(pa.Table.from_batches([batch]), row_group_size=BATCH_ROWS)

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise StorageError(
                f"'{self._path}' cannot be written",
                received=err.strerror or str(err),
                expected="a folder with room for the examples",
                next_step="free space or mend the folder's permissions, then run again: nothing "
                "was published",
            ) from err
