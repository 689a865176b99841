"""Whole comparisons: nothing differs from itself, and the way back mirrors the way there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.registry.names import BASELINE_TAG, BLESSING_TAG, ROWS_TAG, STAGE_TAG
from mlproject.version_diff import DIFFERENT, SAME, UNJUDGED, Evidence, compare_versions
from mlproject.version_diff.values import (
    ADDED,
    BETTER,
    REMOVED,
    WORSE,
    Fact,
    FeatureShift,
    FileChange,
    MetricShift,
    Pair,
)

OPPOSITE = {BETTER: WORSE, WORSE: BETTER, ADDED: REMOVED, REMOVED: ADDED}
SCHEMA = 'feature {{ name: "fare" type: FLOAT float_domain {{ max: {} }} }}'
names = st.sampled_from(["a", "b", "c.d", "e[0]"])
leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(0, 1) | st.text(max_size=3)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=2) | st.dictionaries(names, v, max_size=2), max_leaves=5
)
configs = st.none() | st.dictionaries(names, values, max_size=3)
numbers = st.none() | st.floats(0, 1)


@st.composite
def metric_rows(draw: st.DrawFn) -> list[MetricRow]:
    rows = []
    for where in draw(st.sets(st.sampled_from([OVERALL, "x=1", "x=2"]))):
        for metric in draw(st.sets(st.sampled_from(["auc", "log_loss", "own"]), min_size=1)):
            for model in (CANDIDATE, CHAMPION):
                value, half, error = draw(numbers), draw(st.floats(0, 0.3)), draw(numbers)
                ends = (
                    (None, None) if value is None or error is None else (value - half, value + half)
                )
                rows.append(MetricRow(where, model, metric, 10, value, *ends, error))
    return rows


@st.composite
def differences(draw: st.DrawFn) -> list[Difference]:
    found = []
    for where in (OVERALL, "x=1", "x=2"):
        value, half, error = draw(numbers), draw(st.floats(0, 1)), draw(numbers)
        ends = (None, None) if value is None else (value - half, value + half)
        found.append(Difference(where, "auc", 10, value, *ends, error))
    return found


def statistics_of(fare: Sequence[float], ways: Sequence[str]) -> Any:
    """Statistics by hand: their measures are TFDV's business, which is tested elsewhere."""
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    made = DatasetFeatureStatisticsList()
    dataset = made.datasets.add(num_examples=100)
    feature = dataset.features.add(type="FLOAT")
    feature.path.step.append("fare")
    common = {"num_non_missing": 90, "num_missing": 10, "tot_num_values": 90}
    feature.num_stats.common_stats.MergeFrom(type(feature.num_stats.common_stats)(**common))
    feature.num_stats.mean, feature.num_stats.std_dev = fare
    for place, way in enumerate(ways):
        text = dataset.features.add(type="STRING")
        text.path.step.append(way)
        text.string_stats.common_stats.MergeFrom(type(text.string_stats.common_stats)(**common))
        text.string_stats.unique = 1
        text.string_stats.rank_histogram.buckets.add(label="v", sample_count=90 - place)
    return made


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    """What may be recorded of a version; any of it may be missing."""
    fare = draw(st.tuples(st.floats(-5, 5), st.floats(0, 5)))
    ways = draw(st.sets(st.sampled_from(["w1", "w2", "w3"])))
    schema = st.none() | st.integers(1, 3).map(SCHEMA.format)
    code = st.dictionaries(st.sampled_from(["taxi.py", "b.py"]), st.text("ab\n", max_size=6))
    tags = st.dictionaries(
        st.sampled_from([STAGE_TAG, BLESSING_TAG, ROWS_TAG, BASELINE_TAG]),
        st.sampled_from(["1", "2", "", '{"train": 4}']),
    )
    return {
        "tags": draw(tags),
        "params": draw(st.none() | st.dictionaries(names, st.sampled_from(["1", "2"]))),
        "config": draw(configs),
        "schema": draw(schema),
        "metrics": draw(st.none() | metric_rows()),
        "differences": draw(st.none() | differences()),
        "code": draw(code),
        "statistics": draw(st.sampled_from([{}, {"train": statistics_of(fare, sorted(ways))}])),
    }


