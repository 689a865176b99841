"""Whether behavioural cases fit the data, asked before a model is trained for nothing.

Imports pyarrow at the top.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from mlproject.cases.rows import changed_rows, check_columns, drawn_rows, written_row
from mlproject.cases.sections import Cases, ChangedCase


def check_cases_fit(cases: Cases, schema: pa.Schema, training_only: Collection[str] = ()) -> None:
    """Checks each column and value of the cases against the columns of the data.

    Args:
        cases: The cases.
        schema: Of the raw eval split.
        training_only: Columns that no model takes: a case may draw rows by them, no more.

    Raises:
        ConfigError: A case names a column that is not there, or a value is not of its type.
    """
    inputs = tuple(name for name in schema.names if name not in training_only)
    nothing = pa.RecordBatch.from_arrays(
        [pa.array([], field.type) for field in schema], schema=schema
    )
    for case in cases.everything:
        if case.row is not None:
            check_columns(case.row, inputs, case.name, "an input of the model")
            written_row(case.row, schema, tuple(case.row), case.name)
        if isinstance(case, ChangedCase):
            check_columns(case.change, inputs, case.name, "an input of the model")
            drawn_rows(nothing, 1, case.where, cases.seed, case.name)
            for _ in changed_rows(nothing, case):
                pass
