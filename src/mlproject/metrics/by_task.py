"""The metrics of a task by its name: point values, and values under row weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from mlproject.metrics.binary import binary_metrics
from mlproject.metrics.multiclass import multiclass_metrics
from mlproject.metrics.regression import regression_metrics
from mlproject.metrics.weighted_binary import WeightedBinary
from mlproject.metrics.weighted_multiclass import WeightedMulticlass
from mlproject.metrics.weighted_regression import WeightedRegression


class Weighted(Protocol):
    """A model's predictions of some rows, ready for row weights."""

    def metrics(self, weights: np.ndarray) -> Mapping[str, np.ndarray]:
        """`[resamples, rows] uint8` weights -> metric -> `[resamples]`, NaN where not judged."""


def point_metrics(
    task: str, labels: np.ndarray, predictions: np.ndarray, top_k: int
) -> dict[str, float | None]:
    """The metrics of some rows.

    Args:
        task: `binary`, `multiclass` or `regression`.
        labels: `[rows]`; at least one row.
        predictions: `[rows]` or `[rows, classes]`.
        top_k: k of `top_k_accuracy`.

    Returns:
        Metric -> value; None where it cannot be judged.
    """
    if task == "binary":
        return binary_metrics(labels, predictions)
    if task == "multiclass":
        return multiclass_metrics(labels, predictions, top_k)
    return regression_metrics(labels, predictions)


def weighted_metrics(
    task: str, labels: np.ndarray, predictions: np.ndarray, top_k: int
) -> Weighted:
    """The same metrics, ready for row weights; arguments as of `point_metrics`."""
    if task == "binary":
        return WeightedBinary(labels, predictions)
    if task == "multiclass":
        return WeightedMulticlass(labels, predictions, top_k)
    return WeightedRegression(labels, predictions)
