"""What a profile holds, before it becomes a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.profile.features import Feature

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    from mlproject.anomalies import Anomaly
    from mlproject.profile.relations import Relations
    from mlproject.profile.rows import Rows


@dataclass(frozen=True)
class Side:
    """What is profiled, or what it is compared with.

    Attributes:
        name: Its name: `eval`, or `eval, span 12`.
        statistics: Its statistics; of slices, only the whole is looked at.
        split_dir: The `Split-<name>` folder with its rows; None to leave out what needs rows.
    """

    name: str
    statistics: DatasetFeatureStatisticsList
    split_dir: Path | None = None


@dataclass(frozen=True)
class Entry:
    """One feature of the page.

    Attributes:
        feature: As it is on the shown side; None where only the other side has it.
        other: As it is on the other side, if there is one that has it.
        distances: Measure (`js`, `linf`) -> distance of the sides.
        anomalies: What breaks the schema.
        distinct: Distinct values of a number in the sample.
        association: Share of the label's entropy that it takes away.
    """

    feature: Feature | None
    other: Feature | None = None
    distances: Mapping[str, float] = field(default_factory=dict)
    anomalies: tuple[Anomaly, ...] = ()
    distinct: int | None = None
    association: float | None = None

    @property
    def any(self) -> Feature:
        """The feature as it is on a side that has it."""
        found = self.feature or self.other
        assert found is not None, "an entry has a feature on one side at least"
        return found


@dataclass(frozen=True)
class Profile:
    """All that the page shows.

    Attributes:
        title: Of the page.
        sides: Names of what is shown and, if so, of what it is compared with.
        rows_in_sides: Rows of each.
        entries: The features, in the order of the data.
        facts: Name and text of what else is known: digest, spans, schema.
        anomalies: All of them, those of the whole dataset too; None where none were looked for.
        rows: What was found in the rows, if they were read.
        relations: How the features go together, if the rows were read.
        notes: What was left out, and why.
    """

    title: str
    sides: tuple[str, ...]
    rows_in_sides: tuple[int, ...]
    entries: tuple[Entry, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    anomalies: tuple[Anomaly, ...] | None = None
    rows: Rows | None = None
    relations: Relations | None = None
    notes: tuple[str, ...] = ()
