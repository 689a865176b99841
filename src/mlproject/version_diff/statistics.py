"""The data statistics of two versions, feature by feature, with the distances of drift."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlproject.errors import DataError
from mlproject.registry.names import STATISTICS
from mlproject.statistics.files import STATISTICS_FILE, read_statistics
from mlproject.version_diff.evidence import Evidence, read_both
from mlproject.version_diff.result import Section
from mlproject.version_diff.values import FeatureShift, Pair

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    from mlproject.profile.features import Feature

PREFIX = "Split-"
DECILES = 11
"""Bounds of ten parts: the second is p10, the last but one p90."""

Statistics = dict[str, "DatasetFeatureStatisticsList"]


def compare_statistics(before: Evidence, after: Evidence) -> Section[FeatureShift]:
    """Compares the statistics of each split.

    Distances are those of drift (`mlproject.anomalies.drift`): Jensen-Shannon divergence in bits,
    and the largest difference of a value's share.
    """
    found, unjudged = read_both(STATISTICS, _read, before, after)
    if found is None:
        return Section(unjudged=unjudged)
    items: list[FeatureShift] = []
    notes = []
    for split in dict.fromkeys((*found[0], *found[1])):
        sides = [statistics.get(split) for statistics in found]
        if sides[0] is None or sides[1] is None:
            lacking = before if sides[0] is None else after
            unjudged = (*unjudged, f"{lacking.title}: statistics of split '{split}' not recorded")
            continue
        if sides[0] == sides[1]:
            notes.append(f"{split}: the same statistics")
        items += sorted(_split_shifts(split, sides[0], sides[1]), key=lambda s: -s.distance)
    return Section(tuple(items), unjudged, tuple(notes))


def _read(side: Evidence) -> Statistics | None:
    """Split -> its statistics over all rows.

    Raises:
        DataError: A file is damaged.
    """
    folder = side.path(STATISTICS)
    files = sorted(folder.glob(f"{PREFIX}*/{STATISTICS_FILE}")) if folder else []
    if folder is None or not files:
        return None
    found = {}
    for file in files:
        split = file.parent.name.removeprefix(PREFIX)
        found[split] = read_statistics(folder, split)
        if not found[split].datasets:
            raise DataError("Reading statistics failed", received=f"no dataset of '{split}'")
    return found


def _split_shifts(
    split: str, before: DatasetFeatureStatisticsList, after: DatasetFeatureStatisticsList
) -> list[FeatureShift]:
    from mlproject.anomalies.histograms import default_dataset
    from mlproject.profile.features import features_of

    old, new = (features_of(default_dataset(side)) for side in (before, after))
    distances = {} if before == after else _distances(before, after)
    return [
        FeatureShift(
            split=split,
            feature=name,
            before=old[name].kind if name in old else None,
            after=new[name].kind if name in new else None,
            numbers=_numbers(old.get(name), new.get(name)),
            shares=_shares(old.get(name), new.get(name)),
            distances=distances.get(name, {}),
        )
        for name in dict.fromkeys((*new, *old))
    ]


def _distances(
    before: DatasetFeatureStatisticsList, after: DatasetFeatureStatisticsList
) -> dict[str, dict[str, float]]:
    from mlproject.profile.content import Side
    from mlproject.profile.distances import measure_distances

    return measure_distances(Side("after", after), Side("before", before))


def _numbers(before: Feature | None, after: Feature | None) -> tuple[Pair, ...]:
    sides = [_measured(side) if side else {} for side in (before, after)]
    names = dict.fromkeys((*sides[1], *sides[0]))
    return tuple(_pair(name, sides[0].get(name), sides[1].get(name)) for name in names)


def _measured(feature: Feature) -> dict[str, float | None]:
    found: dict[str, float | None] = {"missing": feature.missing_share}
    if feature.numbers is not None:
        own = feature.numbers
        whole = len(own.deciles) == DECILES
        found |= {
            "mean": own.mean,
            "std": own.std,
            "min": own.minimum,
            "p10": own.deciles[1] if whole else None,
            "median": own.median,
            "p90": own.deciles[-2] if whole else None,
            "max": own.maximum,
        }
    if feature.distinct is not None:
        found["distinct"] = float(feature.distinct)
    if feature.is_list:
        found["values a row"] = feature.lengths[1]
    if feature.sizes is not None and feature.kind == "bytes":
        found["bytes a value"] = feature.sizes[1]
    return found


def _shares(before: Feature | None, after: Feature | None) -> tuple[Pair, ...]:
    """Shares of the values that are among the most frequent of a side."""
    if before is None or after is None:
        return ()
    sides = [_top_shares(side) for side in (before, after)]
    # A value that is not among the listed ones is absent where all are listed.
    rest = [
        0.0 if side.distinct is not None and side.distinct <= len(own) else None
        for side, own in zip((before, after), sides, strict=True)
    ]
    pairs = [
        _pair(value, sides[0].get(value, rest[0]), sides[1].get(value, rest[1]))
        for value in dict.fromkeys((*sides[1], *sides[0]))
    ]
    return tuple(sorted(pairs, key=lambda p: (-abs((p.after or 0) - (p.before or 0)), p.name)))


def _top_shares(feature: Feature) -> dict[str, float]:
    return {value: count / feature.values for value, count in feature.top if feature.values}


def _pair(name: str, before: float | None, after: float | None) -> Pair:
    """A number of both sides; one that is not finite says nothing."""
    ends = (v if v is not None and math.isfinite(v) else None for v in (before, after))
    return Pair(name, *ends)
