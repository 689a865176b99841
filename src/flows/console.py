"""What a person sees while a pipeline runs, and the summary at its end."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import IO, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlproject.chain import STEPS
from mlproject.metrics import metric_names
from mlproject.progress import Event

SLICES_SHOWN = 8
METRICS_SHOWN = 3
MOST_REASONS = 12
NAME_WIDTH = 16  # of a slice, at least
_MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▶", "cyan"),
    "cached": ("=", "blue"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
}


class Display:
    """A table of the steps that fills as they run; plain lines where there is no terminal.

    Args:
        stream: Where to write (the real standard error).
        title: Shown above the table.
        steps: The steps, in order.
    """

    def __init__(self, stream: IO[str], title: str, steps: tuple[str, ...] = STEPS) -> None:
        # No markup: a path or a value of the data may hold "[/x]".
        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._title = title
        self._states = dict.fromkeys(steps, "waiting")
        self._texts = dict.fromkeys(steps, "")
        self._rows = dict.fromkeys(steps, 0)
        self._seconds: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._began = time.monotonic()
        self._live = Live(
            console=self.console,
            get_renderable=self._render,
            refresh_per_second=4,
            transient=False,
            # Else rich takes sys.stdout and sys.stderr, and logs land above the table instead of
            # in the log file.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        else:
            self.console.print(self._title)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Takes one event."""
        if event.step not in self._states:
            return
        step = event.step
        if event.kind == "rows":
            self._rows[step] = event.rows
            return
        if event.kind in ("note", "live"):
            self._texts[step] = event.text
        elif event.kind == "start":
            self._states[step] = "running"
            self._started[step] = time.monotonic()
            self._texts[step] = ""  # what was said while it waited
        else:
            self._states[step] = event.kind
            self._seconds[step] = event.seconds
            if event.kind != "done":
                self._texts[step] = event.text
        if not self.console.is_terminal and event.kind not in ("start", "live"):
            mark, _ = _MARKS[self._states[step]]
            rows = f" {self._rows[step]:,} rows" if self._rows[step] else ""
            text = f" {self._texts[step]}" if self._texts[step] else ""
            self.console.print(
                f"  {mark} {step:<10} {self._time(step):>7}{rows}{text}", soft_wrap=True
            )

    def _render(self) -> Table:
        elapsed = time.monotonic() - self._began
        title = f"{self._title}  {elapsed:.0f} s"
        table = Table(title=title, title_justify="left", box=None, expand=True)
        # On a narrow terminal the note, which takes what is left, gives way; nothing else does.
        widest = max(len(step) for step in self._states)
        table.add_column("", no_wrap=True, min_width=1)
        table.add_column("step", no_wrap=True, min_width=widest)
        table.add_column("time", no_wrap=True, justify="right", min_width=8)
        table.add_column("rows", no_wrap=True, justify="right", min_width=9)
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        for step, state in self._states.items():
            mark, style = _MARKS[state]
            rows = f"{self._rows[step]:,}" if self._rows[step] else ""
            note = "cached: " if state == "cached" else ""
            table.add_row(
                Text(mark, style),
                Text(step, style if state != "done" else ""),
                self._time(step),
                rows,
                Text(note + self._texts[step], "dim"),
            )
        return table

    def _time(self, step: str) -> str:
        state = self._states[step]
        if state == "running":
            return f"{time.monotonic() - self._started[step]:.1f} s"
        if state == "cached":
            return "0 s"
        return f"{self._seconds[step]:.1f} s" if step in self._seconds else ""


