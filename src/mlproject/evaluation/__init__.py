"""The Evaluation: candidate and baseline scored on the same rows, overall and by slice.

metrics.parquet        a row for each slice, model and metric: value and interval (MetricRow)
differences.parquet    a row for each slice and metric: candidate minus champion (Difference)
predictions.parquet    a row for each eval row: label, each model's prediction, slice values
importance.parquet     permutation importance of each raw feature
cases.json             results of the behavioural cases
figures/               pictures

eval_split.py       whether a split can be evaluated, asked before the training
scoring.py          the eval split through the models, in batches
labels.py           labels of a split, checked
outputs.py          predictions, checked
slicing.py          which slices there are
predictions.py      predictions.parquet
row_weights.py      the bootstrap's weights
intervals.py        its intervals
measure.py          metrics and differences of every slice
files.py            metrics.parquet and differences.parquet
table.py            metrics as wide rows
mlflow_results.py   thresholds as MLflow's evaluation has them
sample.py           some raw rows of the eval split
"""

from mlproject.evaluation.files import (
    DIFFERENCES_FILE,
    METRICS_FILE,
    read_differences,
    read_metrics,
    write_differences,
    write_metrics,
)
from mlproject.evaluation.table import logged_metrics, overall_values, wide_table

PREDICTIONS_FILE = "predictions.parquet"

__all__ = [
    "DIFFERENCES_FILE",
    "METRICS_FILE",
    "PREDICTIONS_FILE",
    "logged_metrics",
    "overall_values",
    "read_differences",
    "read_metrics",
    "wide_table",
    "write_differences",
    "write_metrics",
]
