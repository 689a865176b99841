"""Rows that break the schema, copied to a Parquet file for a look.

The file holds every column of the Examples, and before them:

    _split     the split
    _span      the row's span; null where the source has none
    _row       its position in the split, from 0
    _feature   the feature that breaks the schema
    _kind      how: a kind of anomaly, as TensorFlow Metadata names it
    _reason    the value and what is wrong with it

A row stands there once for each of its faults. A column of the data with one of these names keeps
it; the file's own then has one more `_` in front.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.anomalies import Anomalies
from mlproject.anomalies.cells import Cells
from mlproject.anomalies.row_copies import MarkedRows, copy_rows, read_columns
from mlproject.anomalies.row_rules import ROW_KINDS, RowRule, row_rules
from mlproject.examples.reader import count_rows, read_batches
from mlproject.schema import TRAINING

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

BAD_ROWS_FILE = "bad_rows.parquet"
LIMIT = 1000


@dataclass(frozen=True)
class Finding:
    """The rows of a split that break one rule.

    Attributes:
        split: The split.
        feature: The feature.
        kind: Kind of anomaly.
        count: All such rows of the split.
        kept: How many of them are in the file, the first ones.
        first: The first value that breaks the rule; "" where there is no value.
    """

    split: str
    feature: str
    kind: str
    count: int
    kept: int
    first: str


@dataclass(frozen=True)
class BadRows:
    """What was found.

    Attributes:
        file: The Parquet file; None where no row breaks a rule.
        findings: In the order of splits, features and rules.
        rows: Rows that were looked at.
    """

    file: Path | None
    findings: tuple[Finding, ...]
    rows: int


def find_bad_rows(
    examples_dir: Path,
    splits: Mapping[str, Collection[str] | None],
    schema: Schema,
    out_file: Path,
    *,
    environment: str = TRAINING,
    limit: int = LIMIT,
) -> BadRows:
    """Finds the rows that break the schema, and copies the first of them to a file.

    One pass over the columns that the schema has rules for, and a second one over all columns of
    the few row groups with rows to copy. Where a domain need not hold all values
    (`min_domain_mass`), a row outside it is still shown, and its reason says so.

    Args:
        examples_dir: Folder of the Examples.
        splits: Split -> the features to look at; None for all of them.
        schema: The schema, with its environments.
        out_file: The Parquet file to write; replaced whole.
        environment: `TRAINING` or `SERVING`.
        limit: Most rows to copy for one feature and kind; the counts are complete all the same.

    Raises:
        DataError: The Examples are missing or damaged.
        StorageError: The file cannot be written.
    """
    findings: list[Finding] = []
    chosen: list[MarkedRows] = []
    rows = 0
    for split, features in splits.items():
        folder = examples_dir / f"Split-{split}"
        rows += count_rows(folder)
        columns = read_columns(folder)
        rules = [
            _Collected(rule)
            for rule in row_rules(schema, columns, environment)
            if features is None or rule.feature in features
        ]
        _collect(folder, rules, limit)
        broken = [rule for rule in rules if rule.count]
        findings += [rule.finding(split) for rule in broken]
        if broken:
            chosen.append(MarkedRows(split, folder, pa.concat_tables(r.marks() for r in broken)))
    if not findings:
        return BadRows(None, (), rows)
    copy_rows(chosen, out_file)
    return BadRows(out_file, tuple(findings), rows)


def bad_rows_of(
    anomalies: Anomalies, examples_dir: Path, schema: Schema, out_file: Path, limit: int = LIMIT
) -> BadRows | None:
    """The rows behind anomalies that single rows are guilty of.

    Args:
        anomalies: What the validation found.
        examples_dir: Folder of the Examples.
        schema: The schema, with its environments.
        out_file: The Parquet file to write.
        limit: Most rows to copy for one feature and kind.

    Returns:
        What was found; None where no anomaly is of such a kind.
    """
    splits: dict[str, set[str]] = {}
    for anomaly in anomalies.found:
        if anomaly.kind in ROW_KINDS and (examples_dir / f"Split-{anomaly.split}").is_dir():
            splits.setdefault(anomaly.split, set()).add(anomaly.feature)
    return find_bad_rows(examples_dir, splits, schema, out_file, limit=limit) if splits else None


@dataclass
class _Collected:
    """A rule, and the rows of a split that break it."""

    rule: RowRule
    count: int = 0
    kept: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    values: list[pa.Array] = field(default_factory=list)

    def add(self, rows: np.ndarray, values: pa.Array, limit: int) -> None:
        self.count += len(rows)
        take = min(limit - self.kept, len(rows))
        if take > 0:
            self.kept += take
            self.rows.append(rows[:take])
            self.values.append(values[:take])

    def finding(self, split: str) -> Finding:
        first = self.values[0][0].as_py() if self.values else None
        return Finding(split, self.rule.feature, self.rule.kind, self.count, self.kept, first or "")

    def marks(self) -> pa.Table:
        """`[kept]`: row, feature, kind and reason."""
        rows = np.concatenate([np.empty(0, np.int64), *self.rows])
        values = pa.chunked_array(self.values, pa.string())
        quoted = pc.binary_join_element_wise("'", values, "' ", "")
        who = pc.fill_null(quoted, f"{self.rule.feature} ")
        return pa.table(
            {
                "row": rows,
                "feature": pa.array([self.rule.feature] * len(rows), pa.string()),
                "kind": pa.array([self.rule.kind] * len(rows), pa.string()),
                "reason": pc.binary_join_element_wise(who, self.rule.reason, ""),
            }
        )


def _collect(folder: Path, rules: Sequence[_Collected], limit: int) -> None:
    columns = list(dict.fromkeys(collected.rule.feature for collected in rules))
    start = 0
    for batch in read_batches(folder, columns) if columns else ():
        cells = {name: Cells(batch.column(place)) for place, name in enumerate(columns)}
        for collected in rules:
            rows, values = collected.rule.find(cells[collected.rule.feature])
            if len(rows):
                collected.add(rows + start, values, limit)
        start += batch.num_rows
