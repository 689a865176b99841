"""The table of slices: all of them as data for the page's script, some of them without it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.report.content import EvaluationReport
from mlproject.report.judgement import Mark, mark_of, value_and_interval
from mlproject.webpage.text import count, plain, safe

WITHOUT_SCRIPT = 100  # slices that a browser without scripts, and a printer before it, sees
NAME_LIMIT = 300
CHIPS: Mapping[Mark, str] = {
    "better": "good",
    "worse": "block",
    "not clear": "",
    "could not judge": "warn",
}
_HEADS = (
    ("slice", "slice"),
    ("rows", "rows"),
    ("candidate", CANDIDATE),
    ("champion", CHAMPION),
    ("difference", "difference"),
    ("mark", "change"),
)


def slice_table(report: EvaluationReport, main_metric: str) -> str:
    """The table, its controls and its data.

    Args:
        report: What the page shows.
        main_metric: Metric that is shown first.
    """
    compared = any(row.model == CHAMPION for row in report.rows)
    metrics = list(dict.fromkeys((main_metric, *(row.metric for row in report.rows))))
    examples: dict[str, int] = {}
    for row in report.rows:
        examples[row.slice] = max(examples.get(row.slice, 0), row.examples)
    names = sorted(examples, key=lambda name: (name != OVERALL, -examples[name], name))
    heads = "".join(
        f'<th scope="col" data-key="{key}"><button type="button">{name}</button></th>'
        for key, name in _HEADS
        if compared or key in ("slice", "rows", "candidate")
    )
    body = _static_rows(report, names[:WITHOUT_SCRIPT], examples, main_metric, compared)
    more = len(names) - WITHOUT_SCRIPT
    rest = f"{count(more)} more slices need the page's script." if more > 0 else ""
    return (
        f"{_controls(metrics, compared)}"
        '<div class="scroll box"><table class="slices" id="slices">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="soft"><button type="button" id="more" hidden>Show more</button> '
        f'<span id="rest">{rest}</span></p>'
        f'<script type="application/json" id="data">{_data(report, names, examples, metrics)}'
        "</script>"
    )


def value_cell(row: MetricRow | None) -> str:
    """A value with its interval as a table's cell."""
    if row is None:
        return "<td></td>"
    text, ends = value_and_interval(row.value, row.low, row.high)
    if not text:
        return '<td><span class="none">could not judge</span></td>'
    return f'<td>{text}<span class="soft"> {ends}</span></td>'


def difference_cells(difference: Difference | None, higher_is_better: bool | None) -> str:
    """A difference with its interval, and its mark, as two cells of a table."""
    text = ends = ""
    if difference is not None:
        text, ends = value_and_interval(
            difference.value, difference.low, difference.high, signed=True
        )
    mark = mark_of(difference, higher_is_better)
    return (
        f'<td>{text}<span class="soft"> {ends}</span></td>'
        f'<td><span class="chip {CHIPS[mark]}">{mark}</span></td>'
    )


def _controls(metrics: Iterable[str], compared: bool) -> str:
    options = "".join(
        f'<option value="{place}">{safe(metric, 60)}</option>'
        for place, metric in enumerate(metrics)
    )
    shown = (
        ("better", "worse", "not clear", "could not judge") if compared else ("could not judge",)
    )
    kinds = "".join(f'<option value="{name}">{name}</option>' for name in shown)
    return (
        '<div class="bar" id="bar" hidden>'
        '<input type="search" id="search" placeholder="Search slices" aria-label="Search slices">'
        f'<label>Metric <select id="metric">{options}</select></label>'
        f'<label>Show <select id="kind"><option value="">all</option>{kinds}</select></label>'
        '<span class="soft" id="seen"></span></div>'
    )


def _static_rows(
    report: EvaluationReport,
    names: Iterable[str],
    examples: Mapping[str, int],
    metric: str,
    compared: bool,
) -> str:
    rows = {(row.slice, row.model): row for row in report.rows if row.metric == metric}
    differences = {d.slice: d for d in report.differences if d.metric == metric}
    better = report.about.higher_is_better(metric)
    lines = []
    for name in names:
        line = f"<th>{safe(name, NAME_LIMIT)}</th><td>{count(examples[name])}</td>"
        line += value_cell(rows.get((name, CANDIDATE)))
        if compared:
            line += value_cell(rows.get((name, CHAMPION)))
            line += difference_cells(differences.get(name), better)
        lines.append(f"<tr>{line}</tr>")
    return "".join(lines)


def _data(
    report: EvaluationReport,
    names: list[str],
    examples: Mapping[str, int],
    metrics: list[str],
) -> str:
    """All slices as JSON that can stand in a script element: without `<`, `>` and `&`.

    Of each metric and series there are three numbers a slice, one after the other: the value and
    the ends of its interval.
    """
    place = {name: at for at, name in enumerate(names)}
    values: dict[str, dict[str, list[float | None]]] = {metric: {} for metric in metrics}

    def put(metric: str, series: str, row: MetricRow | Difference) -> None:
        if metric in values and row.slice in place:
            own = values[metric]
            if series not in own:
                own[series] = [None] * (3 * len(names))
            at = 3 * place[row.slice]
            own[series][at : at + 3] = _short(row.value), _short(row.low), _short(row.high)

    for row in report.rows:
        if row.model in (CANDIDATE, CHAMPION):
            put(row.metric, row.model, row)
    for difference in report.differences:
        put(difference.metric, "difference", difference)
    data: dict[str, Any] = {
        "slices": [plain(name, NAME_LIMIT) for name in names],
        "rows": [examples[name] for name in names],
        "better": [report.about.higher_is_better(metric) for metric in metrics],
        "values": [values[metric] for metric in metrics],
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _short(value: float | None) -> float | None:
    """Six digits: the page shows four decimals."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
