"""Schemas and their changes as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from mlproject.schema.diff import NARROWED, WIDENED, Change
from mlproject.schema.rules import STRINGS, Rules

NONE, EVERYWHERE = "-", "all"
_STYLES = {WIDENED: "yellow", NARROWED: "green"}


def print_schema(rules: Sequence[Rules]) -> None:
    """Prints one line for each feature; columns that say nothing of any feature are left out."""
    rows = [_cells(own) for own in rules]
    heads = [
        head
        for head in (rows[0] if rows else {})
        if any(row[head] not in (NONE, EVERYWHERE) for row in rows) or head in ("feature", "type")
    ]
    widths = {head: max(len(head), *(len(row[head]) for row in rows)) for head in heads}
    console = _console()
    for row in [dict(zip(heads, heads, strict=True)), *rows]:
        line = "  ".join(f"{row[head]:<{widths[head]}}" for head in heads).rstrip()
        if console.is_terminal and len(line) > console.width:  # the domain; one by one it is whole
            line = line[: console.width - 1] + "…"
        console.print(line, soft_wrap=True)


def print_features(rules: Sequence[Rules]) -> None:
    """Prints everything that is said of some features, every value of their domains."""
    console = _console()
    for own in rules:
        for head, text in _cells(own).items():
            if text != NONE:
                console.print(f"{head:<12}  {text}", soft_wrap=True)
        for value in own.domain.values if own.domain.kind == STRINGS else ():
            console.print(f"{'':<12}    {value}", soft_wrap=True)
        if own.rest:
            console.print(f"{'more':<12}  {own.rest}", soft_wrap=True)
        console.print()


def print_changes(changes: Sequence[Change]) -> None:
    """Prints one line for each change, never wrapped: a diff is also read by programs."""
    names = max(len(change.feature) for change in changes)
    types = max(len(change.type) for change in changes)
    console = _console()
    for change in changes:
        line = f"{change.feature:<{names}}  {change.type:<{types}}  {change.text} "
        text = Text(line).append(f"({change.effect})", _STYLES.get(change.effect, "red"))
        console.print(text, soft_wrap=True)


def _cells(own: Rules) -> dict[str, str]:
    """Column -> text; the widest column last."""
    return {
        "feature": own.name,
        "type": own.type.lower() + (f", {own.stage.lower()}" if own.stage else ""),
        "presence": own.presence_text,
        "values": own.values_text,
        "environments": _environments(own),
        "drift": _thresholds(own.drift),
        "skew": _thresholds(own.skew),
        "domain": _domain(own),
    }


def _domain(own: Rules) -> str:
    text = str(own.domain)
    if own.min_domain_mass is not None:
        text += f", at least {own.min_domain_mass:g} of the values"
    return text or NONE


def _environments(own: Rules) -> str:
    parts = [f"not in {name}" for name in own.not_in] + [f"in {name}" for name in own.only_in]
    return ", ".join(parts) or EVERYWHERE


def _thresholds(thresholds: Mapping[str, float]) -> str:
    return ", ".join(f"{measure} {value:g}" for measure, value in thresholds.items()) or NONE


def _console() -> Console:
    # No markup: a value of the data may hold "[/x]".
    return Console(highlight=False, markup=False, emoji=False)