def swapped(item: Any) -> Any:
    """The item as the way back must have it, as something that can be compared and ordered."""
    if isinstance(item, Fact):
        return (item.name, item.after, item.before)
    if isinstance(item, FileChange):
        return (item.name, OPPOSITE.get(item.state, item.state), len(item.lines))
    if isinstance(item, MetricShift):
        ends = item.interval and tuple(round(-end, 9) + 0.0 for end in reversed(item.interval))
        verdict = OPPOSITE.get(item.verdict, item.verdict)
        return (item.slice, item.metric, item.after, item.before, verdict, ends)
    if isinstance(item, FeatureShift):
        pairs = [Pair(p.name, p.after, p.before) for p in (*item.numbers, *item.shares)]
        distances = {name: round(value, 6) for name, value in item.distances.items()}
        return (item.split, item.feature, item.after, item.before, _sorted(pairs), distances)
    return item.feature  # what widens one way narrows the other, or is a new feature


def straight(item: Any) -> Any:
    """The same of an item as it is."""
    if isinstance(item, Fact):
        return (item.name, item.before, item.after)
    if isinstance(item, FileChange):
        return (item.name, item.state, len(item.lines))
    if isinstance(item, MetricShift):
        ends = item.interval and tuple(round(end, 9) + 0.0 for end in item.interval)
        return (item.slice, item.metric, item.before, item.after, item.verdict, ends)
    if isinstance(item, FeatureShift):
        distances = {name: round(value, 6) for name, value in item.distances.items()}
        pairs = [*item.numbers, *item.shares]
        return (item.split, item.feature, item.before, item.after, _sorted(pairs), distances)
    return item.feature


def _sorted(items: Sequence[Any]) -> list[str]:
    return sorted(repr(item) for item in items)


def both(lay_down: Any, folder: str, first: Any, second: Any) -> tuple[Evidence, Evidence]:
    return tuple(  # type: ignore[return-value]
        lay_down(Path(folder) / str(number), number, **own)
        for number, own in ((1, first), (2, second))
    )


few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(parts())
def test_a_version_does_not_differ_from_itself(lay_down: Any, own: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        side = lay_down(Path(folder) / "1", 1, **own)
        found = compare_versions(side, side)
    assert {name: s.changes for name, s in found.sections.items() if s.changes} == {}
    assert (found.verdict, found.is_same) == (SAME, True)


@few
@given(parts(), parts())
def test_the_way_back_mirrors_the_way_there(
    lay_down: Any, first: dict[str, Any], second: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, two = both(lay_down, folder, first, second)
        there, back = compare_versions(one, two), compare_versions(two, one)
    assert there.verdict == back.verdict
    for name, section in there.sections.items():
        other = back.sections[name]
        assert set(section.unjudged) == set(other.unjudged), name
        assert set(section.notes) == set(other.notes), name
        assert _sorted([swapped(i) for i in section.items]) == _sorted(
            [straight(i) for i in other.items]
        ), name
        assert len(section.changes) == len(other.changes), name


@few
@given(parts(), parts())
def test_every_comparison_can_be_written_as_json(
    lay_down: Any, first: dict[str, Any], second: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = compare_versions(*both(lay_down, folder, first, second))
    for every in (True, False):
        text = json.dumps(found.as_dict(every), allow_nan=False)
        assert json.loads(text)["verdict"] == found.verdict


def test_what_could_not_be_compared_is_not_the_same(lay: Any) -> None:
    bare = lay(6), lay(7)
    assert compare_versions(*bare).verdict == UNJUDGED
    assert not compare_versions(*bare).is_same
    assert compare_versions(bare[0], bare[0]).verdict == SAME


def test_one_differing_part_makes_a_difference(lay: Any) -> None:
    found = compare_versions(lay(6, tags={STAGE_TAG: "none"}), lay(7, tags={STAGE_TAG: "staging"}))
    assert found.verdict == DIFFERENT
    assert found.version.changes == (Fact("stage", "none", "staging"),)
