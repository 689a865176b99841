"""The metrics of each task by name, in the order in which they are shown. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

METRICS: Mapping[str, tuple[str, ...]] = {
    "binary": (
        "auc",
        "accuracy",
        "log_loss",
        "pr_auc",
        "brier",
        "calibration_error",
        "precision",
        "recall",
        "f1",
    ),
    "multiclass": (
        "accuracy",
        "log_loss",
        "auc",
        "top_k_accuracy",
        "brier",
        "calibration_error",
        "precision",
        "recall",
        "f1",
    ),
    "regression": (
        "mae",
        "rmse",
        "r2",
        "absolute_error_p50",
        "absolute_error_p90",
        "absolute_error_p99",
    ),
}
_LOWER = frozenset(
    {
        "absolute_error_p50",
        "absolute_error_p90",
        "absolute_error_p99",
        "brier",
        "calibration_error",
        "log_loss",
        "mae",
        "rmse",
    }
)
HIGHER_IS_BETTER: Mapping[str, bool] = {
    name: name not in _LOWER for names in METRICS.values() for name in names
}
"""Metric -> whether more of it is better."""

ANY = (-math.inf, math.inf)
BOUNDS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("auc", "pr_auc", "accuracy", "top_k_accuracy"), (0.0, 1.0)),
    **dict.fromkeys(("precision", "recall", "f1", "calibration_error"), (0.0, 1.0)),
    **dict.fromkeys(("log_loss", "mae", "rmse"), (0.0, math.inf)),
    **dict.fromkeys(("absolute_error_p50", "absolute_error_p90"), (0.0, math.inf)),
    **{"absolute_error_p99": (0.0, math.inf), "brier": (0.0, 2.0), "r2": (-math.inf, 1.0)},
}
"""Lowest and highest value of a metric; any value of one that is not named."""


def metric_names(task: Literal["binary", "multiclass", "regression"]) -> tuple[str, ...]:
    """The metrics of a task; the first is its main one."""
    return METRICS[task]
