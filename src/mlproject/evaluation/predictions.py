"""`predictions.parquet`: written batch by batch while models score, read back by column.

label          int8 (binary), int32 (multiclass), double (regression)
candidate      float, or a list of one float a class
champion       the same; only where there is a champion
slice COLUMN   the slice of the row by a raw column, as text
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlproject.evaluation.slicing import Slicing

LABEL = "label"


class PredictionsWriter:
    """Writes rows in batches; a context manager.

    Args:
        file: The file to write.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writer: pq.ParquetWriter | None = None

    def write(
        self,
        labels: np.ndarray,
        predictions: Mapping[str, np.ndarray],
        slices: Mapping[str, pa.DictionaryArray],
    ) -> None:
        """Appends rows.

        Args:
            labels: `[rows]`.
            predictions: Model -> `[rows]` or `[rows, classes] float32`.
            slices: Raw column -> the slice of each row.
        """
        columns = {LABEL: pa.array(labels)}
        columns |= {model: _to_arrow(values) for model, values in predictions.items()}
        columns |= {_slice_column(name): values for name, values in slices.items()}
        batch = pa.RecordBatch.from_pydict(columns)
        self._writer = self._writer or pq.ParquetWriter(self._file, batch.schema)
        self._writer.write_batch(batch)

    def __enter__(self) -> PredictionsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()


class Predictions:
    """The rows of `predictions.parquet`, one column at a time.

    Args:
        file: The file.
        slicing: The slices that it was written with.
    """

    def __init__(self, file: Path, slicing: Slicing) -> None:
        self._file = file
        self._slicing = slicing

    @property
    def labels(self) -> np.ndarray:
        """`[rows]`."""
        return self._column(LABEL).to_numpy(zero_copy_only=False)

    def of(self, model: str) -> np.ndarray:
        """`[rows]` or `[rows, classes] float32`: the predictions of `candidate` or `champion`."""
        column = self._column(model)
        if pa.types.is_fixed_size_list(column.type):
            return column.flatten().to_numpy().reshape(len(column), -1)
        return column.to_numpy()

    def slices(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every slice, by entry of `evaluation.slices` and falling size.

        Yields:
            Its name, and the numbers of its rows, rising. A bucket may have none.
        """
        for entry in self._slicing.entries:
            yield from self._slices_of(entry)

    def _slices_of(self, entry: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
        columns = [self._slicing.columns[name] for name in entry]
        sizes = [len(column.values) for column in columns]
        codes = np.ravel_multi_index([self._codes(name) for name in entry], sizes)
        order = np.argsort(codes, kind="stable")
        values, first, counts = np.unique(codes[order], return_index=True, return_counts=True)
        rows = {int(v): order[f : f + n] for v, f, n in zip(values, first, counts, strict=True)}
        if len(entry) == 1 and columns[0].edges is not None:
            rows |= {v: order[:0] for v in range(sizes[0]) if v not in rows}
        for value in sorted(rows, key=lambda value: (-len(rows[value]), value)):
            places = np.unravel_index(value, sizes)
            parts = zip(columns, places, strict=True)
            yield ",".join(f"{c.name}={c.values[int(at)]}" for c, at in parts), rows[value]

    def _codes(self, name: str) -> np.ndarray:
        """`[rows]`: the slice of each row by a column, as a code of the column's values."""
        column = self._column(_slice_column(name))
        known = pa.array(self._slicing.columns[name].values, pa.string())
        codes = pc.index_in(column.dictionary, value_set=known).to_numpy()
        found: np.ndarray = codes[column.indices.to_numpy()]
        return found

    def _column(self, name: str) -> pa.Array:
        column = pq.read_table(self._file, columns=[name]).column(0).unify_dictionaries()
        joined = column.combine_chunks()
        return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined


def _slice_column(name: str) -> str:
    return f"slice {name}"


def _to_arrow(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
