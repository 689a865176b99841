"""Which classes a model takes for which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import DataError
from mlproject.figures import canvas
from mlproject.figures.rows import chunks, columns

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

MAX_CLASSES = 30
ROOMY_CLASSES = 12  # up to here a cell has room for a share above its count
FULL_CLASSES = 3  # and here for all digits of the count
MAX_PAIRS = 25
CELL_IN, ROOMY_CELL_IN = 0.27, 0.46
PAIR_IN = 0.17


def confusion_matrix(
    labels: ArrayLike,
    predicted_by_model: Mapping[str, ArrayLike],
    classes: int,
    path: Path,
    note: str = "",
) -> None:
    """Saves how often each true class is predicted as each class, of all rows.

    Up to `MAX_CLASSES` classes it is a matrix, each row of which adds to 100%; of more, the pairs
    of classes that are confused most often.

    Args:
        labels: `[n]` or `[n, 1]`, class of each row, 0 to `classes - 1`.
        predicted_by_model: Model -> `[n]` class that it predicts.
        classes: Number of classes.
        path: PNG file to write.
        note: How a class is predicted, for the subtitle.

    Raises:
        DataError: A model has another number of predictions than there are labels, or a class is
            not one of them.
    """
    truth, flat = columns(labels, predicted_by_model)
    for name, values in {"labels": truth, **flat}.items():
        if values.size and not (values.min() >= 0 and values.max() < classes):
            raise DataError(
                f"Drawing the confusion of classes failed: the {name} are not all classes",
                received=f"{values.min()} to {values.max()}",
                expected=f"0 to {classes - 1}",
            )
    if classes > MAX_CLASSES:
        _draw_pairs(truth, flat, classes, path, note)
    else:
        _draw_matrices(truth, flat, classes, path, note)


def _draw_matrices(
    truth: NDArray[np.generic],
    flat: Mapping[str, NDArray[np.generic]],
    classes: int,
    path: Path,
    note: str,
) -> None:
    import numpy as np

    cell = ROOMY_CELL_IN if classes <= ROOMY_CLASSES else CELL_IN
    side = max(1.6, cell * classes)
    models = list(flat) or ["candidate"]
    beside = 2 if len(models) > 1 and side <= 3.5 else 1
    width, height = 0.75 + side + 0.85, side + 0.85
    figure = canvas.new_figure(
        max(5.6, canvas.MARGIN_IN + beside * width),
        canvas.HEADER_IN + math.ceil(len(models) / beside) * height,
        "Confusion of classes",
        f"{_reading(classes)} {note}".rstrip(),
    )
    for place, model in enumerate(models):
        row, column = divmod(place, beside)
        left = canvas.MARGIN_IN + column * width + 0.6
        axes = canvas.place(figure, left, canvas.HEADER_IN + row * height + 0.35, side, side)
        counts = np.zeros(classes * classes, np.int64)
        if model in flat:
            for rows in chunks(truth.size):
                codes = truth[rows].astype(np.int64) * classes + flat[model][rows].astype(np.int64)
                counts += np.bincount(codes, minlength=counts.size)
        canvas.label_axes(axes, "predicted class", "true class", canvas.readable(model, 30))
        if counts.any():
            _draw_matrix(axes, counts.reshape(classes, classes))
        else:
            canvas.say(axes, "no examples" if flat else "no models")
    canvas.save(figure, path)


def _reading(classes: int) -> str:
    if classes <= ROOMY_CLASSES:
        return "Share of the true class, and rows."
    return "Colour: share of the true class; number: rows."


def _draw_matrix(axes: Axes, counts: NDArray[np.int64]) -> None:
    import numpy as np

    classes = len(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(1, totals)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto", interpolation="nearest")
    axes.grid(False)
    roomy = classes <= ROOMY_CLASSES
    for row, column in np.argwhere(counts > 0):
        share, number = float(shares[row, column]), int(counts[row, column])
        said = f"{number:,}" if classes <= FULL_CLASSES else _short(number)
        axes.text(
            column,
            row,
            f"{_percent(share)}\n{said}" if roomy else said,
            ha="center",
            va="center",
            size=canvas.SMALL_PT if roomy else 5.5,
            linespacing=1.3,
            color="white" if share > 0.55 else canvas.INK,
        )
    ticks = list(range(classes))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    for row, total in enumerate(totals[:, 0]):
        axes.text(
            classes - 0.35,
            row,
            f"{int(total):,}",
            ha="left",
            va="center",
            size=canvas.SMALL_PT,
            color=canvas.MUTED,
        )
    axes.text(classes - 0.35, -0.62, "rows", ha="left", size=canvas.SMALL_PT, color=canvas.MUTED)


def _percent(share: float) -> str:
    """With one decimal, so that a column of them is read at a glance."""
    if share < 0.0005:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= share < 1 else f"{100 * share:.1f}%"


def _short(count: int) -> str:
    """At most four characters."""
    for unit, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return (
                f"{count / unit:.2g}{suffix}" if count < 10 * unit else f"{count // unit}{suffix}"
            )
    return str(count)


def _draw_pairs(
    truth: NDArray[np.generic],
    flat: Mapping[str, NDArray[np.generic]],
    classes: int,
    path: Path,
    note: str,
) -> None:
    import numpy as np

    wrong = {model: _confused(truth, values, classes) for model, values in flat.items()}
    first = next(iter(wrong), "")
    ranked = sorted(wrong.get(first, {}).items(), key=lambda pair: (-pair[1], pair[0]))
    pairs = [pair for pair, _ in ranked[:MAX_PAIRS]]
    totals = np.bincount(truth.astype(np.int64), minlength=classes)
    pitch = PAIR_IN * (max(1, len(flat)) + 0.7)
    height = max(1.0, pitch * len(pairs))
    errors = sum(wrong.get(first, {}).values())
    figure = canvas.new_figure(
        7.6,
        canvas.HEADER_IN + 0.25 + height + 0.5,
        "Most confused classes",
        f"Share of the true class that the model takes for the other; {classes:,} classes. {note}",
    )
    canvas.key(figure, [(canvas.readable(m, 30), canvas.model_colour(m)) for m in flat])
    axes = canvas.place(figure, 2.3, canvas.HEADER_IN + 0.25, 3.6, height)
    if pairs:
        _draw_bars(figure, axes, pairs, wrong, totals)
        shown = sum(wrong[first][pair] for pair in pairs)
        axes.set_xlabel(
            f"share of the true class; these are {canvas.percent(shown / errors)} of the "
            f"{canvas.readable(first, 30)}'s {errors:,} errors",
            size=canvas.TEXT_PT,
        )
    else:
        canvas.say(axes, "no class is taken for another" if truth.size and flat else "no examples")
    canvas.save(figure, path)


def _confused(
    truth: NDArray[np.generic], predicted: NDArray[np.generic], classes: int
) -> dict[tuple[int, int], int]:
    """Wrong predictions: true class and predicted class -> rows."""
    import numpy as np

    parts = []
    for rows in chunks(truth.size):
        own, other = truth[rows].astype(np.int64), predicted[rows].astype(np.int64)
        parts.append((own * classes + other)[own != other])
    codes, counts = np.unique(np.concatenate(parts or [np.zeros(0, np.int64)]), return_counts=True)
    return {
        divmod(code, classes): count
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
    }


def _draw_bars(
    figure: Figure,
    axes: Axes,
    pairs: Sequence[tuple[int, int]],
    wrong: Mapping[str, Mapping[tuple[int, int], int]],
    totals: NDArray[np.int64],
) -> None:
    bar = 1.0 / (len(wrong) + 0.7)
    longest = 0.0
    for place, (model, found) in enumerate(wrong.items()):
        offset = (place - (len(wrong) - 1) / 2) * bar
        shares = [found.get(pair, 0) / int(totals[pair[0]]) for pair in pairs]
        longest = max(longest, *shares)
        at = [row + offset for row in range(len(pairs))]
        axes.barh(at, shares, height=0.92 * bar, color=canvas.model_colour(model))
        for y, share, pair in zip(at, shares, pairs, strict=True):
            said = f" {canvas.percent(share)} ({found.get(pair, 0):,})"
            axes.text(share, y, said, va="center", size=canvas.SMALL_PT, color=canvas.INK)
    axes.set(xlim=(0, longest * 1.02), ylim=(len(pairs) - 0.5, -0.5))
    canvas.share_ticks(axes, "x", longest, count=4)
    names = [f"{own} taken for {other}" for own, other in pairs]
    axes.set_yticks(range(len(pairs)), names)
