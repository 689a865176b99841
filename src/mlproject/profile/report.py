"""The profile of a split: statistics, rows and anomalies brought together as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import StorageError
from mlproject.profile.content import Entry, Profile, Side
from mlproject.profile.distances import measure_distances
from mlproject.profile.features import Feature, features_of

if TYPE_CHECKING:
    from mlproject.anomalies import Anomaly
    from mlproject.profile.relations import Relations
    from mlproject.profile.rows import Rows

PROFILE_FILE = "profile.html"
PIPELINE_ROWS = 1_000_000
"""Rows of a split that a pipeline run reads a second time for its profile: about a second."""

_RUN = "benison data profile"


def write_profile(
    file: Path,
    title: str,
    shown: Side,
    against: Side | None = None,
    *,
    label: str | None = None,
    anomalies: Sequence[Anomaly] | None = None,
    facts: Mapping[str, str] | None = None,
    max_rows: int | None = None,
) -> Profile:
    """Writes a profile as one HTML file that needs nothing else.

    Args:
        file: The file.
        title: The page's title.
        shown: What is profiled.
        against: What it is compared with.
        label: The label; its association with the features is left out where it is no raw column.
        anomalies: Of the shown side; None where no schema was there to look for any.
        facts: Name and text of what else is known.
        max_rows: Leave out what needs the rows where there are more of them; None for never.

    Returns:
        What the page shows.

    Raises:
        DataError: The rows are missing or damaged.
        StorageError: The file cannot be written.
    """
    from mlproject.profile.page import render

    made = make_profile(
        title,
        shown,
        against,
        label=label,
        anomalies=anomalies,
        facts=facts,
        max_rows=max_rows,
    )
    page = render(made)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as err:
        raise StorageError(
            "Writing the profile failed",
            received=f"{file}: {err.strerror or err}",
            expected="a file in a folder that this user may write, on a disk with room",
            next_step="name another file",
        ) from err
    return made


def make_profile(
    title: str,
    shown: Side,
    against: Side | None = None,
    *,
    label: str | None = None,
    anomalies: Sequence[Anomaly] | None = None,
    facts: Mapping[str, str] | None = None,
    max_rows: int | None = None,
) -> Profile:
    """The profile that `write_profile` writes."""
    from mlproject.anomalies.histograms import default_dataset

    dataset = default_dataset(shown.statistics)
    own = features_of(dataset)
    control = default_dataset(against.statistics) if against else None
    other = features_of(control) if control is not None else {}
    rows, relations, notes = _read_rows(shown, own, int(dataset.num_examples), label, max_rows)
    distances = measure_distances(shown, against) if against else {}
    distinct = _distinct(rows, own)
    associated = dict(relations.association) if relations else {}
    entries = (
        Entry(
            feature=own.get(name),
            other=other.get(name),
            distances=distances.get(name, {}),
            anomalies=tuple(a for a in anomalies or () if a.feature == name),
            distinct=distinct.get(name),
            association=associated.get(name),
        )
        for name in dict.fromkeys((*own, *other))
    )
    return Profile(
        title=title,
        sides=(shown.name, *((against.name,) if against else ())),
        rows_in_sides=tuple(int(d.num_examples) for d in (dataset, control) if d is not None),
        entries=tuple(entries),
        facts=facts or {},
        anomalies=None if anomalies is None else tuple(anomalies),
        rows=rows,
        relations=relations,
        notes=notes,
    )


def _read_rows(
    shown: Side, features: Mapping[str, Feature], rows: int, label: str | None, max_rows: int | None
) -> tuple[Rows | None, Relations | None, tuple[str, ...]]:
    if shown.split_dir is None:
        return None, None, ("Copies of rows, correlations and associations need the rows.",)
    if max_rows is not None and rows > max_rows:
        note = f"Copies of rows, correlations and associations are left out above {max_rows:,} rows"
        return None, None, (f"{note}; `{_RUN}` has them.",)
    from mlproject.profile.relations import relate
    from mlproject.profile.rows import read_rows

    found = read_rows(shown.split_dir)
    known = label if label in found.sample.column_names else None
    note = ""
    if label is None:
        note = "No label was named."
    elif known is None:
        why = "holds lists or bytes" if label in features else "is no raw column of the data"
        note = f"'{label}' {why}; `{_RUN} --label COLUMN` takes another one."
    return found, relate(found.sample, known, note), ()


def _distinct(rows: Rows | None, features: Mapping[str, Feature]) -> dict[str, int]:
    if rows is None:
        return {}
    from mlproject.profile.rows import distinct_numbers

    return distinct_numbers(rows.sample, [n for n, f in features.items() if f.numbers])
