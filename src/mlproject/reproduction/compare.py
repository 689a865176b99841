"""Compares a reproduced model with the recorded version: metrics, predictions, weights.

Imported when a comparison is made; TensorFlow is asked for weights alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlproject.errors import DataError
from mlproject.metrics import CANDIDATE, CHAMPION, MetricRow
from mlproject.reproduction.values import ArrayGap, Comparison, MetricGap

VARIABLES = ("variables", "variables")
_PARTS = ("value", "examples", "low", "high", "standard_error")
Models = tuple[Path, Path]
Named = Mapping[tuple[str, str], MetricRow]


def compare(
    recorded: Sequence[MetricRow], measured: Sequence[MetricRow], predictions: Path, models: Models
) -> Comparison:
    """Compares what an evaluation of the reproduced model says with what was recorded.

    Args:
        recorded: The version's own `metrics.parquet`; the rows of its candidate count.
        measured: The metrics now: `candidate` is the reproduced model, `champion` the recorded
            one, asked again on the same rows.
        predictions: `predictions.parquet` of the same evaluation.
        models: SavedModel folders of the recorded and the reproduced model.
    """
    then = _of_model(recorded, CANDIDATE)
    now = _of_model(measured, CANDIDATE)
    then_values, now_values = read_predictions(predictions)
    return Comparison(
        metrics=len(then),
        gaps=metric_gaps(then, now),
        predictions=compare_arrays(then_values, now_values),
        weights=compare_weights(*models),
        asked_again=metric_gaps(then, _of_model(measured, CHAMPION)),
    )


def metric_gaps(then: Named, now: Named) -> tuple[MetricGap, ...]:
    """The metrics that differ in value, interval or rows, the widest gap first.

    Args:
        then: (slice, metric) -> what was recorded.
        now: (slice, metric) -> what was measured now.
    """
    gaps = (_gap(key, then.get(key), now.get(key)) for key in dict.fromkeys([*then, *now]))
    found = [gap for gap in gaps if gap is not None]
    return tuple(sorted(found, key=lambda gap: (-gap.gap, gap.slice, gap.metric)))


def compare_arrays(then: np.ndarray, now: np.ndarray) -> ArrayGap:
    """Compares two arrays number by number.

    Args:
        then: Any shape, of numbers.
        now: The same.
    """
    if then.shape != now.shape:
        unlike = f"shape {list(now.shape)} now, {list(then.shape)} then"
        return ArrayGap(max(then.size, now.size), max(then.size, now.size), math.inf, unlike)
    differing = int(np.count_nonzero(_differ(then, now)))
    return ArrayGap(then.size, differing, _largest(then, now) if differing else 0.0)


def compare_weights(then: Path, now: Path) -> ArrayGap:
    """Compares the variables of two SavedModels by their names.

    Args:
        then: Folder of the recorded model.
        now: Folder of the reproduced one.
    """
    before, after = _variables(then), _variables(now)
    if set(before) != set(after):
        only = sorted(set(before) ^ set(after))
        unlike = f"{len(only)} variables that only one model has, first {only[0]}"
        return ArrayGap(len({*before, *after}), len(only), math.inf, unlike)
    if not before:
        return ArrayGap(0, 0, 0.0, "the models have no variables")
    gaps = [compare_arrays(before[name], after[name]) for name in before]
    largest = max(gap.largest for gap in gaps)
    return ArrayGap(len(gaps), sum(not gap.equal for gap in gaps), largest)


def read_predictions(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The predictions of the recorded and of the reproduced model.

    Args:
        file: `predictions.parquet` of an evaluation with both.

    Returns:
        `[rows]` or `[rows, classes]`, the recorded model's first.

    Raises:
        DataError: The file is damaged, or holds one model only.
    """
    try:
        table = pq.read_table(file, columns=[CHAMPION, CANDIDATE])
        return _column(table, CHAMPION), _column(table, CANDIDATE)
    except (pa.ArrowException, OSError, KeyError) as err:
        raise DataError(
            f"Reading '{file}' failed",
            received=str(err).splitlines()[0],
            expected="predictions of the recorded and the reproduced model",
        ) from err


def _of_model(rows: Iterable[MetricRow], model: str) -> Named:
    return {(row.slice, row.metric): row for row in rows if row.model == model}


def _gap(key: tuple[str, str], then: MetricRow | None, now: MetricRow | None) -> MetricGap | None:
    if then is None or now is None:
        known = then or now
        value = known.value if known else None
        return MetricGap(*key, value if then else None, value if now else None, math.inf, "missing")
    part = next((p for p in _PARTS if _unequal(getattr(then, p), getattr(now, p))), None)
    if part is None:
        return None
    if part != "value":
        return MetricGap(*key, then.value, now.value, 0.0, part)
    both = then.value is not None and now.value is not None
    gap = abs(now.value - then.value) if both else math.inf  # type: ignore[operator]
    return MetricGap(*key, then.value, now.value, math.inf if math.isnan(gap) else gap, part)


def _unequal(then: float | None, now: float | None) -> bool:
    if then is None or now is None:
        return then is not now
    return then != now and not (math.isnan(then) and math.isnan(now))


def _differ(then: np.ndarray, now: np.ndarray) -> np.ndarray:
    different: np.ndarray = then != now
    if np.issubdtype(then.dtype, np.floating) and np.issubdtype(now.dtype, np.floating):
        different &= ~(np.isnan(then) & np.isnan(now))
    return different


def _largest(then: np.ndarray, now: np.ndarray) -> float:
    if not (np.issubdtype(then.dtype, np.number) and np.issubdtype(now.dtype, np.number)):
        return math.inf  # texts of a vocabulary: there is no distance between them
    apart = np.abs(now.astype(np.float64) - then.astype(np.float64))
    apart = np.where(np.isnan(then) & np.isnan(now), 0.0, apart)
    return math.inf if np.isnan(apart).any() else float(apart.max())


def _variables(saved_model: Path) -> dict[str, np.ndarray]:
    """Name -> value of the variables of a SavedModel, without what TensorFlow keeps of itself."""
    import tensorflow as tf

    prefix = saved_model.joinpath(*VARIABLES)
    if not prefix.with_suffix(".index").exists():
        return {}
    reader = tf.train.load_checkpoint(str(prefix))
    names = (n for n in reader.get_variable_to_shape_map() if n != "_CHECKPOINTABLE_OBJECT_GRAPH")
    return {name: np.asarray(reader.get_tensor(name)) for name in sorted(names)}


def _column(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name).combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_fixed_size_list(column.type):
        values: np.ndarray = column.flatten().to_numpy().reshape(len(column), -1)
        return values
    plain: np.ndarray = column.to_numpy(zero_copy_only=False)
    return plain
