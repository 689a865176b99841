"""Metrics of a binary task: scikit-learn's, and the expected calibration error.

What cannot be judged is None, never an exception: `auc` and `pr_auc` of rows of one class;
`precision`, `recall` and `f1` of rows without a positive. Where positives are there and none is
predicted, `precision` is 0 by definition (scikit-learn's `zero_division=0`).
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from mlproject.metrics.calibration import calibration_error

CUT = 0.5
"""Scores from here on are a predicted positive."""


def binary_metrics(labels: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Every metric of `METRICS["binary"]`.

    Args:
        labels: `[rows]` 0 or 1; at least one row.
        scores: `[rows]` probabilities of class 1.

    Returns:
        Metric -> value.
    """
    scores = scores.astype(np.float64)
    positives = int(labels.sum())
    both = 0 < positives < len(labels)
    predicted = scores >= CUT
    precision = recall = f1 = None
    if positives:
        precision, recall, f1 = precision_recall_fscore_support(
            labels, predicted, average="binary", zero_division=0
        )[:3]
    return {
        "auc": float(roc_auc_score(labels, scores)) if both else None,
        "accuracy": float(accuracy_score(labels, predicted)),
        "log_loss": float(log_loss(labels, scores, labels=[0, 1])),
        "pr_auc": float(average_precision_score(labels, scores)) if both else None,
        "brier": float(brier_score_loss(labels, scores, labels=[0, 1], pos_label=1)),
        "calibration_error": calibration_error(labels, scores),
        "precision": None if precision is None else float(precision),
        "recall": None if recall is None else float(recall),
        "f1": None if f1 is None else float(f1),
    }
