"""Stage, blessing, digests; and where the data came from."""

from __future__ import annotations

from typing import Any

from mlproject.registry.names import (
    BLESSING_TAG,
    REASONS_TAG,
    ROWS_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
    STAGE_TAG,
)
from mlproject.version_diff.standing import compare_data, compare_standing
from mlproject.version_diff.values import Fact


def test_stage_and_blessing_are_compared_in_their_order(lay: Any) -> None:
    before = lay(6, tags={BLESSING_TAG: "BLESSED", STAGE_TAG: "production"})
    after = lay(7, tags={BLESSING_TAG: "NOT_BLESSED", STAGE_TAG: "rejected", REASONS_TAG: "auc"})
    assert compare_standing(before, after).changes == (
        Fact("stage", "production", "rejected"),
        Fact("blessing", "BLESSED", "NOT_BLESSED"),
        Fact("reasons", None, "auc"),
    )


def test_an_empty_tag_is_the_same_as_none(lay: Any) -> None:
    before, after = (
        lay(6, tags={STAGE_TAG: "none", REASONS_TAG: ""}),
        lay(7, tags={STAGE_TAG: "none"}),
    )
    assert compare_standing(before, after).changes == ()


def test_rows_and_sources_are_told_split_by_split(lay: Any) -> None:
    before = lay(
        6,
        tags={
            ROWS_TAG: '{"eval": 3000, "train": 12000}',
            SOURCE_URI_TAG: '{"eval": "file:///a.csv"}',
            SPANS_TAG: "[[11, null, true], [12, 2, true]]",
        },
    )
    after = lay(
        7, tags={**before.tags, ROWS_TAG: '{"eval": 3000, "train": 12500}', SPANS_TAG: "[]"}
    )
    found = compare_data(before, after)
    assert found.changes == (
        Fact("spans", "11, 12 version 2", "none"),
        Fact("rows.train", "12000", "12500"),
    )
    assert Fact("rows.eval", "3000", "3000") in found.items
    assert Fact("source.eval", "file:///a.csv", "file:///a.csv") in found.items


def test_a_version_of_others_has_nothing_recorded(lay: Any) -> None:
    found = compare_data(lay(6, tags={"owner": "me"}), lay(7, tags={ROWS_TAG: '{"train": 5}'}))
    assert found.unjudged == ("taxi/6: data not recorded",)
    assert found.changes == (Fact("rows.train", None, "5"),)


def test_tags_that_are_not_what_the_platform_writes_are_shown_as_they_are(lay: Any) -> None:
    odd = {ROWS_TAG: "[1, 2", SPANS_TAG: '[7, {"a": 1}, []]', SOURCE_URI_TAG: "{}"}
    found = compare_data(lay(6, tags=odd), lay(7, tags=odd))
    assert [(f.name, f.before) for f in found.items] == [
        ("spans", '7, {"a": 1}, []'),
        ("rows", "[1, 2"),
    ]
