"""Change thresholds: how much worse than the champion the candidate may be. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mlproject.blessing.estimate import Estimate, family_interval, stands
from mlproject.blessing.measured import Measured, where
from mlproject.blessing.numbers import apart, number
from mlproject.blessing.slices import Held, held_slices
from mlproject.blessing.value_thresholds import judge_of, no_interval
from mlproject.blessing.values import Check
from mlproject.metrics import HIGHER_IS_BETTER, Difference
from mlproject.sections import ChangeThreshold, EvaluationSection

ROUNDING = 1e-12  # 0.9 - 0.897 is 0.003 and a little more in floating point


def change_checks(metric: str, threshold: ChangeThreshold, measured: Measured) -> Iterator[Check]:
    """One check for each slice that a change threshold holds; there is a champion."""
    higher = higher_is_better(metric, measured.section)
    if higher is None:
        reason = f"{metric} could not be judged: nothing says whether more of it is better"
        yield Check("thresholds", "unjudged", reason)
        return
    held = held_slices(threshold.slices, measured.slices, measured.section.slices)
    family = sum(not s.named and _values(metric, s.name, measured) is not None for s in held)
    for slice_ in held:
        yield _check(metric, threshold, slice_, measured, higher, family)


def higher_is_better(metric: str, section: EvaluationSection) -> bool | None:
    """Whether more of a metric is better; None where nobody said."""
    if metric in section.custom_metrics:
        return section.custom_metrics[metric] == "higher"
    return HIGHER_IS_BETTER.get(metric)


def loss_allowed(threshold: ChangeThreshold, champion: float) -> float:
    """The loss that a threshold allows, absolute, in the metric's unit.

    A relative one is a share of the size of the champion's value, |value|: so it is defined for
    a value below 0 (R2 of -0.5 and 0.01: 0.005 may be lost), and allows no loss at 0. The
    champion's value is taken as it was measured; its own uncertainty has no part in it.
    """
    if threshold.max_loss is not None:
        return threshold.max_loss
    return (threshold.max_relative_loss or 0.0) * abs(champion)


def _values(metric: str, name: str, measured: Measured) -> tuple[float, float] | None:
    """The candidate's value and the champion's; None where either cannot be judged."""
    new = measured.value(measured.candidate(metric, name))
    old = measured.value(measured.champion(metric, name))
    return None if new is None or old is None else (new, old)


def _check(
    metric: str,
    threshold: ChangeThreshold,
    slice_: Held,
    measured: Measured,
    higher: bool,
    family: int,
) -> Check:
    values = _values(metric, slice_.name, measured)
    if values is None:
        return _unjudged(metric, slice_, measured)
    found = measured.difference(metric, slice_.name)
    gap = _gap(values[0] - values[1], found, slice_, measured.section.confidence, family)
    loss = gap.negative if higher else gap
    allowed = loss_allowed(threshold, values[1])
    judge = judge_of(threshold.judge, slice_.name)
    result = stands(loss, allowed + ROUNDING, judge)
    if result is None:
        unmeasured = found is not None and found.standard_error is None
        return no_interval(metric, slice_, threshold.judge, unmeasured, gap)
    passed, standing = result
    words = "" if passed or loss.value > allowed else ", not proven to be no more"
    if passed and standing == "in doubt" and loss.value > allowed:
        words = ": within noise"
    reason = (
        f"{_move(where(metric, slice_.name), gap, loss, allowed)}, {_allowed(allowed, loss.value)}"
        f"{words} ({_told(values)}{_share(threshold)}{loss.widened})"
    )
    in_doubt = bool(words) and passed
    return Check("thresholds", "pass" if passed else "fail", reason, in_doubt=in_doubt)


def _unjudged(metric: str, slice_: Held, measured: Measured) -> Check:
    new = measured.candidate(metric, slice_.name)
    if measured.value(new) is None:
        return measured.unjudged(metric, slice_.name, slice_.named, new)
    old = measured.champion(metric, slice_.name)
    return measured.unjudged(metric, slice_.name, slice_.named, old, " of the champion")


def _gap(
    value: float, found: Difference | None, slice_: Held, confidence: float, family: int
) -> Estimate:
    """Candidate minus champion."""
    if slice_.named:
        return Estimate(value, found.low if found else None, found.high if found else None)
    return family_interval(value, found.standard_error if found else None, confidence, family)


def _move(what: str, gap: Estimate, loss: Estimate, allowed: float) -> str:
    """`auc on company=Flash Cab fell 0.021 [0.012, 0.03]`."""
    if gap.value == 0:
        return f"{what} is equal to the champion's{gap.interval}"
    worse = loss.value > 0
    shown = loss if worse else loss.negative
    verb = "fell" if gap.value < 0 else "rose"
    size = apart(shown.value, allowed) if worse else number(shown.value)
    return f"{what} {verb} {size}{shown.interval}"


def _allowed(allowed: float, loss: float) -> str:
    if allowed < 0:
        return f"an improvement of {number(-allowed)} wanted"
    return f"allowed {apart(allowed, loss)}" if loss > 0 else f"a loss of {number(allowed)} allowed"


def _told(values: tuple[float, float]) -> str:
    return f"{apart(values[0], values[1])}, the champion {apart(values[1], values[0])}"


def _share(threshold: ChangeThreshold) -> str:
    if threshold.max_relative_loss is None:
        return ""
    return f"; allowed {threshold.max_relative_loss:.4g} of the champion's value"
