"""Transformed rows of a split: read from Parquet, or made of the Examples on the fly."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlproject.errors import DataError, closest
from mlproject.transform import GRAPH_FOLDER, TransformGraph
from mlproject.transform.application import APPLY_ROWS, SHAPE, transformed_batches

if TYPE_CHECKING:
    import pyarrow as pa

READ_ROWS = 262_144
ON_THE_FLY = "on_the_fly.json"

Piece = tuple[Path, list[int]]
"""A file and some of its row groups."""


class TransformedRows(Protocol):
    """The transformed rows of one split."""

    @property
    def files(self) -> tuple[str, ...]:
        """The Parquet files that hold them; empty where they are made on the fly."""

    @property
    def piece_rows(self) -> list[int]:
        """Rows of each piece that `columns` yields."""

    def columns(self, rng: np.random.Generator | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Reads the rows in pieces of some 262,144.

        Args:
            rng: Shuffles the order of the pieces.

        Yields:
            Column name -> array `[rows, ...]`.
        """

    def first(self) -> dict[str, np.ndarray]:
        """The first row, which tells names, types and shapes."""


def point_to_examples(out_dir: Path, examples_dir: Path, module_path: Path) -> None:
    """Notes in a transform artifact where the Examples are that its rows are made of on the fly.

    Args:
        out_dir: The artifact's folder.
        examples_dir: The folder of the Examples.
        module_path: The module file, for messages.
    """
    there = os.path.relpath(examples_dir, out_dir)  # the pipeline root may be moved
    note = {"examples": there, "module": str(module_path)}
    (out_dir / ON_THE_FLY).write_text(json.dumps(note), encoding="utf-8")


def open_transformed(transformed_dir: Path, split: str) -> TransformedRows:
    """The transformed rows of a split.

    Args:
        transformed_dir: Folder of the transform artifact.
        split: The split.

    Raises:
        DataError: There is no such split.
    """
    pointer = transformed_dir / ON_THE_FLY
    where = transformed_dir
    if pointer.exists():
        note = json.loads(pointer.read_text(encoding="utf-8"))
        where = transformed_dir / note["examples"]
    folder = where / f"Split-{split}"
    if not folder.is_dir():
        there = [p.name.removeprefix("Split-") for p in where.glob("Split-*")]
        raise DataError(
            "Reading the training rows failed",
            received=f"split '{split}'",
            expected=closest(split, there),
        )
    if pointer.exists():
        return OnTheFly(folder, transformed_dir / GRAPH_FOLDER, Path(note["module"]))
    return Materialized(sorted(folder.glob("*.parquet")))


class Materialized:
    """Transformed rows in Parquet files: columns become arrays, no row is parsed.

    Args:
        paths: The files, in row order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(map(str, self._paths))

    @property
    def piece_rows(self) -> list[int]:
        return [rows for _, rows in self._pieces]

    def columns(self, rng: np.random.Generator | None = None) -> Iterator[dict[str, np.ndarray]]:
        """See `TransformedRows.columns`."""
        for piece, _ in _ordered(self._pieces, rng):
            yield _to_numpy(_read_piece(piece))

    def first(self) -> dict[str, np.ndarray]:
        """See `TransformedRows.first`."""
        import pyarrow.parquet as pq

        return _to_numpy(next(pq.ParquetFile(self._paths[0]).iter_batches(batch_size=1)))

    @cached_property
    def _pieces(self) -> list[tuple[Piece, int]]:
        return _pieces(self._paths)


class OnTheFly:
    """Transformed rows that the graph makes of the Examples while they are read.

    Args:
        split_dir: A split of the Examples.
        graph_dir: The transform graph.
        module_path: The module file, for messages.
    """

    files: tuple[str, ...] = ()

    def __init__(self, split_dir: Path, graph_dir: Path, module_path: Path) -> None:
        self._split_dir = split_dir
        self._graph = TransformGraph(graph_dir)
        self._module_path = module_path

    @property
    def piece_rows(self) -> list[int]:
        return [rows for _, rows in self._pieces]

    def columns(self, rng: np.random.Generator | None = None) -> Iterator[dict[str, np.ndarray]]:
        """See `TransformedRows.columns`."""
        for piece, _ in _ordered(self._pieces, rng):
            raw = _read_piece(piece, list(self._graph.raw_specs)).to_batches(APPLY_ROWS)
            parts = [_to_numpy(b) for b in transformed_batches(raw, self._graph, self._module_path)]
            yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def first(self) -> dict[str, np.ndarray]:
        """See `TransformedRows.first`."""
        from mlproject.examples.reader import read_batches

        raw = next(read_batches(self._split_dir, list(self._graph.raw_specs), 1))
        return _to_numpy(next(transformed_batches([raw], self._graph, self._module_path)))

    @cached_property
    def _pieces(self) -> list[tuple[Piece, int]]:
        from mlproject.examples.reader import split_files

        return _pieces(split_files(self._split_dir))


def _ordered(
    pieces: list[tuple[Piece, int]], rng: np.random.Generator | None
) -> Iterator[tuple[Piece, int]]:
    order = rng.permutation(len(pieces)) if rng is not None else range(len(pieces))
    return (pieces[index] for index in order)


def _pieces(paths: Sequence[Path]) -> list[tuple[Piece, int]]:
    """Row groups, joined in file order to pieces of up to READ_ROWS rows, and their rows."""
    import pyarrow.parquet as pq

    pieces: list[tuple[Piece, int]] = []
    for path in paths:
        metadata = pq.read_metadata(path)
        groups: list[int] = []
        rows = 0
        for group in range(metadata.num_row_groups):
            size = metadata.row_group(group).num_rows
            if groups and rows + size > READ_ROWS:
                pieces.append(((path, groups), rows))
                groups, rows = [], 0
            groups.append(group)
            rows += size
        if rows:
            pieces.append(((path, groups), rows))
    return pieces


def _read_piece(piece: Piece, columns: list[str] | None = None) -> pa.Table:
    import pyarrow.parquet as pq

    path, groups = piece
    return pq.ParquetFile(path).read_row_groups(groups, columns=columns).combine_chunks()


def _to_numpy(table: pa.Table | pa.RecordBatch) -> dict[str, np.ndarray]:
    import pyarrow as pa

    arrays = {}
    for field in table.schema:
        column: Any = table.column(table.schema.get_field_index(field.name))
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # pyarrow keeps a ChunkedArray of one chunk
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        if pa.types.is_fixed_size_list(column.type):
            flat = column.flatten().to_numpy(zero_copy_only=False)
            text = (field.metadata or {}).get(SHAPE, str(column.type.list_size).encode())
            arrays[field.name] = flat.reshape(len(column), *map(int, text.split(b",")))
        else:
            arrays[field.name] = column.to_numpy(zero_copy_only=False)
    return arrays
