"""Which of the measured slices a threshold holds. Pure.

A slice's name is `overall`, `COLUMN=VALUE` or, of a cross, `COLUMN=VALUE,COLUMN=VALUE`; a value may
hold commas and equal signs itself, so a name is read with the columns of `evaluation.slices`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from mlproject.metrics import OVERALL
from mlproject.sections.evaluation import columns_of

ANY = "*"
Cell = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Held:
    """A slice that a threshold holds.

    Attributes:
        name: Of the slice; the threshold's own words where no such slice was measured.
        named: Whether the threshold names it itself, rather than by `COLUMN=*`.
    """

    name: str
    named: bool


def held_slices(
    wanted: Sequence[str], measured: Iterable[str], entries: Sequence[str]
) -> list[Held]:
    """The slices that a threshold holds, each once.

    Args:
        wanted: The threshold's `slices`.
        measured: Names of the slices that were measured.
        entries: `evaluation.slices`.

    Returns:
        One for each slice. One that is named, and one of `COLUMN=*` too, counts as named.
    """
    cells = {name: _cell(name, entries) for name in measured}
    found: dict[str, Held] = {}
    for words in wanted:
        pattern = _cell(words, entries)
        starred = any(value == ANY for _, value in pattern)
        names = [name for name, cell in cells.items() if _fits(dict(pattern), dict(cell))]
        for name in names:
            named = not starred or (name in found and found[name].named)
            found[name] = Held(name, named)
        if not names:
            found[words] = Held(words, named=True)
    return list(found.values())


def _cell(name: str, entries: Sequence[str]) -> Cell:
    """The columns and values of a slice's name: of `pay=Cash,hour=8`, two."""
    if name == OVERALL:
        return frozenset()
    for columns in sorted((columns_of(entry) for entry in entries), key=len, reverse=True):
        for order in permutations(columns):
            match = re.fullmatch(
                ",".join(f"{re.escape(column)}=(.*)" for column in order), name, re.DOTALL
            )
            if match:
                return frozenset(zip(order, match.groups(), strict=True))
    column, _, value = name.partition("=")
    return frozenset({(column, value)})


def _fits(pattern: Mapping[str, str], cell: Mapping[str, str]) -> bool:
    return pattern.keys() == cell.keys() and all(
        value in (ANY, cell[column]) for column, value in pattern.items()
    )
