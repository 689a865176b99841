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
from mlproject.examples.splits import Hashes, hash_rows, splits_of_hashes

EXAMPLES_FILE = "examples-00000.parquet"


@dataclass(frozen=True)
class WrittenSplit:
    """What was written of one split.

    Attributes:
        rows: Its rows.
        digest: SHA-256 of the columns and of the row hashes in order.
    """

    rows: int
    digest: str


@dataclass(frozen=True)
class SplitRule:
    """How rows are split that do not come split.

    Attributes:
        shares: Relative weight of each split, in order.
        key: Columns that decide; empty: all.
    """

    shares: Mapping[str, float]
    key: tuple[str, ...] = ()


def write_splits(
    batches: Iterable[tuple[str | None, pa.RecordBatch]],
    names: Sequence[str],
    rule: SplitRule,
    columns: Columns,
    out_dir: Path,
    on_rows: Callable[[int], None],
) -> dict[str, WrittenSplit]:
    """Write every split in one pass over the batches.

    Args:
        batches: Each with the split it belongs to, or None to split it by `rule`.
        names: The splits, in order.
        rule: For batches without a split.
        columns: Of every batch.
        out_dir: Gets a `Split-<name>` folder for each split.
        on_rows: Called with the rows done so far after every batch.

    Raises:
        StorageError: The disk refuses.
    """
    with ExitStack() as stack:
        writers: dict[str, SplitWriter] = {}
        for name in names:
            writers[name] = SplitWriter(out_dir / f"Split-{name}", columns)
            stack.callback(writers[name].abandon)
        done = 0
        for split, batch in batches:
            hashes = hash_rows(batch)
            if split is not None:
                writers[split].write(batch, hashes)
            else:
                keys = hash_rows(batch, rule.key) if rule.key else hashes
                numbers = splits_of_hashes(keys, rule.shares)
                for number, name in enumerate(rule.shares):
                    chosen = np.flatnonzero(numbers == number)
                    writers[name].write(batch.take(pa.array(chosen)), hashes[chosen])
            done += batch.num_rows
            on_rows(done)
        return {name: WrittenSplit(w.rows, w.finish()) for name, w in writers.items()}


class SplitWriter:
    """Writes `Split-<name>/examples-00000.parquet`.

    The file depends on the rows and their order only, not on the batches they came in.

    Args:
        folder: The split's folder; it is made.
        columns: Of every batch to come.

    Attributes:
        rows: Rows written so far.

    Raises:
        StorageError: The disk refuses.
    """

    def __init__(self, folder: Path, columns: Columns) -> None:
        self.rows = 0
        self._path = folder / EXAMPLES_FILE
        self._digest = hashlib.sha256(repr(columns).encode())
        self._rebatcher = Rebatcher(BATCH_ROWS)
        with self._storage_errors():
            folder.mkdir(parents=True)
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
