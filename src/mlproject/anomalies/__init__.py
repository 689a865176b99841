"""Anomalies: what of the data breaks the schema, and whether the run may go on.

The artifact:

    anomalies.json     one row for each reason: split, feature, kind, policy, texts
    figures/           the same as a table

    validation.py     statistics against the schema, and against other statistics
    drift.py          how far statistics lie apart
    severity.py       what an anomaly does to the run
    bad_rows.py       the rows behind anomalies, in a file
    row_rules.py      the schema's rules for single rows, over columns
    cells.py          the values of a column, flat
    row_copies.py     rows copied with what is wrong with them
"""

from mlproject.anomalies.validation import (
    SERVING_SPLIT,
    Anomalies,
    Anomaly,
    check_policy,
    validate_statistics,
)

__all__ = ["SERVING_SPLIT", "Anomalies", "Anomaly", "check_policy", "validate_statistics"]
