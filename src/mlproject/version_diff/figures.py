"""What a version's evaluation has recorded: figures on slices, and how sure a difference is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlproject.blessing.estimate import family_interval
from mlproject.errors import DataError, PlatformError
from mlproject.evaluation.files import (
    DIFFERENCES_FILE,
    METRICS_FILE,
    read_differences,
    read_metrics,
)
from mlproject.metrics import HIGHER_IS_BETTER, OVERALL, Difference, MetricRow
from mlproject.sections import EvaluationSection
from mlproject.version_diff.evidence import Evidence
from mlproject.version_diff.parameters import read_config
from mlproject.version_diff.values import Figure

Key = tuple[str, str]
"""Slice and metric."""

Figures = Mapping[Key, Figure]
Intervals = Mapping[Key, tuple[float, float]]


def read_figures(side: Evidence, model: str) -> Figures | None:
    """A model's figures in a version's evaluation.

    Args:
        side: The version's evidence.
        model: `candidate`, the version itself, or `champion`, what it was compared with.

    Returns:
        None where there is no file.

    Raises:
        DataError: The file is damaged.
    """
    file = side.path(METRICS_FILE)
    if file is None:
        return None
    return _parsed(METRICS_FILE, lambda: _figures(read_metrics(file.parent), model))


def read_intervals(side: Evidence) -> Intervals:
    """Intervals of candidate minus champion on the same rows; none where they are not recorded.

    On all rows the interval is the paired bootstrap's. Those of slices are a family of tests and
    widened as thresholds widen them (`mlproject.blessing.estimate`).

    Raises:
        DataError: The file is damaged.
    """
    file = side.path(DIFFERENCES_FILE)
    if file is None:
        return {}
    confidence = _confidence(side)
    return _parsed(DIFFERENCES_FILE, lambda: _paired(read_differences(file.parent), confidence))


def independent_intervals(sides: Iterable[Evidence], ours: Figures, theirs: Figures) -> Intervals:
    """Intervals of after minus before, by the standard errors of both.

    As if each were measured on rows of its own: on the same rows the real ones are narrower.

    Args:
        sides: Whose configurations say the confidence; the higher one is taken.
        ours: Figures of the second version.
        theirs: Of the first.
    """
    found = {}
    for key in ours.keys() & theirs.keys():
        new, old = ours[key], theirs[key]
        if new.value is None or old.value is None:
            continue
        if new.standard_error is not None and old.standard_error is not None:
            error = math.hypot(new.standard_error, old.standard_error)
            found[key] = (new.value - old.value, error)
    return _widened(found, max(map(_confidence, sides)))


def read_directions(sides: Iterable[Evidence]) -> dict[str, bool]:
    """Metric -> whether more is better, the projects' own metrics among them.

    A metric that one project wants higher and the other lower has no direction.
    """
    found = dict(HIGHER_IS_BETTER)
    said: dict[str, set[bool]] = {}
    for side in sides:
        custom = _evaluation(side).get("custom_metrics")
        for name, direction in custom.items() if isinstance(custom, dict) else ():
            if direction in ("higher", "lower"):
                said.setdefault(str(name), set()).add(direction == "higher")
    for name, directions in said.items():
        found.pop(name, None)
        if len(directions) == 1:
            found[name] = directions == {True}
    return found


def _figures(rows: Iterable[MetricRow], model: str) -> Figures:
    return {
        (str(row.slice), str(row.metric)): Figure(
            value=_number(row.value),
            low=_number(row.low),
            high=_number(row.high),
            examples=int(row.examples or 0),
            standard_error=_number(row.standard_error),
        )
        for row in rows
        if row.model == model
    }


def _paired(differences: Iterable[Difference], confidence: float) -> Intervals:
    overall: dict[Key, tuple[float, float]] = {}
    slices: dict[Key, tuple[float, float]] = {}
    for found in differences:
        key = (str(found.slice), str(found.metric))
        value, low, high = (_number(v) for v in (found.value, found.low, found.high))
        error = _number(found.standard_error)
        if key[0] == OVERALL and low is not None and high is not None:
            overall[key] = (low, high)
        elif key[0] != OVERALL and value is not None and error is not None:
            slices[key] = (value, error)
    return {**overall, **_widened(slices, confidence)}


def _widened(changes: Mapping[Key, tuple[float, float]], confidence: float) -> Intervals:
    """Intervals of changes with their standard errors; the slices of a metric are a family."""
    families: dict[str, int] = {}
    for name, metric in changes:
        families[metric] = families.get(metric, 0) + (name != OVERALL)
    found = {}
    for (name, metric), (value, error) in changes.items():
        family = 1 if name == OVERALL else families[metric]
        estimate = family_interval(value, error, confidence, family)
        if estimate.low is not None and estimate.high is not None and error > 0:
            found[name, metric] = (estimate.low, estimate.high)
    return found


def _confidence(side: Evidence) -> float:
    """The confidence that a version's project asks for, or the default."""
    asked = _evaluation(side).get("confidence")
    if isinstance(asked, float) and 0 < asked < 1:
        return asked
    return EvaluationSection().confidence


def _evaluation(side: Evidence) -> Mapping[str, Any]:
    try:
        section = (read_config(side) or {}).get("evaluation")
    except PlatformError:  # said where parameters are compared
        return {}
    return section if isinstance(section, dict) else {}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _parsed(what: str, read: Callable[[], Any]) -> Any:
    """Reads a table whose columns may be others, or hold something else, than the platform's."""
    try:
        return read()
    except (TypeError, ValueError) as err:
        raise DataError(f"Reading {what} failed", received=str(err)) from err
