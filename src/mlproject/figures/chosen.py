"""Which slices a figure has room for, and in which order: the largest and the worst. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlproject.metrics import OVERALL

MAX_SLICES = 40


@dataclass(frozen=True)
class Group:
    """Slices that stand together.

    Attributes:
        title: What they have in common; empty where all slices are shown.
        slices: Their names, from the top down.
    """

    title: str
    slices: tuple[str, ...]


def choose(examples: Mapping[str, int], badness: Mapping[str, float]) -> tuple[Group, ...]:
    """The slices to show, the whole first.

    Args:
        examples: Slice -> number of rows.
        badness: Slice that was judged -> how bad it is; empty where that is not known.

    Returns:
        All slices by name, if there are `MAX_SLICES` at most; else the largest by size, and below
        them the worst of the rest.
    """
    whole = tuple(name for name in examples if name == OVERALL)
    parts = [name for name in examples if name != OVERALL]
    if len(examples) <= MAX_SLICES:
        return (Group("", (*whole, *sorted(parts, key=natural))),)
    by_size = sorted(parts, key=lambda name: (-examples[name], natural(name)))
    by_badness = sorted(set(parts).intersection(badness), key=natural)
    by_badness = sorted(by_badness, key=lambda name: -badness[name])
    room = MAX_SLICES - len(whole)
    least = room // 2 if badness else 0  # places for the worst
    while True:
        largest = by_size[: room - least]
        worst = [name for name in by_badness if name not in set(largest)][:least]
        if len(worst) == least:
            break
        least = len(worst)
    groups = [Group(f"the {len(largest)} largest", (*whole, *largest))]
    if worst:
        groups.append(Group(f"the {len(worst)} worst of the others", tuple(worst)))
    return tuple(groups)


def chosen_note(groups: Sequence[Group], examples: Mapping[str, int]) -> str:
    """A sentence for the subtitle where slices are left out; else nothing."""
    if sum(len(group.slices) for group in groups) == len(examples):
        return ""
    named = " and ".join(group.title for group in groups if group.title)
    return f" Of {len(examples) - (OVERALL in examples):,} slices: {named}."


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts `hour=2` before `hour=11`."""
    parts = re.split(r"(\d+)", name)
    # Longer numbers are larger; int() refuses numbers of thousands of digits.
    return [(len(part.lstrip("0")) if i % 2 else 0, part) for i, part in enumerate(parts)]
