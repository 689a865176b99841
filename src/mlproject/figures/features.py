"""Histograms of every feature in one figure, split beside split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.figures import canvas
from mlproject.figures.histogram import draw_steps
from mlproject.figures.table import (
    NUMERIC,
    STRING,
    common_statistics,
    feature_name,
    missing_share,
    top_values,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from tensorflow_metadata.proto.v0.statistics_pb2 import (
        DatasetFeatureStatistics,
        FeatureNameStatistics,
    )

MAX_PANELS = 40
COLUMNS = 4
CELL_IN = (2.7, 1.85)  # width, height
PLOT_TOP_IN, PLOT_HEIGHT_IN = 0.36, 1.15
NUMBER_LEFT_IN, LABEL_LEFT_IN, RIGHT_IN = 0.42, 1.05, 0.2
BARS = 6  # values of a text feature


def feature_histograms(statistics: Mapping[str, DatasetFeatureStatistics], path: Path) -> None:
    """Saves one small panel for each feature, with every split in it.

    Numeric features show their standard histogram, normalised, with a log scale where the tail is
    heavy; text features show the share of their most frequent values. More than `MAX_PANELS`
    features are cut, and the figure says so.

    Args:
        statistics: Split name -> its statistics.
        path: PNG file to write.
    """
    splits = list(statistics)
    features: dict[str, dict[int, FeatureNameStatistics]] = {}
    for index, dataset in enumerate(statistics.values()):
        for feature in dataset.features:
            features.setdefault(feature_name(feature), {})[index] = feature
    shown = list(features.items())[:MAX_PANELS]
    figure = _figure(statistics, len(shown), len(features))
    for number, (name, by_split) in enumerate(shown):
        row, column = divmod(number, COLUMNS)
        left = canvas.MARGIN_IN + column * CELL_IN[0]
        top = canvas.HEADER_IN + 0.1 + row * CELL_IN[1]
        _panel(figure, left, top, name, by_split, splits)
    canvas.save(figure, path)


def _figure(statistics: Mapping[str, DatasetFeatureStatistics], shown: int, found: int) -> Figure:
    rows = max(1, math.ceil(shown / COLUMNS))
    width = canvas.MARGIN_IN + COLUMNS * CELL_IN[0]
    note = f" First {shown} of {found} features." if shown < found else ""
    figure = canvas.new_figure(
        width,
        canvas.HEADER_IN + 0.1 + rows * CELL_IN[1],
        "Features by split",
        "Numbers: share of the split's values in each bucket. "
        f"Text: share of the most frequent values.{note}",
    )
    canvas.key(
        figure,
        [
            (_split_label(split, dataset.num_examples, len(statistics)), canvas.colour(index))
            for index, (split, dataset) in enumerate(statistics.items())
        ],
    )
    if not shown:
        axes = canvas.place(
            figure, canvas.MARGIN_IN, canvas.HEADER_IN, width - 2 * canvas.MARGIN_IN, 1.5
        )
        canvas.say(axes, "no features")
    return figure


def _split_label(split: str, rows: int, splits: int) -> str:
    name = canvas.readable(split, max(6, 60 // splits))
    return f"{name} ({rows:,} rows)" if splits <= 3 else name


def _panel(
    figure: Figure,
    left_in: float,
    top_in: float,
    name: str,
    by_split: Mapping[int, FeatureNameStatistics],
    splits: Sequence[str],
) -> None:
    # A split without a value says little about what kind of feature it is.
    first = min(by_split.values(), key=lambda feature: missing_share(feature) in (None, 1))
    kind = first.WhichOneof("stats")
    same = {i: f for i, f in by_split.items() if f.WhichOneof("stats") == kind}
    notes = [f"not in {split}" for i, split in enumerate(splits) if i not in by_split]
    notes += [
        f"{splits[i]}: {type(f).Type.Name(f.type)}" for i, f in by_split.items() if i not in same
    ]
    inset = LABEL_LEFT_IN if kind == STRING else NUMBER_LEFT_IN
    axes = canvas.place(
        figure,
        left_in + inset,
        top_in + PLOT_TOP_IN,
        CELL_IN[0] - inset - RIGHT_IN,
        PLOT_HEIGHT_IN,
    )
    if all(missing_share(feature) == 1 for feature in by_split.values()):
        canvas.say(axes, "all missing")
    elif kind == STRING:
        _draw_values(axes, same)
    elif kind == NUMERIC:
        undrawn = draw_steps(axes, same)
        if any(undrawn):
            notes.insert(0, "NaN or inf " + _shares(undrawn))
        if axes.get_yscale() == "log":
            notes.insert(0, "log scale")
    else:
        canvas.say(axes, f"{type(first).Type.Name(first.type).lower()}: no histogram")
    canvas.write(figure, left_in, top_in, canvas.readable(name, 34), weight="bold")
    note = canvas.readable(" · ".join([_missing_note(by_split), *notes]), 48)
    canvas.write(figure, left_in, top_in + 0.16, note, size=canvas.SMALL_PT, color=canvas.MUTED)


def _missing_note(by_split: Mapping[int, FeatureNameStatistics]) -> str:
    shares = [missing_share(feature) for feature in by_split.values()]
    return "no rows" if set(shares) == {None} else "missing " + _shares(shares)


def _shares(shares: Sequence[float | None]) -> str:
    texts = ["no rows" if share is None else canvas.percent(share) for share in shares]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def _values(feature: FeatureNameStatistics) -> float:
    """Number of values: more than the rows where a row holds several."""
    common = common_statistics(feature)
    return float(common.tot_num_values or common.num_non_missing) if common else 0.0


def _draw_values(axes: Axes, by_split: Mapping[int, FeatureNameStatistics]) -> None:
    """Draws bars for the most frequent values, in the order of the first split that has any."""
    counts = {index: dict(top_values(feature)) for index, feature in by_split.items()}
    # The first split leads; values that only others have fill what room is left.
    names = list(dict.fromkeys(value for found in counts.values() for value in found))[:BARS]
    if not names:
        canvas.say(axes, "no values listed")
        return
    height = 0.8 / len(by_split)
    for place, (index, feature) in enumerate(by_split.items()):
        total = _values(feature) or sum(counts[index].values()) or 1.0
        axes.barh(
            [row + (place + 0.5) * height - 0.4 for row in range(len(names))],
            [counts[index].get(name, 0.0) / total for name in names],
            height=height,
            color=canvas.colour(index),
        )
    axes.set_ylim(max(len(names), 3) - 0.5, -0.5)
    labels = [canvas.readable(name, 18).strip() or "(empty)" for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    canvas.share_ticks(axes, "x", axes.get_xlim()[1])
