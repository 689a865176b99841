"""Metrics: their names, the values of an Evaluation, and how they are computed."""

from mlproject.metrics.names import HIGHER_IS_BETTER, metric_names
from mlproject.metrics.values import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "HIGHER_IS_BETTER",
    "OVERALL",
    "Difference",
    "MetricRow",
    "metric_names",
]
