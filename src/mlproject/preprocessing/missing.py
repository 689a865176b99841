"""Missing values filled with a constant, or with what tf.Transform measured over the data."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft

from mlproject.preprocessing.arguments import check_choice, refuse
from mlproject.preprocessing.columns import (
    Feature,
    categories,
    densify,
    missing_indicator,
    numbers,
    present,
)
from mlproject.preprocessing.quantiles import quantiles
from mlproject.preprocessing.vocabularies import most_frequent

STRATEGIES = ("constant", "mean", "median", "most_frequent")
_ACCEPTED: dict[tf.DType, tuple[type, ...]] = {
    tf.float32: (int, float),
    tf.int64: (int,),
    tf.string: (str, bytes),
}


def fill_missing(
    x: Feature, strategy: str, constant: float | str | bytes | None = None
) -> tf.Tensor:
    """Puts a value where none is.

    Formula: `x` where it is present, else the constant; the mean of the present values; their
    median `sorted[floor(n / 2)]`; or the most frequent of them (of equals the last in the order of
    bytes). Over a data set without any value: 0 or "".

    Args:
        x: As `densify` takes it. `mean` and `median` take numbers, `most_frequent` int64 or string.
        strategy: `constant`, `mean`, `median` or `most_frequent`.
        constant: The value for `constant`, of the feature's own kind.

    Returns:
        `[batch]`, float32 for `mean` and `median`, else float32, int64 or string as `x` is. An
        int64 beyond 2**24 loses digits as float32.

    Raises:
        UserModuleError: The strategy is unknown or does not fit the feature's dtype.
    """
    check_choice("fill_missing", "strategy", strategy, STRATEGIES)
    if (strategy == "constant") != (constant is not None):
        raise refuse(
            "fill_missing",
            received=f"strategy='{strategy}', constant={constant!r}",
            expected="a constant with strategy 'constant', and with no other",
            next_step="give both or neither",
        )
    column = densify(x)
    if strategy == "constant":
        return tf.where(present(column), column, _checked(constant, column.dtype))
    if strategy == "most_frequent":
        return tf.where(present(column), column, _mode(column))
    values = numbers(column, f"fill_missing with the {strategy}")
    if strategy == "mean":
        fill = tf.cast(tft.mean(values), tf.float32)
    else:
        (fill,) = quantiles(values, (0.5,))
    return tf.where(present(column), tf.cast(column, tf.float32), fill)


def impute(
    x: Feature, strategy: str, constant: float | str | bytes | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Fills missing values and says which ones they were.

    Formula: `fill_missing(x, strategy, constant)` and `missing_indicator(x)`.

    Args:
        x: As `fill_missing` takes it.
        strategy: As `fill_missing` takes it.
        constant: As `fill_missing` takes it.

    Returns:
        The values `[batch]`, and 1 where there was none, `[batch]` float32.

    Raises:
        UserModuleError: As `fill_missing` does.
    """
    return fill_missing(x, strategy, constant), missing_indicator(x)


def _mode(column: tf.Tensor) -> tf.Tensor:
    mode = most_frequent(categories(column, "fill_missing with the most frequent value"))
    if column.dtype == tf.string:
        return mode
    return tf.strings.to_number(tf.where(tf.equal(mode, ""), "0", mode), tf.int64)


def _checked(constant: float | str | bytes | None, dtype: tf.DType) -> tf.Tensor:
    if isinstance(constant, bool) or not isinstance(constant, _ACCEPTED[dtype]):
        raise refuse(
            "fill_missing",
            received=f"constant={constant!r} for a feature of {dtype.name}",
            expected=" or ".join(kind.__name__ for kind in _ACCEPTED[dtype]),
            next_step="give a constant of the feature's own kind",
        )
    return tf.constant(constant, dtype)
