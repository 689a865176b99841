"""Metrics of the module file: functions of labels and predictions, or Keras metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mlproject.errors import UserModuleError, closest
from mlproject.metrics.names import HIGHER_IS_BETTER
from mlproject.project_checks import METRICS_FUNCTION, no_metrics_function
from mlproject.user_module import call_user_function

KERAS_ROWS = 100_000


@dataclass(frozen=True)
class CustomMetrics:
    """A project's own metrics.

    Attributes:
        path: The module file, for messages.
        metrics: Name -> function of labels and predictions, or `keras.metrics.Metric`.
    """

    path: Path = Path()
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def value(self, name: str, labels: np.ndarray, predictions: np.ndarray) -> float:
        """One metric of some rows.

        Args:
            name: The metric.
            labels: `[rows]`.
            predictions: `[rows]`, or `[rows, classes]` of a multi-class task.

        Raises:
            UserModuleError: It raised (the message names the line), or gave no finite number.
        """
        metric = self.metrics[name]
        compute = _of_keras(metric) if _is_keras(metric) else metric
        given = call_user_function(compute, self.path, labels, predictions)
        try:
            value = float(given)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise UserModuleError(
                f"The metric '{name}' of {self.path.name} cannot be judged",
                received=repr(given)[:100],
                expected="a finite number",
                next_step=f"mend it in `{METRICS_FUNCTION}()`, or drop it from "
                "`evaluation.custom_metrics` in project.yaml",
            )
        return value


class CopiedRows:
    """One model's predictions of some rows, for custom metrics under row weights.

    Args:
        custom: The metrics.
        labels: `[rows]`.
        predictions: `[rows]` or `[rows, classes]`.
    """

    def __init__(self, custom: CustomMetrics, labels: np.ndarray, predictions: np.ndarray) -> None:
        self._custom = custom
        self._labels = labels
        self._predictions = predictions

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every custom metric for each weighting: a row of weight w is given w times.

        Args:
            weights: `[resamples, rows] uint8`.

        Returns:
            Metric -> `[resamples] float64`; NaN where it cannot be judged.
        """
        rows = [np.repeat(np.arange(len(self._labels)), each) for each in weights]
        return {
            name: np.array([self._value(name, drawn) for drawn in rows])
            for name in self._custom.metrics
        }

    def _value(self, name: str, rows: np.ndarray) -> float:
        try:
            return self._custom.value(name, self._labels[rows], self._predictions[rows])
        except UserModuleError:
            return math.nan


def load_custom_metrics(module: ModuleType, path: Path, declared: Iterable[str]) -> CustomMetrics:
    """The metrics that a module file defines, checked against project.yaml.

    Args:
        module: The loaded module file.
        path: Its path, for messages.
        declared: The names in `evaluation.custom_metrics`.

    Raises:
        UserModuleError: There is no `custom_metrics()`, it raised, or what it returns is not a
            dict of exactly the declared names to functions or Keras metrics.
    """
    names = tuple(declared)
    function = getattr(module, METRICS_FUNCTION, None)
    if not callable(function):
        raise no_metrics_function(path.name, names)
    given = call_user_function(function, path)
    found = given if isinstance(given, dict) else {}
    clash = [name for name in names if name in HIGHER_IS_BETTER]
    unfit = [f"'{n}' is a {type(m).__name__}" for n, m in found.items() if not callable(m)]
    missing = [name for name in names if name not in found]
    unknown = [name for name in found if name not in names]
    faults = [
        f"a {type(given).__name__}" if not isinstance(given, dict) else "",
        *(f"'{name}', which is a built-in metric" for name in clash),
        *unfit,
        *(f"no '{name}' ({closest(name, map(str, found))})" for name in missing),
        *(f"'{n}', which project.yaml does not name ({closest(str(n), names)})" for n in unknown),
    ]
    if any(faults):
        raise UserModuleError(
            f"The function '{METRICS_FUNCTION}' of {path.name} does not fit project.yaml",
            received="; ".join(fault for fault in faults if fault),
            expected=f"a dict of {', '.join(names)} -> function(labels, predictions) -> float, or "
            "keras.metrics.Metric",
            next_step="make the names those of `evaluation.custom_metrics` in project.yaml",
        )
    return CustomMetrics(path, found)


def _is_keras(metric: Any) -> bool:
    return hasattr(metric, "update_state") and hasattr(metric, "result")


def _of_keras(metric: Any) -> Callable[[np.ndarray, np.ndarray], float]:
    """A Keras metric as a function; it sees columns, `[rows, 1]`, as in `fit`."""

    def compute(labels: np.ndarray, predictions: np.ndarray) -> float:
        metric.reset_state()
        columns = predictions if predictions.ndim > 1 else predictions[:, None]
        for first in range(0, len(labels), KERAS_ROWS):
            part = slice(first, first + KERAS_ROWS)
            metric.update_state(labels[part, None], columns[part])
        return float(metric.result())

    compute.__name__ = str(metric.name)  # what an error calls it
    return compute
