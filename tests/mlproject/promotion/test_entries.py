"""Entries of a ledger: written, read again, and refused where Benison did not write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlproject.errors import RegistryError
from mlproject.promotion.entries import MOST_CHARACTERS, Entry, Move, parse_entry
from mlproject.promotion.stages import Stage

WHEN = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
MOVES = (Move(2, Stage.STAGING, Stage.PRODUCTION), Move(1, Stage.PRODUCTION, Stage.ARCHIVED))
EVIDENCE = {"evaluation_run": "e" * 32, "rollout_run": "f" * 32, "verdict": "PASSED"}
ENTRY = Entry("transition", 2, MOVES, "ann", "better", WHEN, EVIDENCE)
# As the shell gives bytes that are no UTF-8, too: lone surrogates.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=9_000)
LONG = st.sampled_from(["é", "漢", "🚕", '"', "\\", "\n", "\0", "\udcff", "a"])


def test_an_entry_reads_as_it_was_written() -> None:
    read = parse_entry(7, ENTRY.to_json())
    assert (read.number, read.event, read.version, read.moves) == (7, "transition", 2, MOVES)
    assert (read.who, read.why, read.when, read.evidence) == ("ann", "better", WHEN, EVIDENCE)
    assert read.deadline is None


def test_a_deadline_is_kept() -> None:
    entry = Entry("requested", 2, (), "ann", "why", WHEN, {}, WHEN + timedelta(hours=1))
    assert parse_entry(1, entry.to_json()).deadline == WHEN + timedelta(hours=1)


@given(who=TEXTS, why=TEXTS)
def test_any_words_fit_and_can_be_stored(who: str, why: str) -> None:
    text = Entry("transition", 2, MOVES, who, why, WHEN, EVIDENCE).to_json()
    assert len(text) <= MOST_CHARACTERS
    text.encode("utf-8")
    read = parse_entry(1, text)
    assert (read.moves, read.when, dict(read.evidence)) == (MOVES, WHEN, EVIDENCE)


@given(letter=LONG, times=st.integers(1_500, 20_000))
def test_a_long_reason_keeps_its_beginning(letter: str, times: int) -> None:
    text = Entry("transition", 2, MOVES, letter * times, letter * times, WHEN, EVIDENCE).to_json()
    assert len(text) <= MOST_CHARACTERS
    read = parse_entry(1, text)
    expected = "?" if letter == "\udcff" else letter
    assert read.why == expected * len(read.why)
    assert len(read.why) >= 400
    assert read.evidence == EVIDENCE  # never cut: a verdict or a run's id


def test_what_does_not_fit_is_refused_before_it_is_written() -> None:
    evidence = {f"piece {number}": "x" * 500 for number in range(200)}
    with pytest.raises(RegistryError, match="200 pieces of evidence"):
        Entry("transition", 2, MOVES, "ann", "why", WHEN, evidence).to_json()


def value(**changes: Any) -> str:
    return json.dumps({**json.loads(ENTRY.to_json()), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        ENTRY.to_json()[:-1],
        value(event="promoted"),
        value(event=["transition"]),
        value(version="two"),
        value(version=None),
        value(moves=[[1, "staging"]]),
        value(moves=[[1, "staging", "latest"]]),
        value(moves="12"),
        value(moves=7),
        value(when="yesterday"),
        value(when=7),
        value(evidence=["a"]),
        value(evidence=None),
        value(deadline="soon"),
        value(version=0).replace('"version": 0', '"version": 1e999'),
        "[" * 5_900,
    ],
)
def test_what_benison_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(RegistryError, match="entry 3 of the ledger") as raised:
        parse_entry(3, text)
    assert raised.value.next_step


def test_times_are_utc_wherever_they_were_written() -> None:
    there = timezone(timedelta(hours=2))
    entry = Entry("transition", 2, (), "ann", "why", WHEN.astimezone(there))
    assert parse_entry(1, entry.to_json()).when == WHEN
    without = value(when="2026-03-01T12:00:00.123")
    assert parse_entry(1, without).when == WHEN


def test_an_entry_names_every_version_it_moves() -> None:
    assert ENTRY.versions == {1, 2}
