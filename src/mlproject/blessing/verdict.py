"""The Blessing: a verdict with reasons, from metrics, cases and thresholds. Pure.

It fails closed: a metric that cannot be judged, no threshold at all, a case that could not be
asked or a model that was not tried in a server never bless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlproject.blessing.change_thresholds import change_checks
from mlproject.blessing.measured import Measured
from mlproject.blessing.override import Override
from mlproject.blessing.value_thresholds import value_checks
from mlproject.blessing.values import Blessing, Check, CheckOutcome, OverrideEffect, Verdict
from mlproject.cases.values import CaseResult
from mlproject.metrics import Difference, MetricRow
from mlproject.sections import EvaluationSection

INFRA_FILE = "infra.json"  # the trial in a server, as its step leaves it
INFRA_BLESSED, INFRA_NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"
NOT_VALIDATED = "NOT_VALIDATED"
TOLD_ONE_BY_ONE = 3  # slices of a family that passed; more are told as one
_RANK: Mapping[CheckOutcome, int] = {"fail": 0, "unjudged": 1, "pass": 2, "skipped": 3}


def bless(
    rows: Sequence[MetricRow],
    differences: Sequence[Difference],
    section: EvaluationSection,
    cases: Sequence[CaseResult],
    infra: Mapping[str, Any] | None,
    override: Override | None = None,
    *,
    compared: bool | None = None,
) -> Blessing:
    """Judges a candidate by what `project.yaml` asks for.

    Args:
        rows: The metrics of the candidate, and of the champion on the same rows if there is one.
        differences: Candidate minus champion, with the intervals of the paired bootstrap.
        section: The thresholds, the confidence and the directions of custom metrics.
        cases: The results of the behavioural cases.
        infra: The value of the step `infra_validate`: `verdict` and `reasons`; None where there
            is none.
        override: A person's word against a verdict of thresholds and cases. It never overrules
            the infra validation: a model that does not load must not be served.
        compared: Whether there is a champion; where left out, the rows tell. With True, a champion
            without metrics is a metric that is missing, and not a first model.

    Returns:
        The verdict with its reasons; see `estimate.py` for how intervals decide.
    """
    measured = Measured(rows, differences, section, compared)
    judged = [*_threshold_checks(measured), *_case_checks(section, cases)]
    trial = list(_infra_checks(infra))
    checks = _sorted([*judged, *trial])
    plain = _verdict(checks)
    reasons = _reasons(checks)
    if override is None:
        return Blessing(plain, reasons, tuple(checks), plain)
    if plain == "BLESSED":
        note = f"an override was not needed ({override})"
        return _overridden(plain, (*reasons, note), checks, plain, override, "not needed")
    if _verdict(trial) != "BLESSED":
        trial, judged = _sorted(trial), _sorted(judged)
        checks, first, rest = [*trial, *judged], _reasons(trial), _reasons(judged)
        note = f"the override did not apply: it never overrules the infra validation ({override})"
        return _overridden(plain, (*first, note, *rest), checks, plain, override, "refused")
    note = f"{plain} overruled {override}"
    return _overridden("BLESSED", (note, *reasons), checks, plain, override, "applied")


def _overridden(
    verdict: Verdict,
    reasons: tuple[str, ...],
    checks: Sequence[Check],
    plain: Verdict,
    override: Override,
    effect: OverrideEffect,
) -> Blessing:
    return Blessing(verdict, reasons, tuple(checks), plain, override, effect)


def _threshold_checks(measured: Measured) -> list[Check]:
    section = measured.section
    checks: list[Check] = []
    for metric, bounds in section.value_thresholds.items():
        for bound in bounds:
            checks += _of_family(metric, bound.slices, value_checks(metric, bound, measured))
    for metric, changes in section.change_thresholds.items():
        if measured.has_champion:
            for change in changes:
                found = change_checks(metric, change, measured)
                checks += _of_family(metric, change.slices, found)
        else:
            reason = f"no champion yet: the change threshold on {metric} did not apply"
            checks.append(Check("thresholds", "skipped", reason))
    if not any(check.outcome in ("pass", "fail") for check in checks):
        reason = "no threshold could be applied; set evaluation.value_thresholds in project.yaml"
        checks.append(Check("thresholds", "unjudged", reason))
    return checks


def _of_family(metric: str, slices: Sequence[str], checks: Iterable[Check]) -> list[Check]:
    """The checks of one threshold, those that passed on `COLUMN=*` marked as a family."""
    starred = ", ".join(name for name in slices if name.endswith("=*"))
    return [
        replace(check, family=f"{metric} on {starred}")
        if starred and check.outcome in ("pass", "skipped") and not check.in_doubt
        else check
        for check in checks
    ]


def _reasons(checks: Sequence[Check]) -> tuple[str, ...]:
    """What the checks say, a family that passed as one."""
    families = Counter((check.family, check.outcome) for check in checks if check.family)
    told: set[tuple[str, str]] = set()
    reasons = []
    for check in checks:
        key = check.family, check.outcome
        if families[key] <= TOLD_ONE_BY_ONE:
            reasons.append(check.reason)
        elif key not in told:
            told.add(key)
            words = "slices pass" if check.outcome == "pass" else "slices could not be judged"
            example = f"such as: {check.reason}"
            reasons.append(f"{check.family}: {families[key]} {words}, {example}")
    return tuple(reasons)


def _case_checks(section: EvaluationSection, cases: Sequence[CaseResult]) -> Iterator[Check]:
    held = sum(case.outcome == "pass" for case in cases)
    for case in cases:
        if case.outcome != "pass":
            outcome: CheckOutcome = "fail" if case.outcome == "fail" else "unjudged"
            words = "failed" if outcome == "fail" else "could not be judged"
            yield Check("cases", outcome, f"{case.kind} case '{case.name}' {words}: {case.reason}")
    if held:
        yield Check("cases", "pass", f"{held} of {len(cases)} behavioural cases hold")
    if section.cases and not cases:
        yield Check("cases", "unjudged", f"the behavioural cases of {section.cases} were not asked")


def _infra_checks(infra: Mapping[str, Any] | None) -> Iterator[Check]:
    verdict = infra.get("verdict") if infra else None
    outcome: CheckOutcome = "unjudged"
    if verdict in (INFRA_BLESSED, INFRA_NOT_BLESSED):
        outcome = "pass" if verdict == INFRA_BLESSED else "fail"
    said = [str(reason) for reason in (infra or {}).get("reasons") or ()]
    if not said:
        said = [f"verdict {verdict}" if verdict else "the model was not tried in a server"]
    for reason in said:
        yield Check("infra", outcome, f"infra: {reason}")


def _sorted(checks: Iterable[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: _RANK[check.outcome])


def _verdict(checks: Iterable[Check]) -> Verdict:
    outcomes = {check.outcome for check in checks}
    if "fail" in outcomes:
        return "NOT_BLESSED"
    if "unjudged" in outcomes or not outcomes:
        return "NOT_VALIDATED"
    return "BLESSED"
