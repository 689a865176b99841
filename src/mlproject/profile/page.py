"""The profile as one HTML page: no network, no file beside it, nothing of the data that can run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlproject.profile.card import feature_card
from mlproject.profile.charts import heat_map, meter
from mlproject.profile.content import Profile
from mlproject.profile.relations import Matrix, Relations
from mlproject.profile.style import SCRIPT, STYLE
from mlproject.webpage import document
from mlproject.webpage.text import count, percent, safe

MAX_LISTED = 15


def render(profile: Profile) -> str:
    """The page.

    Args:
        profile: What it shows.
    """
    parts = [
        _header(profile),
        _overview(profile),
        _found(profile),
        _most_different(profile),
        _features(profile),
        _relations(profile.relations),
        _method(profile),
    ]
    body_class = "two" if len(profile.sides) > 1 else "one"
    return document(profile.title, "".join(parts), STYLE, SCRIPT, body_class)


def _header(profile: Profile) -> str:
    pairs = zip(profile.sides, profile.rows_in_sides, strict=True)
    key = "".join(
        f'<span class="key"><i class="side{place}"></i>{safe(name)} '
        f'<span class="soft">{count(rows)} rows</span></span>'
        for place, (name, rows) in enumerate(pairs)
    )
    return f"<header><h1>{safe(profile.title)}</h1><p>{key}</p></header>"


def _overview(profile: Profile) -> str:
    features = [entry.feature for entry in profile.entries if entry.feature]
    rows = profile.rows_in_sides[0]
    cells = rows * len(features)
    missing = sum(feature.missing for feature in features)
    tiles = [
        ("rows", count(rows)),
        ("features", count(len(features))),
        ("missing cells", percent(missing / cells if cells else None)),
    ]
    if profile.rows is not None:
        found = profile.rows
        about = "duplicate rows" if found.compared == found.rows else "duplicate rows, about"
        tiles.append((about, percent(found.copies / found.compared if found.compared else None)))
    if profile.anomalies is not None:
        tiles.append(("anomalies", count(len(profile.anomalies))))
    shown = "".join(
        f'<div class="tile"><b>{text}</b><span class="soft">{name}</span></div>'
        for name, text in tiles
    )
    facts = "".join(f"<dt>{safe(n)}</dt><dd>{safe(t)}</dd>" for n, t in profile.facts.items())
    notes = "".join(f'<p class="soft">{safe(note)}</p>' for note in profile.notes)
    listed = f'<dl class="box facts">{facts}</dl>' if facts else ""
    return f'<section class="tiles">{shown}</section>{listed}{notes}'


def _found(profile: Profile) -> str:
    """Anomalies of the dataset, and those of features with a link."""
    if not profile.anomalies:
        return ""
    places = {entry.any.name: place for place, entry in enumerate(profile.entries)}
    lines = []
    for anomaly in profile.anomalies[:MAX_LISTED]:
        name = safe(anomaly.feature)
        if anomaly.feature in places:
            name = f'<a href="#f{places[anomaly.feature]}">{name}</a>'
        lines.append(
            f'<li class="{safe(anomaly.policy)}">{name}: {safe(anomaly.description, 400)} '
            f'<span class="soft">[{safe(anomaly.kind)}, {safe(anomaly.policy)}]</span></li>'
        )
    more = len(profile.anomalies) - MAX_LISTED
    rest = f'<p class="soft">and {more} more, at their features</p>' if more > 0 else ""
    return f'<h2>Anomalies</h2><div class="box"><ul class="found">{"".join(lines)}</ul>{rest}</div>'


def _most_different(profile: Profile) -> str:
    if len(profile.sides) < 2:
        return ""
    measured = [
        (entry, entry.distances["js"]) for entry in profile.entries if "js" in entry.distances
    ]
    measured.sort(key=lambda pair: -pair[1])
    places = {id(entry): place for place, entry in enumerate(profile.entries)}
    rows = [
        (f'<a href="#f{places[id(entry)]}">{safe(entry.any.name)}</a>', value)
        for entry, value in measured[:8]
    ]
    title = f"<h2>Most different from {safe(profile.sides[1])}</h2>"
    table = _meters(rows) if rows else '<p class="none">no feature can be compared</p>'
    return f'{title}<div class="box">{table}</div>'


def _features(profile: Profile) -> str:
    compared = len(profile.sides) > 1
    orders = [("js", "difference")] if compared else []
    orders += [("place", "order of the data"), ("name", "name"), ("missing", "missing")]
    if any(entry.anomalies for entry in profile.entries):
        orders.append(("anomalies", "anomalies"))
    if any(entry.association is not None for entry in profile.entries):
        orders.append(("association", "association with the label"))
    kinds = sorted({entry.any.kind for entry in profile.entries})
    only = (
        '<label><input type="checkbox" id="only"> with anomalies</label>'
        if profile.anomalies
        else ""
    )
    bar = (
        '<div class="bar" id="bar" hidden>'
        '<input type="search" id="search" placeholder="Search features" '
        'aria-label="Search features">'
        f'<label>Sort <select id="sort">{_options(orders)}</select></label>'
        '<label>Type <select id="kind"><option value="">all</option>'
        f"{_options((kind, kind) for kind in kinds)}</select></label>{only}"
        '<label><input type="checkbox" id="log"> log scale</label>'
        '<span class="soft" id="seen"></span></div>'
    )
    entries = profile.entries
    if compared:  # the order that stands without the script
        order = sorted(range(len(entries)), key=lambda at: -entries[at].distances.get("js", -1.0))
    else:
        order = list(range(len(entries)))
    cards = "".join(feature_card(entries[at], at, profile) for at in order)
    return f'<h2>Features</h2>{bar}<section class="features" id="features">{cards}</section>'


def _relations(relations: Relations | None) -> str:
    if relations is None:
        return ""
    parts = ["<h2>Association with the label</h2>"]
    if relations.association:
        rows = [(safe(name), value) for name, value in relations.association[:MAX_LISTED]]
        more = len(relations.association) - MAX_LISTED
        rest = f'<p class="soft">and {more} features that tell less</p>' if more > 0 else ""
        about = f"How much of <b>{safe(relations.label)}</b> each feature tells by itself"
        table = _meters(rows, as_percent=True)
        parts.append(f'<div class="box"><p class="soft">{about}.</p>{table}{rest}</div>')
    else:
        parts.append(f'<p class="none">{safe(relations.note)}</p>')
    parts.append("<h2>Features together</h2>")
    parts.append(
        '<p class="soft"><span class="key"><i class="side0"></i>together</span>'
        '<span class="key"><i class="side1"></i>one against the other</span>'
        "the stronger, the darker; empty where fewer than 30 rows have both</p>"
    )
    parts.append('<div class="pair">')
    for matrix, name in (
        (relations.pearson, "Pearson's correlation"),
        (relations.spearman, "Spearman's rank correlation"),
        (relations.cramers_v, "Cramér's V of categories"),
    ):
        parts.append(_matrix(matrix, name))
    return "".join([*parts, "</div>"])


def _matrix(matrix: Matrix, name: str) -> str:
    left = f'<p class="soft">{matrix.left_out} more are left out</p>' if matrix.left_out else ""
    pairs = sorted(
        (
            (abs(float(matrix.values[row, column])), row, column)
            for row in range(len(matrix.names))
            for column in range(row)
            if abs(float(matrix.values[row, column])) >= 0.3
        ),
        reverse=True,
    )
    lines = "".join(
        f"<tr><th>{safe(matrix.names[row], 40)} · {safe(matrix.names[column], 40)}</th>"
        f"<td>{float(matrix.values[row, column]):.2f}</td></tr>"
        for _, row, column in pairs[:6]
    )
    strong = (
        "<details open><summary>strongest pairs</summary>"
        f'<table class="numbers">{lines}</table></details>'
        if lines
        else ""
    )
    return f'<div class="box"><h3>{name}</h3>{heat_map(matrix, name)}{left}{strong}</div>'


def _meters(rows: Sequence[tuple[str, float]], as_percent: bool = False) -> str:
    longest = max((value for _, value in rows), default=0.0)
    lines = "".join(
        f"<tr><th>{name}</th><td>{meter(value, longest)}</td>"
        f"<td>{percent(value) if as_percent else f'{value:.3f}'}</td></tr>"
        for name, value in rows
    )
    return f'<table class="list">{lines}</table>'


def _options(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f'<option value="{safe(value)}">{safe(name)}</option>' for value, name in pairs)


def _method(profile: Profile) -> str:
    lines = [
        "Histograms, counts and values are TensorFlow Data Validation's, of all rows; the marks "
        "under a histogram are the bounds of ten parts with equally many values.",
        "The log scale is of the heights; a bucket with less than half a value has none.",
    ]
    if len(profile.sides) > 1:
        lines.append(
            "JS is the Jensen-Shannon divergence in bits, 0 (equal) to 1 (nothing shared); L∞ the "
            "largest difference of a value's share. Both are measured as TFDV measures drift, JS "
            "of numbers between the quantiles histograms of their finite values; below 30 values "
            "on a side there is none."
        )
    if profile.rows is not None:
        among = f"{count(profile.rows.compared)} of {count(profile.rows.rows)} rows"
        lines.append(
            f"Duplicate rows are those with the hash of an earlier one, among {among}; the first "
            "of each is not counted."
        )
    if profile.relations is not None:
        lines.append(
            f"Features together: on a sample of {count(profile.relations.rows)} rows, the same on "
            "every machine; a row counts for a pair where both values are there. Spearman's "
            "correlation is Pearson's of the ranks; Cramér's V is corrected for bias (Bergsma "
            "2013)."
        )
        lines.append(
            "Association: the mutual information with the label, on that sample, as a share of the "
            "label's entropy (0: none, 100%: it tells all). Numbers are cut into 20 parts of equal "
            "size, texts into the 50 most frequent values and the rest, a missing value is a "
            "value; what chance alone gives is taken off (Miller and Madow 1955)."
        )
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<h2>How to read it</h2><div class="box soft"><ul class="found">{items}</ul></div>'
