"""What MLflow's evaluation API needs to judge and show the metrics on all rows. Pure.

MLflow compares one value with one bound: `threshold` is absolute; `min_absolute_change` (above 0)
and `min_relative_change` (0 to 1) are *improvements* on the baseline that it asks for. It knows no
slice, no interval and no loss that is allowed. So what it can say of our thresholds is:

    value threshold `min`, more is better      threshold
    value threshold `max`, less is better      threshold
    `max_loss` below 0 (an improvement)        min_absolute_change
    `max_relative_loss` below 0                min_relative_change
    `max_loss` or `max_relative_loss` of 0     min_relative_change of 0.0

The relative ones hold for a champion's value other than 0: at 0 MLflow asks for 1e-10 more. All
are for `judge: point` on `overall`. Of several bounds of one kind the strictest stands for all.
Benison lets a value be beyond its bound by 1e-12 (rounding); MLflow does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlproject.blessing.change_thresholds import higher_is_better
from mlproject.evaluation.table import overall_values
from mlproject.metrics import CHAMPION, OVERALL, MetricRow

if TYPE_CHECKING:
    from mlproject.sections import ChangeThreshold, EvaluationSection, ValueThreshold

_PREFIX = f"{CHAMPION}_"


@dataclass(frozen=True)
class MlflowEvaluation:
    """Plain values for `mlflow.validate_evaluation_results`.

    Attributes:
        candidate: `EvaluationResult(metrics=...)` of the candidate.
        baseline: The same of the champion; None where there is none.
        thresholds: Metric -> keyword arguments of `MetricThreshold`.
        not_mapped: Our thresholds that MLflow cannot state, each with why.
    """

    candidate: Mapping[str, float]
    baseline: Mapping[str, float] | None
    thresholds: Mapping[str, Mapping[str, Any]]
    not_mapped: tuple[str, ...]


def mlflow_evaluation(rows: Sequence[MetricRow], section: EvaluationSection) -> MlflowEvaluation:
    """Metrics and thresholds as MLflow's evaluation has them.

    Args:
        rows: The metrics of an Evaluation.
        section: `evaluation` of project.yaml.
    """
    values = overall_values(rows)
    champions = {
        name.removeprefix(_PREFIX): v for name, v in values.items() if name.startswith(_PREFIX)
    }
    candidate = {name: v for name, v in values.items() if not name.startswith(_PREFIX)}
    baseline = champions if any(row.model == CHAMPION for row in rows) else None
    thresholds: dict[str, dict[str, Any]] = {}
    not_mapped: list[str] = []
    for metric, words, found in _mapped(section, baseline):
        if isinstance(found, str):
            not_mapped.append(f"{metric} {words}: {found}")
        else:
            higher = higher_is_better(metric, section)
            before = thresholds.setdefault(metric, {"greater_is_better": higher})
            thresholds[metric] = _strictest(before, found)
    return MlflowEvaluation(candidate, baseline, thresholds, tuple(not_mapped))


Mapped = tuple[str, str, Mapping[str, float] | str]
"""A metric, our threshold in words, and MLflow's fields, or why there are none."""


def _mapped(section: EvaluationSection, baseline: Mapping[str, float] | None) -> Iterator[Mapped]:
    for metric, bounds in section.value_thresholds.items():
        for bound in bounds:
            for name in bound.slices:
                yield from _of_value(metric, bound, name, section)
    for metric, changes in section.change_thresholds.items():
        for change in changes:
            for name in change.slices:
                yield _of_change(metric, change, name, baseline)


def _of_value(
    metric: str, bound: ValueThreshold, name: str, section: EvaluationSection
) -> Iterator[Mapped]:
    higher = higher_is_better(metric, section)
    for word, limit, says in (("min", bound.min, higher), ("max", bound.max, not higher)):
        if limit is None:
            continue
        words = f"{word} {limit:g} on {name}"
        unfit = _unfit(name, bound.judge)
        if not unfit and not says:
            side = "less" if word == "min" else "more"
            unfit = f"MLflow bounds only the worse side, and {side} of {metric} is better"
        yield metric, words, unfit or {"threshold": float(limit)}


def _of_change(
    metric: str, change: ChangeThreshold, name: str, baseline: Mapping[str, float] | None
) -> Mapped:
    absolute = change.max_loss is not None
    loss = change.max_loss if change.max_loss is not None else change.max_relative_loss or 0.0
    words = f"{'max_loss' if absolute else 'max_relative_loss'} {loss:g} on {name}"
    unfit = _unfit(name, change.judge)
    if unfit:
        return metric, words, unfit
    if baseline is None:
        return metric, words, "there is no champion"
    if loss > 0:
        return metric, words, "MLflow asks for improvements and allows no loss"
    if absolute and loss < 0:
        return metric, words, {"min_absolute_change": -float(loss)}
    if not baseline.get(metric):
        return metric, words, "MLflow compares otherwise where the champion has 0 or no value"
    if loss < -1:
        return metric, words, "MLflow asks for at most twice the champion's value"
    return metric, words, {"min_relative_change": -float(loss) or 0.0}


def _unfit(name: str, judge: str | None) -> str | None:
    if name != OVERALL:
        return "MLflow knows no slices"
    if judge not in (None, "point"):
        return f"MLflow knows no intervals, which `judge: {judge}` looks at"
    return None


def _strictest(before: Mapping[str, Any], found: Mapping[str, float]) -> dict[str, Any]:
    """Both thresholds in one: the higher improvement, and the tighter bound of a value."""
    joined = dict(before)
    for name, value in found.items():
        loosest = name == "threshold" and not before["greater_is_better"]
        pick = min if loosest else max
        joined[name] = pick(joined.get(name, value), value)
    return joined
