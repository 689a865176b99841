"""Rows of labels and predictions as the figures take them: a chunk at a time, or a sample.

What can be counted is counted over all rows, in chunks. What needs the rows in order (a curve, a
quantile) is drawn from `SORTED_ROWS` of them at most, spread evenly over all and the same each
time; a figure that does so says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlproject.errors import DataError
from mlproject.figures import canvas

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

CHUNK_ROWS = 262_144
SORTED_ROWS = 1_000_000
SAMPLE_SEED = 42


def columns(
    labels: ArrayLike, by_model: Mapping[str, ArrayLike]
) -> tuple[NDArray[np.generic], dict[str, NDArray[np.generic]]]:
    """Labels and one number a row of each model, flat.

    Args:
        labels: `[n]` or `[n, 1]`.
        by_model: Model -> `[n]` or `[n, 1]`.

    Raises:
        DataError: A model has another number of rows than there are labels.
    """
    import numpy as np

    truth = np.asarray(labels).reshape(-1)
    flat = {model: np.asarray(values).reshape(-1) for model, values in by_model.items()}
    for model, values in flat.items():
        _same_rows(truth.size, values.size, model)
    return truth, flat


def matrix(labels: ArrayLike, probabilities: ArrayLike, model: str) -> NDArray[np.generic]:
    """The probabilities of a multiclass model, checked.

    Args:
        labels: `[n]` or `[n, 1]`.
        probabilities: `[n, classes]`.
        model: Named where they do not fit.

    Raises:
        DataError: They are not `[n, classes]`, with at least two classes.
    """
    import numpy as np

    found = np.asarray(probabilities)
    if found.ndim != 2 or found.shape[1] < 2:
        raise DataError(
            "Drawing the predictions failed",
            received=f"shape {found.shape} of the {model}",
            expected="[rows, classes], one probability for each class",
            next_step="end the model with one softmax output for each class",
        )
    _same_rows(np.size(labels), found.shape[0], model)
    return found


def finite(
    truth: NDArray[np.generic], values: NDArray[np.generic]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Labels and values as float64, chunk by chunk, without the rows where either is not finite."""
    import numpy as np

    for rows in chunks(truth.size):
        label = truth[rows].astype(np.float64)
        value = values[rows].astype(np.float64)
        known = (np.abs(label) < canvas.DRAWABLE) & (np.abs(value) < canvas.DRAWABLE)
        yield label[known], value[known]


def chunks(count: int) -> Iterator[slice]:
    """Slices of `CHUNK_ROWS` rows that cover `count` rows."""
    return (slice(start, start + CHUNK_ROWS) for start in range(0, count, CHUNK_ROWS))


def sample(count: int, limit: int = SORTED_ROWS) -> slice | NDArray[np.int64]:
    """Which of `count` rows to take: all of them, or one at random from each of `limit` parts."""
    import numpy as np

    if count <= limit:
        return slice(None)
    random = np.random.default_rng(SAMPLE_SEED)
    return np.unique(((np.arange(limit) + random.random(limit)) * (count / limit)).astype(np.int64))


def sample_note(count: int, limit: int = SORTED_ROWS) -> str:
    """A sentence for the subtitle where `sample` leaves rows out; else nothing."""
    if count <= limit:
        return ""
    return f" From a sample of {limit:,} of {count:,} rows, the same each time."


def left_out_note(lost: int) -> str:
    """A sentence for the subtitle where rows could not be drawn; else nothing."""
    return f" {lost:,} scores without a finite value and label are left out." if lost else ""


def _same_rows(labels: int, scores: int, model: str) -> None:
    if labels != scores:
        raise DataError(
            f"Drawing the scores of the {canvas.readable(model, 40)} failed",
            received=f"{scores} scores for {labels} labels",
            expected="one score for each label",
            next_step="check that the model gives one score for each example",
        )
