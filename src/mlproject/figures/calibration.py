"""How far the probabilities of a model can be taken at their word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas
from mlproject.figures.rows import chunks, columns, finite, left_out_note
from mlproject.figures.scores import LEGEND, unit_square
from mlproject.metrics import OVERALL, MetricRow

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

BINS = 10
FIGURE_IN = (6.4, 6.3)
LEFT_IN, WIDTH_IN = 0.75, 5.4
CURVE_TOP_IN, CURVE_IN = 0.75, 3.7
COUNTS_TOP_IN, COUNTS_IN = 4.7, 1.1
METRIC = "calibration_error"


def calibration_curve(
    outcomes: Mapping[str, ArrayLike],
    probabilities: Mapping[str, ArrayLike],
    path: Path,
    rows: Sequence[MetricRow] = (),
    confidence: bool = False,
) -> None:
    """Saves how often it came true, by the probability that was given, and how often it was given.

    Args:
        outcomes: Model -> `[n]` 0 or 1: whether it came true. Of a binary model, the label.
        probabilities: Model -> `[n]`: the probability that it would.
        path: PNG file to write.
        rows: Measured metrics: `calibration_error` of `overall` stands in the key.
        confidence: The probabilities are those of the predicted class of a multiclass model, and
            the outcomes say whether it was right.

    Raises:
        DataError: A model has another number of probabilities than of outcomes.
    """
    found = {m: _bins(outcomes[m], probabilities[m]) for m in probabilities}
    lost = sum(bins.lost for bins in found.values())
    figure = canvas.new_figure(
        *FIGURE_IN,
        "Calibration of the predicted class" if confidence else "Calibration",
        "Ten bins of probability; bars are 95% Wilson intervals." + left_out_note(lost),
    )
    curve = canvas.place(figure, LEFT_IN, CURVE_TOP_IN, WIDTH_IN, CURVE_IN)
    below = canvas.place(figure, LEFT_IN, COUNTS_TOP_IN, WIDTH_IN, COUNTS_IN)
    said = "share that was right" if confidence else "share of class 1"
    canvas.label_axes(curve, "", said)
    canvas.label_axes(
        below, "probability of the predicted class" if confidence else "score", "rows in the bin"
    )
    reason = _no_curve(found)
    if reason:
        canvas.say(curve, reason)
        canvas.say(below, "")
    else:
        curve.plot(UNIT, UNIT, color=canvas.MUTED, linewidth=1.0, linestyle=":", label="calibrated")
        for model, bins in found.items():
            _draw(curve, below, model, bins, _key(model, rows))
        unit_square(curve)
        curve.legend(loc="upper left", **LEGEND)
        _counts_axis(below, max(int(bins.rows.max()) for bins in found.values()))
    canvas.save(figure, path)


def predicted_class(
    labels: ArrayLike, probabilities: NDArray[np.generic]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Whether the most probable class is right, and its probability.

    Args:
        labels: `[n]` class of each row.
        probabilities: `[n, classes]`.

    Returns:
        `[n] bool`, and `[n] float32` probabilities.
    """
    import numpy as np

    truth = np.asarray(labels).reshape(-1)
    right, sure = np.zeros(truth.size, np.bool_), np.zeros(truth.size, np.float32)
    for rows in chunks(truth.size):
        part = probabilities[rows]
        right[rows] = part.argmax(axis=1) == truth[rows]
        sure[rows] = part.max(axis=1)
    return right, sure


UNIT = (0.0, 1.0)


class _Bins:
    """Rows, mean probability and outcomes of each bin."""

    def __init__(self) -> None:
        import numpy as np

        self.rows = np.zeros(BINS, np.int64)
        self.given = np.zeros(BINS)
        self.came = np.zeros(BINS)
        self.outside = False
        self.lost = 0


def _bins(outcomes: ArrayLike, probabilities: ArrayLike) -> _Bins:
    import numpy as np

    truth, flat = columns(outcomes, {"model": probabilities})
    bins = _Bins()
    for came, given in finite(truth, flat["model"]):
        if given.size and (given.min() < 0 or given.max() > 1):
            bins.outside = True
            given = np.clip(given, 0, 1)
        at = np.minimum((given * BINS).astype(np.int64), BINS - 1)
        bins.rows += np.bincount(at, minlength=BINS)
        bins.given += np.bincount(at, weights=given, minlength=BINS)
        bins.came += np.bincount(at, weights=came > 0.5, minlength=BINS)
    bins.lost = int(truth.size - bins.rows.sum())
    return bins


def _no_curve(found: Mapping[str, _Bins]) -> str:
    if not found or not any(bins.rows.sum() for bins in found.values()):
        return "no examples"
    if any(bins.outside for bins in found.values()):
        return "not judged: scores outside 0 to 1\nare not probabilities"
    return ""


def _key(model: str, rows: Sequence[MetricRow]) -> str:
    name = canvas.legend_label(canvas.readable(model, 30))
    for row in rows:
        if (row.slice, row.model, row.metric) == (OVERALL, model, METRIC) and row.value is not None:
            return f"{name}: error {canvas.with_interval(row.value, row.low, row.high, 4)}"
    return name


def _draw(curve: Axes, below: Axes, model: str, bins: _Bins, label: str) -> None:
    import numpy as np

    used = bins.rows > 0
    count = bins.rows[used]
    mean, share = bins.given[used] / count, bins.came[used] / count
    low, high = _wilson(share, count)
    style: dict[str, Any] = {"color": canvas.model_colour(model)}
    curve.vlines(mean, low, high, linewidth=1.2, alpha=0.7, **style)
    curve.plot(
        mean,
        share,
        linewidth=1.4,
        linestyle=canvas.model_line(model),
        marker="o" if canvas.model_line(model) == "-" else "s",
        markersize=4,
        label=label,
        **style,
    )
    below.stairs(
        bins.rows,
        np.linspace(0, 1, BINS + 1),
        baseline=None,
        linewidth=1.4,
        linestyle=canvas.model_line(model),
        **style,
    )


def _wilson(
    share: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson (1927): holds for few examples and for shares near 0 and 1."""
    import numpy as np

    z = 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return centre - half, centre + half


def _counts_axis(axes: Axes, most: int) -> None:
    axes.set(xlim=(-0.01, 1.01), yscale="log", ylim=(0.7, 2.0 * most))
    axes.set_xticks(*canvas.ticks(0.0, 1.0, count=5))
    axes.minorticks_off()
    powers = [10**power for power in range(len(str(most)))]
    if len(powers) > 4:
        powers = powers[::2]
    axes.set_yticks(powers, [f"{power:,}" for power in powers])
