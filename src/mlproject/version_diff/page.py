"""Two versions compared, as an HTML page with nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mlproject.metrics import OVERALL
from mlproject.version_diff import words
from mlproject.version_diff.result import Section, VersionDiff
from mlproject.version_diff.values import (
    BETTER,
    CHANGED,
    NOISE,
    SAME,
    UNJUDGED,
    WORSE,
    Fact,
    FeatureShift,
    FileChange,
    MetricShift,
    RuleChange,
)
from mlproject.webpage import document
from mlproject.webpage.text import safe

MAX_LINE = 2_000
STYLE = """
th,td{padding:3px 10px 3px 0;border-bottom:1px solid var(--line);text-align:left;
vertical-align:top;overflow-wrap:break-word}
.any{overflow-wrap:anywhere}
thead th{color:var(--soft);font-size:12px}
tr.noise td,tr.noise th{color:var(--soft)}
nav a{margin-right:14px}
pre{margin:6px 0;font-size:12.5px;overflow-x:auto}
pre .add{color:var(--good)}pre .cut{color:var(--bad)}pre .at{color:var(--a)}
details{margin-top:8px}
"""
_CHIPS = {BETTER: "good", WORSE: "block", CHANGED: "warn", UNJUDGED: "warn"}
_LINES = {"+": "add", "-": "cut", "@": "at"}
Row = tuple[str, Sequence[str]]  # class of the row, HTML of its cells


def render(diff: VersionDiff) -> str:
    """The page: what differs, and folded what is the same."""
    links = "".join(
        f'<a href="#{name}">{words.TITLES[name]}</a>'
        + f'<span class="chip">{safe(words.summary(name, section) or "nothing recorded")}</span> '
        for name, section in diff.sections.items()
    )
    parts = "".join(_section(name, section) for name, section in diff.sections.items())
    title = f"{diff.before} and {diff.after}"
    body = f"<h1>{safe(title)}</h1><p>{safe(words.headline(diff))}</p><nav>{links}</nav>{parts}"
    return document(title, body, STYLE)


def _section(name: str, section: Section[Any]) -> str:
    told = "".join(f'<p class="soft">{safe(note, MAX_LINE)}</p>' for note in section.notes)
    told += "".join(
        f'<p><span class="chip warn">not compared</span> {safe(reason, MAX_LINE)}</p>'
        for reason in section.unjudged
    )
    first, folded = _fold(name, section)
    shown = _TABLES[name](first) if first else '<p class="none">No difference.</p>'
    if not section.items:
        shown = ""
    rest = ""
    if folded:
        word = "the same or within noise" if name == "metrics" else "the same"
        rest = (
            f"<details><summary>{len(folded):,} {word}</summary>{_TABLES[name](folded)}</details>"
        )
    return f'<h2 id="{name}">{words.TITLES[name]}</h2><div class="box">{told}{shown}{rest}</div>'


def _fold(name: str, section: Section[Any]) -> tuple[list[Any], list[Any]]:
    """What is shown at once, and what is folded."""
    items = words.slices_in_order(section.items) if name == "metrics" else section.items
    first = [item for item in items if item.differs and not _is_quiet(item)]
    kept = {id(item) for item in first}
    return first, [item for item in items if id(item) not in kept]


def _is_quiet(item: Any) -> bool:
    """Whether it is a change within noise on a slice."""
    return isinstance(item, MetricShift) and item.verdict == NOISE and item.slice != OVERALL


def _facts(items: Iterable[Fact]) -> str:
    rows = [
        ("", [safe(fact.name), _text(fact.before), _text(fact.after)])  # both, also where the same
        for fact in items
    ]
    return _table(("", "first", "second"), rows)


def _statistics(items: Iterable[FeatureShift]) -> str:
    rows = [
        (
            "",
            [
                safe(shift.split),
                safe(shift.feature),
                safe(words.kinds(shift)),
                safe(words.distances(shift)),
                "; ".join(safe(told) for told in words.numbers(shift, every=shift.differs)),
            ],
        )
        for shift in items
    ]
    return _table(("split", "feature", "kind", "distance", "first -> second"), rows)


def _rules(items: Iterable[RuleChange]) -> str:
    rows = [
        ("", [safe(c.feature), safe(c.type), safe(c.text, MAX_LINE), safe(c.effect)]) for c in items
    ]
    return _table(("feature", "type", "rule", "effect"), rows)


def _metrics(items: Iterable[MetricShift]) -> str:
    rows = [
        (
            "noise" if shift.verdict in (NOISE, SAME) else "",
            [
                safe(shift.slice),
                safe(shift.metric),
                safe(words.figure(shift.before)),
                safe(words.figure(shift.after)),
                safe(words.change(shift)),
                f'<span class="chip {_CHIPS.get(shift.verdict, "")}">'
                f"{safe(words.verdict(shift))}</span>",
            ],
        )
        for shift in items
    ]
    return _table(("slice", "metric", "first", "second", "change", ""), rows)


def _code(items: Iterable[FileChange]) -> str:
    parts = []
    for file in items:
        lines = "".join(_line(line) for line in file.lines)
        parts.append(f"<h3>{safe(file.name)} <span class='chip'>{safe(file.state)}</span></h3>")
        parts.append(f"<pre>{lines}</pre>" if lines else "")
    return "".join(parts)


def _line(line: str) -> str:
    text = safe(line.expandtabs(4), MAX_LINE)
    return f'<span class="{_LINES.get(line[:1], "")}">{text}</span>\n'


def _text(value: str | None) -> str:
    return words.NONE if value is None else f'<span class="any">{safe(value, MAX_LINE)}</span>'


def _table(heads: Sequence[str], rows: Iterable[Row]) -> str:
    head = "".join(f'<th scope="col">{safe(text)}</th>' for text in heads)
    body = "".join(
        f'<tr class="{kind}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for kind, cells in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


_TABLES: Mapping[str, Callable[[Iterable[Any]], str]] = {
    "version": _facts,
    "parameters": _facts,
    "data": _facts,
    "statistics": _statistics,
    "schema": _rules,
    "metrics": _metrics,
    "code": _code,
}
