"""The page's pictures: histograms and heat maps as inline SVG, values as bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlproject.profile.features import Buckets, Feature, Numbers
from mlproject.profile.relations import Matrix
from mlproject.webpage.text import number, percent, safe

WIDTH, HEIGHT, BASE = 320, 120, 96  # of a histogram, and where its bars stand
MANY = 20  # buckets that two sides are drawn in at least, and values that get a bar each
MAX_VALUES = 8
CELL, LABELS = 20, 144  # of a heat map, in pixels


def histogram(sides: Sequence[Feature | None]) -> str:
    """The histogram of a numeric feature; of one side as it is, of two in the same buckets.

    Both a linear and a logarithmic drawing are there; the page shows one of them.

    Args:
        sides: What is shown, and what it is compared with (None where it lacks the feature).
    """
    numbers = [side.numbers if side else None for side in sides]
    whole = all(side.kind == "int" for side in sides if side and side.numbers)
    edges, by_value = _edges([n for n in numbers if n and n.buckets], whole)
    if not edges:
        return '<p class="none">no value that can be drawn</p>'
    heights = [rebinned(n.buckets, edges, whole) if n else [] for n in numbers]
    shares = [[h / (sum(own) or 1) for h in own] for own in heights]
    least = 0.5 / max(1.0, *(sum(own) for own in heights))
    lines = [
        f'<g class="{scale}">'
        + "".join(
            f'<path class="side{place}" d="{_steps(_scaled(own, shares, scale, least))}"/>'
            for place, own in enumerate(shares)
            if own
        )
        + "</g>"
        for scale in ("lin", "log")
    ]
    return (
        f'<svg class="hist" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="histogram">'
        f"{''.join(lines)}{_axis(edges, numbers[0], by_value)}</svg>"
    )


def value_bars(sides: Sequence[Feature | None]) -> str:
    """The most frequent values of a text feature, with a bar for each side."""
    known = [dict(side.top) if side else {} for side in sides]
    names = list(dict.fromkeys(name for own in known for name in own))[:MAX_VALUES]
    if not names:
        return '<p class="none">no values listed</p>'
    shares = [
        {name: own.get(name, 0.0) / (side.values or 1) for name in names} if side else {}
        for side, own in zip(sides, known, strict=True)
    ]
    longest = max(max(own.values(), default=0) for own in shares) or 1
    rows = []
    for name in names:
        bars = "".join(
            f'<i class="side{place}{"" if own.get(name) else " void"}" '
            f'style="width:{100 * own.get(name, 0) / longest:.2f}%"></i>'
            for place, own in enumerate(shares)
        )
        said = " · ".join(percent(own[name]) for own in shares if own)
        label = safe(name, 60) or '<em class="none">empty</em>'
        rows.append(f"<tr><th>{label}</th><td>{bars}</td><td>{said}</td></tr>")
    return f'<table class="values">{"".join(rows)}</table>'


def heat_map(matrix: Matrix, name: str) -> str:
    """The lower triangle of a symmetric measure, each cell as dark as it is strong."""
    names = matrix.names
    if len(names) < 2:
        return f'<p class="none">{name}: fewer than two features that it can be taken of</p>'
    wide, high = LABELS + CELL * len(names), LABELS - 26 + CELL * (len(names) - 1)
    cells = []
    for row in range(1, len(names)):
        y = CELL * (row - 1) + 4
        cells.append(_label(LABELS - 6, y + 14, names[row], 'text-anchor="end"'))
        for column in range(row):
            value = float(matrix.values[row, column])
            said = f"{safe(names[row])} · {safe(names[column])}: "
            x = LABELS + CELL * column
            if math.isfinite(value):
                sign = "minus" if value < 0 else "plus"
                strength = f'fill-opacity="{abs(value):.2f}"'
                said += f"{value:.2f}"
            else:
                sign, strength = "void", ""
                said += "not defined"
            cells.append(
                f'<rect class="{sign}" x="{x}" y="{y}" {strength}><title>{said}</title></rect>'
            )
    base = CELL * (len(names) - 1) + 14
    for column, text in enumerate(names[:-1]):
        x = LABELS + CELL * column + 12
        cells.append(_label(x, base, text, f'text-anchor="end" transform="rotate(-50 {x} {base})"'))
    return (
        f'<div class="scroll"><svg class="heat" width="{wide}" height="{high}" '
        f'role="img" aria-label="{name}">{"".join(cells)}</svg></div>'
    )


def meter(value: float, longest: float) -> str:
    """A bar for a number from 0 up."""
    width = 100 * value / longest if longest > 0 else 0
    return f'<i class="side0" style="width:{width:.2f}%"></i>'


def rebinned(buckets: Buckets, edges: Sequence[float], whole: bool) -> list[float]:
    """A histogram in other buckets, its values taken as even within each of its own.

    Args:
        buckets: Low end, high end and number of values of each bucket.
        edges: The ends of the new buckets, rising; they hold all of the old ones.
        whole: The values are whole numbers: those of a narrow bucket stand at one place.
    """
    found = [0.0] * (len(edges) - 1)
    for low, high, values in buckets:
        if whole and high - low < 1:
            low = high = math.ceil(low) if math.ceil(low) <= high else (low + high) / 2
        if high <= low:
            found[_place(low, edges)] += values
            continue
        for place in range(_place(low, edges), _place(high, edges) + 1):
            overlap = min(high, edges[place + 1]) - max(low, edges[place])
            found[place] += values * max(0.0, overlap) / (high - low)
    return found


def _place(value: float, edges: Sequence[float]) -> int:
    width = (edges[-1] - edges[0]) / (len(edges) - 1)
    return min(max(int((value - edges[0]) / width), 0), len(edges) - 2)


def _edges(sides: Sequence[Numbers], whole: bool) -> tuple[list[float], bool]:
    """Edges of equal buckets over the range of all sides; True where each holds one value."""
    if not sides:
        return [], False
    low = min(side.buckets[0][0] for side in sides)
    high = max(side.buckets[-1][1] for side in sides)
    if not math.isfinite(high - low):
        return [], False
    if low == high:
        beside = max(0.5, abs(low) * 0.01)
        return [low - beside, low + beside], False
    parts = max(len(side.buckets) for side in sides)
    if whole and high - low < max(parts, MANY):
        return [low - 0.5 + step for step in range(round(high - low) + 2)], True
    parts = max(parts, MANY) if len(sides) > 1 else parts
    return [low + (high - low) * step / parts for step in range(parts)] + [high], False


def _scaled(
    own: Sequence[float], every: Sequence[Sequence[float]], scale: str, least: float
) -> list[float]:
    """Heights from 0 to 1 by the highest of all sides."""
    peak = max(max(side, default=0) for side in every) or 1.0
    if scale == "lin":
        return [share / peak for share in own]
    span = math.log(max(peak / least, 2.0))
    return [math.log(share / least) / span if share > least else 0.0 for share in own]


def _steps(heights: Sequence[float]) -> str:
    width = (WIDTH - 8) / len(heights)
    path = f"M4 {BASE}"
    for place, height in enumerate(heights):
        path += f"V{BASE - 88 * height:.1f}H{4 + width * (place + 1):.1f}"
    return path + f"V{BASE}Z"


def _axis(edges: Sequence[float], shown: Numbers | None, by_value: bool) -> str:
    low, high = edges[0], edges[-1]

    def x(value: float) -> float:
        return 4 + (WIDTH - 8) * (value - low) / (high - low)

    deciles = [v for v in (shown.deciles if shown else ()) if low <= v <= high]
    ticks = "".join(f"M{x(v):.1f} {BASE + 1}v5" for v in deciles)
    if by_value:  # a bar around each value
        low, high = low + 0.5, high - 0.5
    if len(edges) == 2:
        low = high = (low + high) / 2
    ends = (
        [(WIDTH / 2, "middle", low)]
        if low == high
        else [(4, "start", low), (WIDTH - 4, "end", high)]
    )
    texts = "".join(
        f'<text x="{at}" y="{HEIGHT - 4}" text-anchor="{anchor}">{number(value)}</text>'
        for at, anchor, value in ends
    )
    return f'<path class="ticks" d="{ticks}"/>{texts}'


def _label(x: float, y: float, text: str, how: str) -> str:
    return f'<text x="{x}" y="{y}" {how}>{safe(text, 20)}</text>'
