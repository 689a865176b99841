"""The baseline: the row that a row is explained against.

A typical row, in transformed features: the mean of each float feature and the most frequent value
of every other, over the model's warm-up requests (rows of its eval split). Where a model has none,
a row of which every raw feature is missing. A row of missing values alone is no better baseline
where both can be had: few models have seen one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlproject.errors import ServingError
from mlproject.raw_inputs import MISSING_INT

if TYPE_CHECKING:
    import numpy as np

    from mlproject.explanation.model import Rows, TransformedModel


def baseline_of(model: TransformedModel, rows: Sequence[Mapping[str, np.ndarray]]) -> Rows:
    """The baseline, transformed.

    Args:
        model: The model.
        rows: Raw rows (feature -> `[rows, ...]`) to take the middle of; none for a row without
            any value.

    Returns:
        Transformed feature -> `[1, ...]`.

    Raises:
        ServingError: There are no rows, and a raw feature cannot be missing; or the rows do not
            fit the model.
    """
    import numpy as np

    if not rows:
        return model.transform(_nothing(model.raw_specs))
    parts = [model.transform(row) for row in rows]
    try:
        whole = {name: np.concatenate([part[name] for part in parts]) for name in model.specs}
    except ValueError as err:
        raise ServingError(
            "Making the baseline failed",
            received=str(err),
            expected="transformed features of one shape for every row",
        ) from err
    return {name: _middle(values) for name, values in whole.items()}


def _middle(values: np.ndarray) -> np.ndarray:
    import numpy as np

    if values.dtype.kind == "f":
        return values.mean(axis=0, keepdims=True, dtype=np.float64).astype(values.dtype)
    flat = values.reshape(len(values), -1)
    most = Counter(map(tuple, flat.tolist())).most_common(1)[0][0]
    row = np.empty(len(most), values.dtype)
    row[:] = most
    return row.reshape(1, *values.shape[1:])


def _nothing(specs: Mapping[str, Any]) -> Rows:
    """A raw row without any value."""
    import numpy as np
    import tensorflow as tf

    row = {}
    for name, spec in specs.items():
        if any(size is not None for size in spec.shape[1:]):
            raise ServingError(
                "The row cannot be explained: there is no row to compare it with",
                received=f"a model without warm-up requests, whose '{name}' cannot be missing",
                expected="rows of the model's data in assets.extra/tf_serving_warmup_requests",
                next_step="train the model again: `benison train PROJECT`",
            )
        shape = [1] * spec.shape.rank
        if spec.dtype == tf.string:
            row[name] = np.full(shape, b"", object)
        elif spec.dtype.is_floating:
            row[name] = np.full(shape, np.nan, spec.dtype.as_numpy_dtype)
        else:
            row[name] = np.full(shape, MISSING_INT, np.int64)
    return row
