"""Metrics and differences of an Evaluation as Parquet, a row a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mlproject.errors import DataError
from mlproject.metrics import Difference, MetricRow

METRICS_FILE = "metrics.parquet"
DIFFERENCES_FILE = "differences.parquet"
_TEXT = ("slice", "model", "metric")


def write_metrics(rows: Sequence[MetricRow], out_dir: Path) -> None:
    """Writes `metrics.parquet`."""
    _write(rows, MetricRow, out_dir / METRICS_FILE)


def write_differences(differences: Sequence[Difference], out_dir: Path) -> None:
    """Writes `differences.parquet`; without a champion it has no row."""
    _write(differences, Difference, out_dir / DIFFERENCES_FILE)


def read_metrics(evaluation_dir: Path) -> list[MetricRow]:
    """Reads the metrics of an evaluation artifact.

    Raises:
        DataError: The file is missing or damaged.
    """
    return [MetricRow(**row) for row in _read(evaluation_dir / METRICS_FILE)]


def read_differences(evaluation_dir: Path) -> list[Difference]:
    """Reads the differences of an evaluation artifact; none where there was no champion.

    Raises:
        DataError: The file is missing or damaged.
    """
    return [Difference(**row) for row in _read(evaluation_dir / DIFFERENCES_FILE)]


def _write(rows: Sequence[Any], kind: type[Any], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(f.name, _arrow_type(f.name)) for f in fields(kind)])
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    pq.write_table(pa.table(columns, schema=schema), file)


def _arrow_type(name: str) -> Any:
    import pyarrow as pa

    if name in _TEXT:
        return pa.string()
    return pa.int64() if name == "examples" else pa.float64()


def _read(file: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    except (pa.ArrowException, OSError) as err:
        raise DataError(
            f"Reading '{file}' failed",
            received=str(err).splitlines()[0],
            expected="a file that the step evaluate wrote",
            next_step="run it again: --from evaluate",
        ) from err
    return rows
