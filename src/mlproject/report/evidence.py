"""Parts of the report beside the metrics: cases, the trial in a server, importance, thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlproject.cases.values import CaseResult
from mlproject.explanation.importance import Importance
from mlproject.metrics import OVERALL
from mlproject.report.judgement import value_and_interval
from mlproject.sections import ChangeThreshold, EvaluationSection, ValueThreshold
from mlproject.webpage.text import number, safe

OUTCOMES = {"pass": "good", "fail": "block"}
TRIALS = {"INFRA_BLESSED": "good", "INFRA_NOT_BLESSED": "block"}
TEXT_LIMIT = 1_000
MAX_FEATURES = 100


def cases_part(cases: Sequence[CaseResult]) -> str:
    """The behavioural cases, those that do not hold first."""
    if not cases:
        return ""
    rank = {"fail": 0, "unjudged": 1, "pass": 2}
    lines = "".join(
        f'<tr><td><span class="chip {OUTCOMES.get(case.outcome, "warn")}">{safe(case.outcome)}'
        f"</span></td><td>{safe(case.name)}</td><td>{safe(case.kind)}</td>"
        f"<td>{safe(case.reason, TEXT_LIMIT)}</td></tr>"
        for case in sorted(cases, key=lambda case: rank.get(case.outcome, 1))
    )
    return f"<h2>Behavioural cases</h2>{_table(('outcome', 'case', 'kind', 'why'), lines)}"


def infra_part(infra: Mapping[str, Any] | None) -> str:
    """The trial of the model in a server: verdict, reasons and what was measured."""
    if infra is None:
        return ""
    verdict = str(infra.get("verdict", "NOT_VALIDATED"))
    reasons = "".join(f"<li>{safe(text, TEXT_LIMIT)}</li>" for text in infra.get("reasons", ()))
    found = {n: infra[n] for n in ("server",) if n in infra} | dict(infra.get("measurements") or {})
    measured = "".join(
        f"<dt>{safe(_with_unit(str(name)))}</dt><dd>{safe(_said(value), TEXT_LIMIT)}</dd>"
        for name, value in found.items()
    )
    return (
        '<h2>Trial in a server</h2><div class="box">'
        f'<span class="chip verdict {TRIALS.get(verdict, "warn")}">{safe(verdict)}</span>'
        f'<ul class="reasons">{reasons}</ul><dl class="facts">{measured}</dl></div>'
    )


def importance_part(importance: Sequence[Importance]) -> str:
    """Permutation importance, the largest first, each with its interval."""
    if not importance:
        return ""
    ranked = sorted(importance, key=lambda i: -(i.drop if i.drop is not None else float("-inf")))
    longest = max((abs(i.drop) for i in ranked if i.drop is not None), default=0.0)
    lines = []
    for found in ranked[:MAX_FEATURES]:
        if found.drop is None:
            bar, said = "", '<span class="none">could not judge</span>'
        else:
            width = 100 * abs(found.drop) / longest if longest else 0
            look = "side0" if found.drop >= 0 else "loss"
            bar = f'<i class="{look}" style="width:{width:.2f}%"></i>'
            text, ends = value_and_interval(found.drop, found.low, found.high, signed=True)
            said = f'{text}<span class="soft"> {ends}</span>'
        lines.append(f"<tr><th>{safe(found.feature)}</th><td>{bar}</td><td>{said}</td></tr>")
    more = len(ranked) - MAX_FEATURES
    rest = f'<p class="soft">and {more:,} features that matter less</p>' if more > 0 else ""
    return (
        '<h2>Permutation importance</h2><div class="box">'
        '<p class="soft">How much worse the metric gets when one feature is shuffled; below 0 it '
        "gets better. Features that tell the same share their importance.</p>"
        f'<table class="list drops">{"".join(lines)}</table>{rest}</div>'
    )


def thresholds_part(section: EvaluationSection | None) -> str:
    """The thresholds as `project.yaml` has them."""
    if section is None:
        return ""
    lines = []
    for metric, bounds in section.value_thresholds.items():
        lines += [_line(metric, _value_bound(bound), bound) for bound in bounds]
    for metric, changes in section.change_thresholds.items():
        lines += [_line(metric, _change_bound(bound), bound) for bound in changes]
    if not lines:
        lines = ['<tr><td colspan="4" class="none">none are set: nothing can be blessed</td></tr>']
    heads = ("metric", "asked for", "slices", "judged by")
    return f"<h2>Thresholds</h2>{_table(heads, ''.join(lines))}"


def _line(metric: str, bound: str, threshold: ValueThreshold | ChangeThreshold) -> str:
    kinds = {"point" if slice_ == OVERALL else "significant" for slice_ in threshold.slices}
    judge = threshold.judge or " overall, ".join(sorted(kinds)) + " on slices" * (len(kinds) - 1)
    slices = ", ".join(threshold.slices)
    cells = (metric, bound, slices, judge)
    return "<tr>" + "".join(f"<td>{safe(cell, TEXT_LIMIT)}</td>" for cell in cells) + "</tr>"


def _value_bound(threshold: ValueThreshold) -> str:
    bounds = (("at least", threshold.min), ("at most", threshold.max))
    return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


def _change_bound(threshold: ChangeThreshold) -> str:
    if threshold.max_loss is not None:
        return f"worse than the champion by {threshold.max_loss:g} at most"
    return f"worse than the champion by {threshold.max_relative_loss:g} of its value at most"


def _with_unit(name: str) -> str:
    """The name of a measurement in words: `memory_mb` is `memory, MiB`."""
    words, _, last = name.rpartition("_")
    unit = {"s": "s", "ms": "ms", "mb": "MiB"}.get(last)
    return f"{words.replace('_', ' ')}, {unit}" if unit and words else name.replace("_", " ")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _table(heads: Sequence[str], lines: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="scroll box"><table class="plain">'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
