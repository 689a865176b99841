"""The Blessing: a verdict with reasons, from metrics and thresholds. Pure: no file, no library.

It fails closed: a metric that cannot be judged, or no threshold at all, never blesses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, MetricRow
from mlproject.sections import ChangeThreshold, EvaluationSection, ValueThreshold

Verdict = Literal["BLESSED", "NOT_BLESSED", "NOT_VALIDATED"]
Outcome = Literal["pass", "fail", "unjudged", "skipped"]
HIGHER_IS_BETTER: Mapping[str, bool] = {"auc": True, "accuracy": True, "log_loss": False}
ROUNDING = 1e-12  # 0.9 - 0.897 is 0.003 and a little more in floating point


@dataclass(frozen=True)
class Check:
    """One threshold on one slice.

    Attributes:
        outcome: `pass`, `fail`, `unjudged` (withholds the blessing) or `skipped` (does not).
        reason: The outcome in plain words.
    """

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Blessing:
    """The verdict on a candidate.

    Attributes:
        verdict: `BLESSED`; `NOT_BLESSED` where a threshold failed; `NOT_VALIDATED` where none
            failed and something could not be judged.
        reasons: Why, in plain words; what decided comes first.
    """

    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def blessed(self) -> bool:
        """True only for `BLESSED`."""
        return self.verdict == "BLESSED"


class _Threshold(Protocol):
    @property
    def slices(self) -> tuple[str, ...]: ...


def bless(rows: Sequence[MetricRow], section: EvaluationSection) -> Blessing:
    """Judges a candidate by the thresholds of `project.yaml`.

    Args:
        rows: The metrics of the candidate, and of the champion on the same rows if there is one.
        section: The thresholds.

    Returns:
        The verdict with its reasons.
    """
    checks = list(_checks(rows, section))
    if not any(check.outcome in ("pass", "fail") for check in checks):
        checks.append(
            Check(
                "unjudged",
                "no threshold could be applied; set evaluation.value_thresholds in project.yaml",
            )
        )
    outcomes = {check.outcome for check in checks}
    verdict: Verdict = "BLESSED"
    if "fail" in outcomes:
        verdict = "NOT_BLESSED"
    elif "unjudged" in outcomes:
        verdict = "NOT_VALIDATED"
    rank = {"fail": 0, "unjudged": 1, "pass": 2, "skipped": 3}
    checks.sort(key=lambda check: rank[check.outcome])
    return Blessing(verdict, tuple(check.reason for check in checks))


def _checks(rows: Sequence[MetricRow], section: EvaluationSection) -> Iterator[Check]:
    candidate = {row.slice: row for row in rows if row.model == CANDIDATE}
    champion = {row.slice: row for row in rows if row.model == CHAMPION}
    for metric, threshold in section.value_thresholds.items():
        for name, required in _slices(threshold, candidate):
            yield _value_check(metric, threshold, name, required, candidate.get(name))
    for metric, change in section.change_thresholds.items():
        if not champion:
            yield Check(
                "skipped", f"no champion yet: the change threshold on {metric} did not apply"
            )
            continue
        for name, required in _slices(change, candidate):
            yield _change_check(
                metric, change, name, required, candidate.get(name), champion.get(name)
            )


def _slices(threshold: _Threshold, known: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """The slices that a threshold holds, and whether each must be judged."""
    names = list(known)
    for wanted in threshold.slices:
        values = [n for n in names if wanted.endswith("=*") and n.startswith(wanted[:-1])]
        if values:
            yield from ((n, False) for n in values)
        else:
            yield wanted, True


def _value_check(
    metric: str, threshold: ValueThreshold, name: str, required: bool, row: MetricRow | None
) -> Check:
    value = getattr(row, metric) if row else None
    if value is None or not math.isfinite(value):
        return _no_value(metric, name, required, row)
    where = _where(metric, name)
    if threshold.min is not None and value < threshold.min:
        return Check("fail", f"{where} is {value:.4f}, below the least allowed {threshold.min:g}")
    if threshold.max is not None and value > threshold.max:
        return Check("fail", f"{where} is {value:.4f}, above the most allowed {threshold.max:g}")
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("at least", threshold.min), ("at most", threshold.max))
        if bound is not None
    ]
    return Check("pass", f"{where} is {value:.4f} ({' and '.join(bounds)} wanted)")


def _change_check(
    metric: str,
    threshold: ChangeThreshold,
    name: str,
    required: bool,
    candidate: MetricRow | None,
    champion: MetricRow | None,
) -> Check:
    new = getattr(candidate, metric) if candidate else None
    old = getattr(champion, metric) if champion else None
    if new is None or not math.isfinite(new):
        return _no_value(metric, name, required, candidate)
    if old is None or not math.isfinite(old):
        return _no_value(metric, name, required, champion, " of the champion")
    loss = old - new if HIGHER_IS_BETTER[metric] else new - old
    where = _where(metric, name)
    if loss > threshold.max_loss + ROUNDING:
        return Check(
            "fail",
            f"{where} is {new:.4f}, worse than the champion's {old:.4f} by {loss:.4f}; "
            f"allowed {threshold.max_loss:g}",
        )
    word = "worse" if loss > 0 else "better"
    return Check(
        "pass",
        f"{where} is {new:.4f}, {word} than the champion's {old:.4f} by {abs(loss):.4f} "
        f"(worse by {threshold.max_loss:g} allowed)"
        if loss
        else f"{where} is {new:.4f}, equal to the champion's",
    )


def _no_value(
    metric: str, name: str, required: bool, row: MetricRow | None, whose: str = ""
) -> Check:
    value = getattr(row, metric) if row else None
    why = f"{row.examples} rows are too few, or of one class" if row else "there are no such rows"
    if value is not None:
        why = f"it is {value}"
    outcome: Outcome = "unjudged" if required or value is not None else "skipped"
    return Check(outcome, f"{_where(metric, name)}{whose} could not be judged: {why}")


def _where(metric: str, name: str) -> str:
    return f"{metric} overall" if name == OVERALL else f"{metric} on {name}"
