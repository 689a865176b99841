"""The column with the weights of rows: what TFDV can weigh by, and what it cannot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.errors import ConfigError, DataError, closest


def check_weight_name(name: str, columns: Sequence[str]) -> None:
    """Checks that the weight column is there.

    Raises:
        ConfigError: It is not; the closest is named.
    """
    if name not in columns:
        raise ConfigError(
            "The statistics are weighted by a column that the data does not have",
            received=f"'{name}'",
            expected=closest(name, columns),
            next_step="correct `statistics.weight` in project.yaml",
        )


def check_weights(batch: pa.RecordBatch, name: str) -> None:
    """Checks the weights of a batch.

    Args:
        batch: Flat columns, as they are stored.
        name: The weight column.

    Raises:
        ConfigError: There is no such column.
        DataError: It holds no numbers, or a weight is missing, negative or not finite.
    """
    check_weight_name(name, batch.schema.names)
    column = batch.column(batch.schema.names.index(name))
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise _unusable(name, f"values of type {column.type}", "one number in each row")
    if column.null_count:
        raise _unusable(name, f"{column.null_count:,} missing weights", "a weight in each row")
    weights = column.cast(pa.float32(), safe=False).to_numpy()
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        first = pc.cast(column, pa.float64())[int(wrong[0])].as_py()
        raise _unusable(
            name, f"{len(wrong):,} such weights, first {first}", "finite numbers of 0 or more"
        )


def _unusable(name: str, received: str, expected: str) -> DataError:
    return DataError(
        f"The column '{name}' cannot weigh rows",
        received=received,
        expected=expected,
        next_step="mend the column, or leave `statistics.weight` out",
    )
