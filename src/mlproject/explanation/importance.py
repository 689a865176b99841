"""Permutation importance: how much a metric loses where one raw feature is shuffled.

L. Breiman, Random Forests, 2001; A. Fisher, C. Rudin, F. Dominici, All Models are Wrong, but Many
are Useful, 2019. The columns of Examples are shuffled as they are, missing values included, and
the exported model is asked through `serving_default`, so what is measured is what is served.
scikit-learn's `permutation_importance` shuffles arrays and data frames, which Examples with lists
and missing values would have to be turned into, and back again, for each column.

Features that tell the same (two of which one can be guessed from the other) share their importance:
each may look unimportant while the other stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, DataError
from mlproject.explanation.scores import score_of
from mlproject.metrics.names import HIGHER_IS_BETTER

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlproject.saved_model import Predict

IMPORTANCE_FILE = "importance.parquet"
CONFIDENCE = 0.95
ASKED_ROWS = 65_536  # at once


@dataclass(frozen=True)
class Importance:
    """What a metric loses where one raw feature is shuffled.

    Attributes:
        feature: The raw feature.
        drop: Mean loss over the repeats, in units of the metric: above 0 where the metric gets
            worse, whichever way that is. None where the metric could not be judged.
        low: Lower end of the 95 % interval of that mean (Student's t over the repeats: it tells
            the chance of the shuffling, not that of the rows). None with one repeat.
        high: Upper end.
    """

    feature: str
    drop: float | None
    low: float | None
    high: float | None


def permutation_importance(
    predict: Predict,
    rows: pa.RecordBatch,
    labels: np.ndarray,
    task: str,
    metric: str,
    seed: int,
    repeats: int = 3,
) -> list[Importance]:
    """The importance of each raw feature, the most important first.

    Args:
        predict: What `open_signature(model)` yields.
        rows: Raw eval rows.
        labels: `[rows]`, the label of each: 0 or 1, a class, or a number.
        task: `binary`, `multiclass` or `regression`.
        metric: One of `scores.SCORES`.
        seed: Of the shuffling.
        repeats: How often each feature is shuffled.

    Returns:
        One for each input of the model; all without a value where the labels of the rows do not
        let the metric be judged (one class only, no rows).

    Raises:
        ConfigError: The metric cannot be measured, or `repeats` is below 1.
        DataError: The rows lack an input of the model, or there is another number of labels.
    """
    import numpy as np

    names: tuple[str, ...] = predict.input_names  # type: ignore[attr-defined]
    score = score_of(task, metric)
    if repeats < 1:
        raise ConfigError(
            "Measuring the importance of features failed", received=f"{repeats} repeats"
        )
    missing = [name for name in names if name not in rows.schema.names]
    if missing:
        raise DataError(
            "Measuring the importance of features failed",
            received=f"no column {', '.join(missing)} in the data",
            expected="every raw feature that the model was trained on",
        )
    labels = np.asarray(labels).reshape(-1)
    if len(labels) != rows.num_rows:
        raise DataError(
            "Measuring the importance of features failed",
            received=f"{len(labels)} labels",
            expected=f"one for each of the {rows.num_rows} rows",
        )
    if not len(labels) or (task != "regression" and len(np.unique(labels)) < 2):
        return [Importance(name, None, None, None) for name in names]
    rng = np.random.default_rng(seed)
    shuffles = {n: [rng.permutation(len(labels)) for _ in range(repeats)] for n in names}
    whole, shuffled = _predictions(predict, rows, shuffles)
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    best = score(labels, whole)
    found = [
        _importance(name, [sign * (best - score(labels, p)) for p in shuffled[name]])
        for name in names
    ]
    return sorted(found, key=lambda i: -(i.drop or 0.0))


def write_importance(importances: Sequence[Importance], out_dir: Path) -> Path:
    """Writes `importance.parquet`: a row for each feature, in the given order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = Importance.__annotations__
    fields = [(n, pa.string() if n == "feature" else pa.float64()) for n in names]
    rows = [asdict(importance) for importance in importances]
    file = out_dir / IMPORTANCE_FILE
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), file)
    return file


def read_importance(folder: Path) -> list[Importance]:
    """Reads `importance.parquet`; empty where there is none.

    Raises:
        DataError: The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = folder / IMPORTANCE_FILE
    if not file.is_file():
        return []
    try:
        return [Importance(**row) for row in pq.read_table(file).to_pylist()]
    except (pa.ArrowException, OSError, TypeError) as err:
        raise DataError(
            f"Reading {file} failed",
            received=str(err).splitlines()[0],
            expected="a table of " + ", ".join(Importance.__annotations__),
            next_step="evaluate again: `benison step evaluate PROJECT --force`",
        ) from err


def _predictions(
    predict: Predict, rows: pa.RecordBatch, shuffles: Mapping[str, list[np.ndarray]]
) -> tuple[np.ndarray, dict[str, list[np.ndarray]]]:
    """The predictions for the rows, and for each shuffle of each feature."""
    import numpy as np
    import pyarrow as pa

    from mlproject.raw_inputs import paddable, raw_arrays

    names = tuple(shuffles)
    whole: list[np.ndarray] = []
    parts: dict[str, list[list[np.ndarray]]] = {n: [[] for _ in s] for n, s in shuffles.items()}
    start = 0
    steps = range(0, rows.num_rows, ASKED_ROWS)
    for piece in (p for at in steps for p in paddable(rows.slice(at, ASKED_ROWS), names)):
        part = slice(start, start + piece.num_rows)
        arrays = raw_arrays(piece, names)
        whole.append(_ask(predict, arrays))
        for name, orders in shuffles.items():
            column = rows.column(rows.schema.get_field_index(name))
            for place, order in enumerate(orders):
                moved = pa.RecordBatch.from_arrays([column.take(pa.array(order[part]))], [name])
                parts[name][place].append(_ask(predict, arrays | raw_arrays(moved, (name,))))
        start = part.stop
    return np.concatenate(whole), {n: [np.concatenate(p) for p in ps] for n, ps in parts.items()}


def _ask(predict: Predict, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    from mlproject.saved_model import OUTPUT

    outputs = predict(arrays)
    values: Any = outputs.get(OUTPUT, next(iter(outputs.values())))
    return values.reshape(len(values), -1)


def _importance(name: str, drops: Sequence[float]) -> Importance:
    import numpy as np
    from scipy.stats import t

    mean = float(np.mean(drops))
    if len(drops) < 2:
        return Importance(name, mean, None, None)
    half = t.ppf((1 + CONFIDENCE) / 2, len(drops) - 1) * np.std(drops, ddof=1) / len(drops) ** 0.5
    return Importance(name, mean, mean - float(half), mean + float(half))
