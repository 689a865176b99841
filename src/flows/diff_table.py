"""Two versions compared, as sections of text on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from flows.console import shorten_middle
from mlproject.metrics import OVERALL
from mlproject.schema.diff import NARROWED, WIDENED
from mlproject.version_diff import words
from mlproject.version_diff.result import VersionDiff
from mlproject.version_diff.values import (
    BETTER,
    CHANGED,
    NOISE,
    SAME,
    UNCHANGED,
    UNJUDGED,
    WORSE,
    Fact,
    FeatureShift,
    FileChange,
    MetricShift,
    RuleChange,
)
from mlproject.webpage.text import plain

MAX_LINE, MAX_SIDE, MIN_SIDE = 400, 60, 16
NAME_WIDTH, NARROW_NAME_WIDTH = 60, 40
PIPE_WIDTH = 100_000  # nobody's eyes: lines are whole
_VERDICTS = {
    BETTER: "green",
    WORSE: "red",
    CHANGED: "yellow",
    UNJUDGED: "yellow",
    NOISE: "dim",
    SAME: "dim",
}
_EFFECTS = {WIDENED: "yellow", NARROWED: "green", UNCHANGED: "dim"}
_LINES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True)
class View:
    """How much is shown.

    Attributes:
        every: Also what is the same, and slices whose change is within noise.
        width: Characters of a line that fit.
    """

    every: bool
    width: int


def print_diff(diff: VersionDiff, every: bool, console: Console | None = None) -> None:
    """Prints the sections that have something to say.

    Args:
        diff: The comparison.
        every: Also what is the same, and slices whose change is within noise.
        console: Where to; standard output by default.
    """
    # No markup: a value of the data may hold "[/x]".
    console = console or Console(highlight=False, markup=False, emoji=False)
    view = View(every, console.width if console.is_terminal else PIPE_WIDTH)
    console.print(Text(words.headline(diff), "bold"), soft_wrap=True)
    for name, section in diff.sections.items():
        lines = _PRINTERS[name](section.items, view)
        if not (lines or section.unjudged or (every and section.items)):
            continue
        head = Text(f"\n{words.TITLES[name]}", "bold")
        head.append(f"  {words.summary(name, section)}".rstrip(), "dim")
        remarks = [Text(f"  {plain(note, MAX_LINE)}", "dim") for note in section.notes]
        reasons = [Text(f"  {plain(reason, MAX_LINE)}", "yellow") for reason in section.unjudged]
        for line in (head, *remarks, *reasons, *lines):
            console.print(line, soft_wrap=True)


def _facts(items: Sequence[Fact], view: View) -> list[Text]:
    shown = [fact for fact in items if fact.differs or view.every]
    names = max((len(words.text(fact.name)) for fact in shown), default=0)
    room = max((view.width - names - len(f"    {words.ARROW}  ")) // 2, MIN_SIDE)
    most = MAX_LINE if view.every else min(room, MAX_SIDE)
    rows = [
        [words.text(fact.name), words.text(fact.before, most), words.text(fact.after, most)]
        for fact in shown
    ]
    texts = []
    for fact, (name, before, after) in zip(shown, rows, strict=True):
        said = f"{before} {words.ARROW} {after}" if fact.differs else after
        line = Text(f"  {name:<{names}}  ")
        texts.append(line.append(said, "" if fact.differs else "dim"))
    return texts


def _statistics(items: Sequence[FeatureShift], view: View) -> list[Text]:
    shown = [shift for shift in items if shift.differs or view.every]
    rows = [
        [shift.split, plain(shift.feature, 60), words.kinds(shift), words.distances(shift)]
        for shift in shown
    ]
    widths = [_width(rows, place) for place in range(4)]
    texts = []
    for shift, cells in zip(shown, rows, strict=True):
        line = "  ".join(f"{c:<{w}}" for c, w in zip(cells, widths, strict=True))
        told = ", ".join(words.numbers(shift, view.every))
        texts.append(Text(f"  {line}  {told}".rstrip(), "" if shift.differs else "dim"))
    return texts


def _rules(items: Sequence[RuleChange], view: View) -> list[Text]:
    shown = [change for change in items if change.differs or view.every]
    rows = [[plain(c.feature, 60), c.type] for c in shown]
    names, kinds, texts = _width(rows, 0), _width(rows, 1), []
    for change, (feature, kind) in zip(shown, rows, strict=True):
        line = f"  {feature:<{names}}  {kind:<{kinds}}  "
        said = Text(line + plain(change.text, MAX_LINE))
        style = _EFFECTS.get(change.effect, "red")
        texts.append(said.append(f" ({change.effect})", style) if change.differs else said)
    return texts


def _metrics(items: Sequence[MetricShift], view: View) -> list[Text]:
    ordered = words.slices_in_order(tuple(items))
    differing = [shift for shift in ordered if shift.differs or view.every]
    quiet = [s for s in differing if s.slice != OVERALL and s.verdict == NOISE and not view.every]
    shown = [shift for shift in differing if shift not in quiet]
    texts = _metric_lines(shown, NAME_WIDTH, intervals=True)
    if max(map(len, texts), default=0) > view.width:
        texts = _metric_lines(shown, NARROW_NAME_WIDTH, intervals=False)
    if quiet:
        told = f"  and within noise, on slices: {len(quiet):,}; --all shows them"
        texts.append(Text(told, "dim"))
    return texts


def _metric_lines(shown: Sequence[MetricShift], name_width: int, *, intervals: bool) -> list[Text]:
    rows = [
        [
            shorten_middle(plain(shift.slice), name_width),
            shorten_middle(plain(shift.metric), name_width),
            words.figure(shift.before, intervals),
            words.figure(shift.after, intervals),
            words.change(shift),
        ]
        for shift in shown
    ]
    widths = [_width(rows, place) for place in range(5)]
    texts = []
    for shift, cells in zip(shown, rows, strict=True):
        where, metric, before, after, moved = (
            f"{c:<{w}}" for c, w in zip(cells, widths, strict=True)
        )
        sure = shift.interval is not None or shift.verdict in (NOISE, SAME)
        style = _VERDICTS[shift.verdict] if sure else "yellow"
        dim = "dim" if style == "dim" else ""
        line = Text(f"  {where}  {metric}  {before} {words.ARROW} {after}  {moved}  ", dim)
        texts.append(line.append(words.verdict(shift), style))
    return texts


def _code(items: Sequence[FileChange], view: View) -> list[Text]:
    texts = []
    for file in items:
        if file.differs or view.every:
            texts.append(Text(f"  {plain(file.name)}  {file.state}", "" if file.differs else "dim"))
        for line in file.lines:
            whole = plain(line.expandtabs(4), MAX_LINE)
            texts.append(Text(f"    {whole}", _LINES.get(whole[:1], "")))
    return texts


_PRINTERS: Mapping[str, Callable[[Sequence[Any], View], list[Text]]] = {
    "version": _facts,
    "parameters": _facts,
    "data": _facts,
    "statistics": _statistics,
    "schema": _rules,
    "metrics": _metrics,
    "code": _code,
}


def _width(rows: Sequence[Sequence[str]], place: int) -> int:
    return max((len(row[place]) for row in rows), default=0)
