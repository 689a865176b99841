"""The stages: which may follow which, and how names of them are read."""

from __future__ import annotations

import pytest

from mlproject.errors import RegistryError
from mlproject.promotion.stages import (
    TRANSITIONS,
    WAITING,
    Stage,
    is_legal,
    legal_words,
    parse_stage,
)

LEGAL = {
    Stage.NONE: "staging rejected",
    Stage.STAGING: "shadow canary production archived rejected",
    Stage.SHADOW: "canary production archived rejected",
    Stage.CANARY: "production archived rejected",
    Stage.PRODUCTION: "archived rolled_back",
    Stage.ARCHIVED: "staging production",
    Stage.REJECTED: "staging",
    Stage.ROLLED_BACK: "staging",
}


@pytest.mark.parametrize("before", Stage)
@pytest.mark.parametrize("after", Stage)
def test_what_may_follow(before: Stage, after: Stage) -> None:
    assert is_legal(before, after) == (after in LEGAL[before].split())


def test_every_stage_has_its_row_and_none_follows_itself() -> None:
    assert set(TRANSITIONS) == set(Stage)
    assert not any(is_legal(stage, stage) for stage in Stage)


def test_a_refused_version_reaches_production_through_staging_alone() -> None:
    """So that it is judged anew, whatever brought it there."""
    for stage in (Stage.REJECTED, Stage.ROLLED_BACK, Stage.NONE):
        assert not is_legal(stage, Stage.PRODUCTION)
        assert TRANSITIONS[stage] - {Stage.REJECTED} == {Stage.STAGING}


def test_what_waits_may_be_promoted_and_refused() -> None:
    for stage in WAITING:
        assert is_legal(stage, Stage.PRODUCTION)
        assert is_legal(stage, Stage.REJECTED)


@pytest.mark.parametrize("stage", Stage)
def test_the_legal_stages_in_words(stage: Stage) -> None:
    assert legal_words(stage) == ", ".join(LEGAL[stage].split())


@pytest.mark.parametrize("text", ["production", "Production", "PRODUCTION"])
def test_names_are_read_in_any_case(text: str) -> None:
    assert parse_stage(text) is Stage.PRODUCTION


@pytest.mark.parametrize(
    ("text", "expected"),
    [("prodution", "did you mean 'production'?"), ("", "one of"), ("latest' OR 1=1", "one of")],
)
def test_an_unknown_name_gets_the_closest(text: str, expected: str) -> None:
    with pytest.raises(RegistryError) as raised:
        parse_stage(text)
    assert expected in (raised.value.expected or "")
