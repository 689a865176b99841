"""Two numbers of each row against each other: rows counted in cells, dark where there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlproject.figures import canvas
from mlproject.figures.rows import sample

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

CELLS = 64
CENTRAL = 0.998
LIGHTEST = 0.3  # rows that would be white: a single one is seen
BAR_IN = 0.11  # width of the colour key


def no_cells() -> NDArray[np.int64]:
    """An empty grid, `[CELLS, CELLS]`."""
    import numpy as np

    return np.zeros((CELLS, CELLS), np.int64)


def count_cells(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> NDArray[np.int64]:
    """Rows in each cell of an even grid.

    Args:
        x: `[n]`, finite.
        y: `[n]`, finite.
        x_range: Lowest and highest x that count.
        y_range: The same for y.

    Returns:
        `[CELLS, CELLS]` counts by y, then x; rows outside the ranges are in none.
    """
    import numpy as np

    inside = (x >= x_range[0]) & (x <= x_range[1]) & (y >= y_range[0]) & (y <= y_range[1])
    cells = _cell(y[inside], y_range) * CELLS + _cell(x[inside], x_range)
    return np.bincount(cells, minlength=CELLS * CELLS).reshape(CELLS, CELLS)


def central_range(*values: NDArray[np.generic]) -> tuple[float, float]:
    """A range that holds the middle `CENTRAL` of each of several arrays, by a sample of them.

    A few rows far away would else press all others into one cell.
    """
    import numpy as np

    ends = []
    for array in values:
        taken = array[sample(array.size)].astype(np.float64)
        taken = taken[np.abs(taken) < canvas.DRAWABLE]
        if taken.size:
            ends.append(np.quantile(taken, ((1 - CENTRAL) / 2, (1 + CENTRAL) / 2)))
    if not ends:
        return 0.0, 1.0
    low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
    pad = 0.02 * (high - low) or max(0.5, 0.01 * abs(high))
    return low - pad, high + pad


def draw_cells(
    figure: Figure,
    axes: Axes,
    counts: NDArray[np.int64],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> None:
    """Draws the counts on a logarithmic scale of colour, with its key at the right of the axes."""
    import numpy as np
    from matplotlib.colors import LogNorm

    most = max(2, int(counts.max()))
    image = axes.imshow(
        np.ma.masked_equal(counts, 0),
        origin="lower",
        extent=(*x_range, *y_range),
        aspect="auto",
        interpolation="nearest",
        cmap="Blues",
        norm=LogNorm(LIGHTEST, most),
        zorder=2,
    )
    axes.set(xlim=x_range, ylim=y_range)
    axes.set_xticks(*canvas.ticks(*x_range, count=5))
    axes.set_yticks(*canvas.ticks(*y_range, count=5))
    box = axes.get_position()
    width_in, _ = figure.get_size_inches()
    at = (box.x1 + 0.08 / width_in, box.y0, BAR_IN / width_in, box.height)
    bar = figure.colorbar(image, cax=figure.add_axes(at))
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()
    bar.ax.set_ylim(1, most)
    powers = [10**power for power in range(len(str(most)))]
    bar.set_ticks(powers, labels=[_short(power) for power in powers])
    bar.ax.tick_params(length=0, labelsize=canvas.SMALL_PT, labelcolor=canvas.MUTED, pad=2)
    bar.ax.set_title("rows", size=canvas.SMALL_PT, color=canvas.MUTED, pad=4, loc="left")


def _short(count: int) -> str:
    for unit, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count // unit}{suffix}"
    return str(count)


def _cell(values: NDArray[np.float64], range_: tuple[float, float]) -> NDArray[np.int64]:
    import numpy as np

    low, high = range_
    return np.minimum(((values - low) * (CELLS / (high - low))).astype(np.int64), CELLS - 1)
