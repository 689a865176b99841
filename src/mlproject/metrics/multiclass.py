"""Metrics of a multi-class task: scikit-learn's, and the expected calibration error.

`auc` is one-vs-rest, the plain mean over the classes; it is None (cannot be judged) where a class
has no row. `precision`, `recall` and `f1` are the plain mean over the classes that occur among the
labels or the predictions; of a class that is never predicted precision is 0 by definition, and of
one without a row recall is (scikit-learn's `zero_division=0`). `brier` is the mean squared
distance to the one-hot label, 0 to 2. `calibration_error` is that of the predicted class.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)

from mlproject.metrics.calibration import calibration_error


def multiclass_metrics(
    labels: np.ndarray, predictions: np.ndarray, top_k: int
) -> dict[str, float | None]:
    """Every metric of `METRICS["multiclass"]`.

    Args:
        labels: `[rows]` whole numbers, 0 to C-1; at least one row.
        predictions: `[rows, C]` probabilities.
        top_k: k of `top_k_accuracy`; from C on it is 1.

    Returns:
        Metric -> value.
    """
    chances = normalised(predictions)
    classes = np.arange(chances.shape[1])
    predicted = chances.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    top = 1.0
    if top_k < len(classes):
        top = float(top_k_accuracy_score(labels, chances, k=top_k, labels=classes))
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "log_loss": float(log_loss(labels, chances, labels=classes)),
        "auc": _one_vs_rest(labels, predictions),
        "top_k_accuracy": top,
        "brier": float(brier_score_loss(labels, chances, labels=classes, scale_by_half=False)),
        "calibration_error": calibration_error(predicted == labels, chances.max(axis=1)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


def normalised(predictions: np.ndarray) -> np.ndarray:
    """Probabilities whose sum is 1 to float64's precision: float32's sums are 1e-6 off.

    Args:
        predictions: `[rows, C]`, sums of 1 within 1e-3.

    Returns:
        `[rows, C] float64`.
    """
    chances = predictions.astype(np.float64)
    return chances / chances.sum(axis=1, keepdims=True)


def _one_vs_rest(labels: np.ndarray, predictions: np.ndarray) -> float | None:
    rows = np.bincount(labels, minlength=predictions.shape[1])
    if (rows == 0).any() or (rows == len(labels)).any():
        return None
    # As predicted: making the sums 1 would tell apart scores that are equal.
    every = [roc_auc_score(labels == c, scores) for c, scores in enumerate(predictions.T)]
    return float(np.mean(every))
