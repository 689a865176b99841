"""What do metrics and intervals cost? CPU seconds and memory a row, candidate and champion.

    python benchmarks/evaluation.py                       # 5,000 and 333,000 binary rows
    python benchmarks/evaluation.py --task multiclass --classes 10 --rows 100000
    python benchmarks/evaluation.py --memory              # bytes a row, by tracemalloc (slow)

Scored rows are made up, with three slice columns of 6, 24 and 50 values; the models are not run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlproject.evaluation.measure import Measured, MeasureRequest, measure
from mlproject.evaluation.predictions import Predictions, PredictionsWriter
from mlproject.evaluation.slicing import SliceColumn, Slicing
from mlproject.sections import EvaluationSection

COLUMNS = {"payment_type": 6, "trip_start_hour": 24, "company": 50}
BATCH = 10_000
MODELS = ("candidate", "champion")


def make_rows(file: Path, rows: int, task: str, classes: int) -> Predictions:
    """Writes scored rows."""
    rng = np.random.default_rng(1)
    columns = {n: SliceColumn(n, tuple(map(str, range(k)))) for n, k in COLUMNS.items()}
    with PredictionsWriter(file) as writer:
        for first in range(0, rows, BATCH):
            size = min(BATCH, rows - first)
            labels = rng.integers(0, classes if task == "multiclass" else 2, size)
            scores = 1 / (1 + np.exp(1 - 2 * labels + rng.normal(size=size)))
            if task == "multiclass":
                raw = np.exp(rng.normal(size=(size, classes)) + 2 * np.eye(classes)[labels])
                scores = raw / raw.sum(axis=1, keepdims=True)
            models = dict(zip(MODELS, (scores, 0.95 * scores + 0.05 / classes), strict=True))
            # Skewed, as values are: the first value has about a fifth of the rows.
            sliced = {n: (rng.random(size) ** 2 * k).astype(int) for n, k in COLUMNS.items()}
            writer.write(
                labels.astype(np.int32),
                {model: values.astype(np.float32) for model, values in models.items()},
                {n: columns[n].named(pa.array(v.astype(str))) for n, v in sliced.items()},
            )
    return Predictions(file, Slicing(columns, tuple((name,) for name in columns)))


def measured(predictions: Predictions, task: str, resamples: int) -> Measured:
    """Measures the rows."""
    section = EvaluationSection(slices=tuple(COLUMNS), min_slice_examples=200, resamples=resamples)
    return measure(predictions, MODELS, MeasureRequest(task, section))


def main() -> None:
    """Prints a line and JSON for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 333_000])
    parser.add_argument("--task", default="binary", choices=["binary", "multiclass", "regression"])
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--resamples", type=int, default=1_000)
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "predictions.parquet"
        measured(make_rows(file, 1_000, given.task, given.classes), given.task, 100)  # imports
        for rows in given.rows:
            predictions = make_rows(file, rows, given.task, given.classes)
            if given.memory:
                tracemalloc.start()
            began = time.process_time()
            found = measured(predictions, given.task, given.resamples)
            result = {
                "task": given.task,
                "rows": rows,
                "slices_judged": len({row.slice for row in found.rows if row.value is not None}),
                "cpu_seconds": round(time.process_time() - began, 2),
                "file_bytes_a_row": round(file.stat().st_size / rows, 1),
            }
            if given.memory:
                result["peak_bytes_a_row"] = round(tracemalloc.get_traced_memory()[1] / rows)
                tracemalloc.stop()
            print(json.dumps(result))


if __name__ == "__main__":
    main()
