"""Where candidate and champion disagree, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.figures import canvas
from mlproject.figures.density import central_range, count_cells, draw_cells, no_cells
from mlproject.figures.rows import chunks, columns, matrix
from mlproject.metrics import CANDIDATE, CHAMPION

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

FIGURE_IN = (9.0, 4.9)
PLOT_IN = (3.85, 3.6)
LEFT_IN, TOP_IN, TEXT_LEFT_IN = 0.65, 0.75, 5.45
UNIT = (0.0, 1.0)


def model_agreement(
    task: str, labels: ArrayLike, predictions: Mapping[str, ArrayLike], path: Path
) -> None:
    """Saves the candidate's prediction of each row against the champion's, and who is right.

    Args:
        task: `binary`, `multiclass` or `regression`.
        labels: `[n]` or `[n, 1]`.
        predictions: `candidate` and `champion` -> `[n]`, or `[n, classes]` for multiclass, where
            the probabilities that they give the true class are compared.
        path: PNG file to write.

    Raises:
        DataError: A model has another number of rows than there are labels.
    """
    names = {"binary": "score", "multiclass": "probability of the true class"}
    what = names.get(task, "prediction")
    figure = canvas.new_figure(
        *FIGURE_IN,
        "Candidate against champion",
        f"The {what} that each gives the same row; on the dotted line they agree.",
    )
    axes = canvas.place(figure, LEFT_IN, TOP_IN, *PLOT_IN)
    canvas.label_axes(axes, f"champion's {what}", f"candidate's {what}")
    if task == "regression":
        cells, range_, lines = _numbers(labels, predictions)
    else:
        cells, range_, lines = _classes(task, labels, predictions)
    if not cells.any():
        canvas.say(axes, "no rows with two finite predictions")
    else:
        draw_cells(figure, axes, cells, range_, range_)
        axes.plot(range_, range_, color=canvas.MUTED, linewidth=1.0, linestyle=":", zorder=3)
        if task == "binary":
            _cross(axes)
        for place, (name, text, strong) in enumerate(lines):
            style = {"weight": "bold" if strong else "normal"}
            top = TOP_IN + 0.1 + 0.3 * place
            canvas.write(figure, TEXT_LEFT_IN, top, name, **style)
            canvas.write(figure, FIGURE_IN[0] - canvas.MARGIN_IN, top, text, ha="right", **style)
    canvas.save(figure, path)


Lines = list[tuple[str, str, bool]]
Found = tuple["NDArray[np.int64]", tuple[float, float], Lines]


def _classes(task: str, labels: ArrayLike, predictions: Mapping[str, ArrayLike]) -> Found:
    import numpy as np

    cells = no_cells()
    right = np.zeros(4, np.int64)  # neither, the candidate only, the champion only, both
    same = 0
    read = _binary if task == "binary" else _multiclass
    for champion, candidate, old, new, truth in read(labels, predictions):
        cells += count_cells(champion, candidate, UNIT, UNIT)
        same += int((old == new).sum())
        right += np.bincount(2 * (old == truth) + (new == truth), minlength=4)
    rows = int(right.sum())
    lines = [
        ("rows", f"{rows:,}", False),
        ("same class predicted", _share(same, rows), False),
        ("another class predicted", _share(rows - same, rows), False),
        ("", "", False),
        ("both are right", _share(int(right[3]), rows), False),
        ("only the candidate is right", _share(int(right[1]), rows), True),
        ("only the champion is right", _share(int(right[2]), rows), True),
        ("both are wrong", _share(int(right[0]), rows), False),
    ]
    return cells, UNIT, lines


_Chunk = tuple[
    "NDArray[np.float64]", "NDArray[np.float64]",
    "NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]",
]  # fmt: skip


def _binary(labels: ArrayLike, predictions: Mapping[str, ArrayLike]) -> Iterator[_Chunk]:
    import numpy as np

    truth, flat = columns(labels, predictions)
    for rows in chunks(truth.size):
        x, y = (flat[model][rows].astype(np.float64) for model in (CHAMPION, CANDIDATE))
        label = truth[rows].astype(np.float64)
        known = np.isfinite(x) & np.isfinite(y) & np.isfinite(label)
        x, y, label = x[known], y[known], label[known]
        classes = [(values >= 0.5).astype(np.int64) for values in (x, y, label)]
        yield x, y, classes[0], classes[1], classes[2]


def _multiclass(labels: ArrayLike, predictions: Mapping[str, ArrayLike]) -> Iterator[_Chunk]:
    import numpy as np

    truth = np.asarray(labels).reshape(-1)
    old, new = (matrix(truth, predictions[model], model) for model in (CHAMPION, CANDIDATE))
    classes = min(old.shape[1], new.shape[1])
    for rows in chunks(truth.size):
        label = truth[rows].astype(np.int64)
        known = (label >= 0) & (label < classes)
        known &= np.isfinite(old[rows]).all(axis=1) & np.isfinite(new[rows]).all(axis=1)
        label = label[known]
        parts = [model[rows][known] for model in (old, new)]
        x, y = (part[np.arange(label.size), label].astype(np.float64) for part in parts)
        yield x, y, parts[0].argmax(axis=1), parts[1].argmax(axis=1), label


def _numbers(labels: ArrayLike, predictions: Mapping[str, ArrayLike]) -> Found:
    import numpy as np

    truth, flat = columns(labels, predictions)
    old, new = flat[CHAMPION], flat[CANDIDATE]
    range_ = central_range(old, new)
    cells = no_cells()
    nearer, rows = np.zeros(2, np.int64), 0
    for part in chunks(truth.size):
        values = (old[part].astype(np.float64), new[part].astype(np.float64))
        label = truth[part].astype(np.float64)
        known = np.logical_and.reduce([np.abs(v) < canvas.DRAWABLE for v in (*values, label)])
        x, y, label = values[0][known], values[1][known], label[known]
        cells += count_cells(x, y, range_, range_)
        gap = np.abs(x - label) - np.abs(y - label)
        nearer += (int((gap > 0).sum()), int((gap < 0).sum()))
        rows += x.size
    inside = int(cells.sum())
    lines = [
        ("rows", f"{rows:,}", False),
        ("outside of the picture", _share(rows - inside, rows), False),
        ("", "", False),
        ("the candidate is nearer the truth", _share(int(nearer[0]), rows), True),
        ("the champion is nearer the truth", _share(int(nearer[1]), rows), True),
        ("both are as near", _share(rows - int(nearer.sum()), rows), False),
    ]
    return cells, range_, lines


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({canvas.percent(count / whole if whole else 0.0)})"


def _cross(axes: Axes) -> None:
    for line in (axes.axhline, axes.axvline):
        line(0.5, color=canvas.MUTED, linewidth=0.8, linestyle="--", zorder=3)