def show_summary(console: Console, outcome: Mapping[str, Any], hint: str) -> None:
    """Prints the end of a run: verdict, reasons, metrics, slices, links, what to try.

    Args:
        console: Where to print.
        outcome: An `Outcome` as JSON values.
        hint: How to open the UI.
    """
    status = outcome["status"]
    say = partial(console.print, markup=False, emoji=False)
    title, style = {
        "blessed": ("BLESSED", "green"),
        "staged": ("BLESSED, and not in production yet", "green"),
        "not_blessed": ("NOT BLESSED: the champion stays", "yellow"),
        "blocked": ("DATA BLOCKED: nothing was trained", "red"),
    }[status]
    if (outcome["override"] or {}).get("effect") == "applied":
        title, style = "BLESSED BY OVERRIDE", "yellow"
    parts: list[Any] = [Text(f"- {reason}") for reason in outcome["reasons"][:MOST_REASONS]]
    left = len(outcome["reasons"]) - MOST_REASONS
    if left > 0:
        parts.append(Text(f"- and {left} more: blessing.md of the step bless, in MLflow"))
    parts += [Text(f"- {reason}", "dim") for reason in outcome["warnings"][:6]]
    if outcome["slices"]:
        parts += [Text(""), _metrics_table(outcome, console.width - 4)]
    console.print(Panel(Group(*parts), title=title, title_align="left", border_style=style))
    if all(step["cached"] for step in outcome["steps"]):
        say(
            "Nothing was run: data, configuration and code are as they were "
            "(--force runs all the same)."
        )
    if outcome["version"] is not None:
        say(
            f"Model    {outcome['model']}/{outcome['version']} {_standing(outcome)}", soft_wrap=True
        )
    if outcome["mlflow_run_id"]:
        say(f"MLflow   {outcome['mlflow_run_url']}  {hint}", soft_wrap=True)
    if outcome["sample"]:
        row = shlex.quote(json.dumps(outcome["sample"]["sample"]))
        say(f"Served   {json.dumps(outcome['sample']['prediction'])} for the sample row")
        say(f"Serve    benison serve {outcome['model']}")
        say(f"Predict  benison predict {outcome['model']} {row}", soft_wrap=True)


def _standing(outcome: Mapping[str, Any]) -> str:
    if outcome["champion"] == outcome["version"]:
        return "is the champion"
    if outcome["waiting"]:
        return str(outcome["waiting"])
    return f"was blessed; the champion is version {outcome['champion']}: the alias was moved since"


def _metrics_table(outcome: Mapping[str, Any], width: int) -> Table:
    """Overall and the largest slices; the champion's figures beside where there is one."""
    metrics = metric_names(outcome["task"])[:METRICS_SHOWN]
    by_slice: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in outcome["slices"]:
        by_slice.setdefault(row["slice"], {})[row["model"]] = row
    overall = {name: rows for name, rows in by_slice.items() if name == "overall"}
    rest = [(n, r) for n, r in by_slice.items() if n != "overall"]
    rest.sort(key=lambda item: -item[1]["candidate"]["examples"])
    shown = dict([*overall.items(), *rest[:SLICES_SHOWN]])
    sizes = [f"{rows['candidate']['examples']:,}" for rows in shown.values()]
    for between in (" ", "\n"):  # where it is narrow, the champion's figure goes below
        cells = [[_cell(rows, metric, between) for metric in metrics] for rows in shown.values()]
        columns = [sizes, *zip(*cells, strict=True)]
        taken = sum(
            max(len(line) for text in (head, *column) for line in text.split("\n")) + 2
            for head, column in zip(("rows", *metrics), columns, strict=True)
        )
        if width - taken >= NAME_WIDTH:
            break
    table = Table(box=None, pad_edge=False)
    table.add_column("slice", no_wrap=True, overflow="ellipsis")
    for head in ("rows", *metrics):
        table.add_column(head, justify="right", no_wrap=True)
    for name, size, figures in zip(shown, sizes, cells, strict=True):
        table.add_row(Text(shorten_middle(name, max(width - taken, NAME_WIDTH))), size, *figures)
    notes = []
    if any("champion" in rows for rows in by_slice.values()):
        notes.append("in brackets: the champion, on the same rows")
    if len(rest) > SLICES_SHOWN:
        notes.append(f"{len(rest) - SLICES_SHOWN} smaller slices: metrics_by_slice.json in MLflow")
    table.caption = "; ".join(notes) or None
    table.caption_justify = "left"
    return table


def _cell(rows: Mapping[str, Mapping[str, Any]], metric: str, between: str) -> str:
    value = rows["candidate"].get(metric)
    if value is None:
        return "not judged"
    champion = rows.get("champion", {}).get(metric)
    return f"{value:.4f}" + (f"{between}({champion:.4f})" if champion is not None else "")


def shorten_middle(name: str, width: int) -> str:
    """A name in so many columns; the middle goes, since both ends tell slices apart."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[-tail:]}"
