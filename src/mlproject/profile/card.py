"""One feature on the page: its picture, its numbers, and what breaks the schema."""

from __future__ import annotations

from collections.abc import Sequence

from mlproject.profile.charts import histogram, value_bars
from mlproject.profile.content import Entry, Profile
from mlproject.profile.features import Feature
from mlproject.webpage.text import UNKNOWN, count, number, percent, safe, size

MEASURES = {"js": "JS", "linf": "L∞"}


def feature_card(entry: Entry, place: int, profile: Profile) -> str:
    """The card of a feature.

    Args:
        entry: The feature.
        place: Its place in the order of the data; `f<place>` is the card's anchor.
        profile: What the page shows.
    """
    feature = entry.any
    sides: list[Feature | None] = [entry.feature]
    if len(profile.sides) > 1:
        sides.append(entry.other)
    chips = [f'<span class="chip">{feature.kind}{" list" if feature.is_list else ""}</span>']
    if entry.distances:
        said = " · ".join(f"{MEASURES[m]} {v:.3f}" for m, v in sorted(entry.distances.items()))
        chips.append(f'<span class="chip">{said}</span>')
    chips += [
        f'<span class="chip warn">not in {safe(name)}</span>'
        for name, side in zip(profile.sides, sides, strict=True)
        if side is None
    ]
    chips += [
        f'<span class="chip {safe(a.policy)}">{safe(a.short or a.kind, 40)}</span>'
        for a in entry.anomalies
    ]
    found = "".join(f"<li>{safe(a.description, 400)}</li>" for a in entry.anomalies)
    data = {
        "name": feature.name.lower(),
        "kind": feature.kind,
        "place": place,
        "missing": f"{feature.missing_share:.6f}",
        "anomalies": len(entry.anomalies),
        "js": f"{entry.distances.get('js', -1.0):.6f}",
        "association": f"{-1.0 if entry.association is None else entry.association:.6f}",
    }
    marks = " ".join(f'data-{name}="{safe(value)}"' for name, value in data.items())
    return (
        f'<article class="feature" id="f{place}" {marks}>'
        f'<div class="head"><h3>{safe(feature.name)}</h3>{"".join(chips)}</div>'
        f"{_picture(sides)}"
        f"{_numbers(sides, entry, profile)}"
        + (f'<ul class="found">{found}</ul>' if found else "")
        + "</article>"
    )


def _picture(sides: Sequence[Feature | None]) -> str:
    there = [side for side in sides if side and side.values]
    if not there:
        return '<p class="none">no values</p>'
    kinds = {"numbers" if side.numbers else side.kind for side in there}
    if kinds == {"numbers"}:
        return histogram(sides)
    if kinds == {"text"}:
        return value_bars(sides)
    return '<p class="none">values that are not text</p>' if kinds == {"bytes"} else ""


def _numbers(sides: Sequence[Feature | None], entry: Entry, profile: Profile) -> str:
    """A small table: a line for each number, a column for each side."""
    columns = [_lines(side) if side else {} for side in sides]
    if entry.distinct is not None and profile.rows is not None and columns[0]:
        whole = profile.rows.sample.num_rows == profile.rows.rows
        columns[0]["distinct"] = f"{'' if whole else '≥ '}{count(entry.distinct)}"
    if entry.association is not None and profile.relations is not None:
        columns[0][f"tells of {profile.relations.label}"] = percent(entry.association)
    names = sorted(
        {name for column in columns for name in column},
        key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name),
    )
    head = ""
    if len(sides) > 1:
        named = "".join(f"<th>{safe(name, 24)}</th>" for name in profile.sides)
        head = f"<thead><tr><th></th>{named}</tr></thead>"
    body = "".join(
        f"<tr><th>{safe(name, 40)}</th>"
        + "".join(f"<td>{column.get(name, UNKNOWN)}</td>" for column in columns)
        + "</tr>"
        for name in names
    )
    return f'<table class="numbers">{head}<tbody>{body}</tbody></table>'


_ORDER = (
    *("missing", "zeros", "not finite", "distinct", "mean", "std", "min", "median", "max"),
    *("average length", "bytes", "values in a row"),
)


def _lines(feature: Feature) -> dict[str, str]:
    share = f' <span class="soft">({percent(feature.missing_share)})</span>'
    lines = {"missing": count(feature.missing) + (share if feature.missing else "")}
    if feature.numbers:
        found = feature.numbers
        lines |= {
            "zeros": count(found.zeros)
            + (
                f' <span class="soft">({percent(found.zeros / feature.values)})</span>'
                if found.zeros
                else ""
            ),
            "mean": number(found.mean),
            "std": number(found.std),
            "min": number(found.minimum),
            "median": number(found.median),
            "max": number(found.maximum),
        }
        if found.odd:
            lines["not finite"] = count(found.odd)
    if feature.distinct is not None:
        lines["distinct"] = count(feature.distinct)
    if feature.kind == "text" and feature.sizes:
        lines["average length"] = number(feature.sizes[1])
    if feature.kind == "bytes" and feature.sizes:
        lines["bytes"] = " – ".join(size(value) for value in (feature.sizes[0], feature.sizes[2]))
    if feature.is_list:
        least, average, most = feature.lengths
        lines["values in a row"] = f"{number(least)} – {number(most)}, mean {number(average)}"
    return lines
