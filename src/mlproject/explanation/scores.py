"""The metrics that an importance is measured by, each alone.

`metrics.by_task` computes all metrics of a task at once, which would be most of the time: each
feature is scored several times. The values are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError, closest

if TYPE_CHECKING:
    import numpy as np

Score = Callable[["np.ndarray", "np.ndarray"], float]


def _auc(labels: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, predictions[:, 0]))


def _accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    if predictions.shape[1] == 1:
        return float(((predictions[:, 0] >= 0.5) == labels).mean())
    return float((predictions.argmax(axis=1) == labels).mean())


def _log_loss(labels: np.ndarray, predictions: np.ndarray) -> float:
    import numpy as np
    from sklearn.metrics import log_loss

    classes = np.arange(max(2, predictions.shape[1]))
    if predictions.shape[1] == 1:
        predictions = predictions[:, 0]
    return float(log_loss(labels, predictions, labels=classes))


def _rmse(labels: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(labels, predictions[:, 0]))


def _mae(labels: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(labels, predictions[:, 0]))


SCORES: Mapping[str, Mapping[str, Score]] = {
    "binary": {"auc": _auc, "accuracy": _accuracy, "log_loss": _log_loss},
    "multiclass": {"accuracy": _accuracy, "log_loss": _log_loss},
    "regression": {"rmse": _rmse, "mae": _mae},
}
"""Task -> metric -> how it is computed, of labels `[rows]` and predictions `[rows, outputs]`."""


def score_of(task: str, metric: str) -> Score:
    """How a metric of a task is computed.

    Raises:
        ConfigError: It is none of `SCORES`.
    """
    scores = SCORES.get(task, {})
    if metric not in scores:
        raise ConfigError(
            f"The importance of features cannot be measured by '{metric}'",
            received=f"task {task}",
            expected=closest(metric, scores) if scores else closest(task, SCORES),
        )
    return scores[metric]
