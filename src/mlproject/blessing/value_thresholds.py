"""Value thresholds: absolute bounds on the candidate's metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlproject.blessing.estimate import (
    Estimate,
    Standing,
    family_interval,
    stands,
)
from mlproject.blessing.measured import Measured, where
from mlproject.blessing.numbers import apart
from mlproject.blessing.slices import Held, held_slices
from mlproject.blessing.values import Check
from mlproject.metrics import OVERALL
from mlproject.metrics.names import ANY, BOUNDS
from mlproject.sections import ValueThreshold
from mlproject.sections.evaluation import Judge


def value_checks(metric: str, threshold: ValueThreshold, measured: Measured) -> Iterator[Check]:
    """One check for each slice that a value threshold holds."""
    entries = measured.section.slices
    held = held_slices(threshold.slices, measured.slices, entries)
    rows = {slice_.name: measured.candidate(metric, slice_.name) for slice_ in held}
    family = sum(not s.named and measured.value(rows[s.name]) is not None for s in held)
    for slice_ in held:
        row = rows[slice_.name]
        value = measured.value(row)
        if row is None or value is None:
            yield measured.unjudged(metric, slice_.name, slice_.named, row)
        else:
            if slice_.named:
                estimate = Estimate(value, row.low, row.high)
            else:
                confidence = measured.section.confidence
                wide = family_interval(value, row.standard_error, confidence, family)
                estimate = wide.within(*BOUNDS.get(metric, ANY))
            check = _check(metric, threshold, row.slice, estimate)
            unmeasured = row.standard_error is None
            yield check or no_interval(metric, slice_, threshold.judge, unmeasured, estimate)


def judge_of(judge: Judge | None, name: str) -> Judge:
    """How a slice is judged: as the threshold says, else `point` overall and `significant`."""
    return judge or ("point" if name == OVERALL else "significant")


def no_interval(
    metric: str, slice_: Held, judge: Judge | None, unmeasured: bool, estimate: Estimate
) -> Check:
    """The check of a value whose uncertainty is not known, by a judge that needs it.

    Args:
        metric: The metric.
        slice_: The slice. One of `COLUMN=*` is passed over, as one with a single class is, where
            significance is asked for and the bootstrap could not measure it.
        judge: As the threshold has it.
        unmeasured: The evaluation has no interval there, as opposed to one that is broken.
        estimate: What was measured; where it has an interval, that has no width.
    """
    asked = judge_of(judge, slice_.name)
    why = (
        "its confidence interval has no width, since every resample says the same: that is no "
        f"proof, which `judge: {asked}` asks for (give more rows, or choose another judge)"
        if estimate.has_interval
        else f"it has no confidence interval, which `judge: {asked}` needs (has the slice hardly "
        "any row of one class? name the slices that are to be held, or choose another metric)"
    )
    reason = f"{where(metric, slice_.name)} could not be judged: {why}"
    passed_over = unmeasured and not slice_.named and asked == "significant"
    return Check("thresholds", "skipped" if passed_over else "unjudged", reason)


def _check(metric: str, threshold: ValueThreshold, name: str, estimate: Estimate) -> Check | None:
    """The check of a value; None where the judge needs an interval that is not there."""
    judge = judge_of(threshold.judge, name)
    wanted, notes = [], []
    for bound, least in ((threshold.min, True), (threshold.max, False)):
        if bound is None:
            continue
        side = estimate.negative if least else estimate
        result = stands(side, -bound if least else bound, judge)
        if result is None:
            return None
        passed, standing = result
        beyond = estimate.value < bound if least else estimate.value > bound
        if not passed:
            reason = _failure(where(metric, name), estimate, bound, least, beyond)
            return Check("thresholds", "fail", reason)
        wanted.append(f"at {'least' if least else 'most'} {bound:g}")
        notes += _doubt(standing, beyond, least)
    said = f"{where(metric, name)} is {_told(estimate, threshold)}{estimate.interval}"
    words = "; ".join([f"{' and '.join(wanted)} wanted", *notes])
    reason = f"{said} ({words}{estimate.widened})"
    return Check("thresholds", "pass", reason, in_doubt=bool(notes))


def _failure(what: str, estimate: Estimate, bound: float, least: bool, beyond: bool) -> str:
    value = f"{what} is {apart(estimate.value, bound)}{estimate.interval}"
    words = ("below the least", "at least") if least else ("above the most", "at most")
    if beyond:
        return f"{value}, {words[0]} allowed {bound:g}{estimate.widened}"
    return f"{value}, not proven to be {words[1]} {bound:g}{estimate.widened}"


def _doubt(standing: Standing, beyond: bool, least: bool) -> list[str]:
    if standing == "in doubt" and beyond:
        return [f"{'below' if least else 'above'} it, but within noise"]
    return []


def _told(estimate: Estimate, threshold: ValueThreshold) -> str:
    bounds = [bound for bound in (threshold.min, threshold.max) if bound is not None]
    return max((apart(estimate.value, bound) for bound in bounds), key=len)
