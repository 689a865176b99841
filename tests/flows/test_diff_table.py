"""A comparison in colours: better, worse, within noise, unsure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from flows.diff_table import print_diff
from mlproject.version_diff.result import Section, VersionDiff
from mlproject.version_diff.values import (
    BETTER,
    CHANGED,
    NOISE,
    UNJUDGED,
    WORSE,
    Fact,
    Figure,
    MetricShift,
    RuleChange,
)

RED, GREEN, YELLOW = "color(1)", "color(2)", "color(3)"  # as ANSI numbers them
NOTHING: Section[Any] = Section()


def shift(verdict: str, interval: tuple[float, float] | None, where: str = "overall") -> Any:
    figures = Figure(0.8, 0.7, 0.9, 500), Figure(0.9, 0.8, 1.0, 500)
    return MetricShift(where, "auc", *figures, verdict, interval)


def printed(
    metrics: Sequence[Any] = (),
    schema: Sequence[Any] = (),
    version: Sequence[Any] = (),
    every: bool = False,
    width: int = 400,
) -> Text:
    diff = VersionDiff(
        "taxi/6",
        "taxi/7",
        version=Section(tuple(version)),
        parameters=NOTHING,
        data=NOTHING,
        statistics=NOTHING,
        schema=Section(tuple(schema)),
        metrics=Section(tuple(metrics)),
        code=NOTHING,
    )
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="standard", width=width)
    print_diff(diff, every, console)
    return Text.from_ansi(stream.getvalue())


def style_of(text: Text, words: str) -> str:
    """The style that some words are printed in."""
    start = text.plain.rindex(words)
    return " ".join(str(s.style) for s in text.spans if s.start <= start < s.end)


@pytest.mark.parametrize(
    ("verdict", "interval", "words", "style"),
    [
        (BETTER, (0.01, 0.2), "better", GREEN),
        (WORSE, (0.01, 0.2), "worse", RED),
        (CHANGED, (0.01, 0.2), "changed", YELLOW),
        (NOISE, (-0.01, 0.2), "within noise", "dim"),
        (BETTER, None, "better, no interval", YELLOW),
        (UNJUDGED, None, "not judged", YELLOW),
    ],
)
def test_a_verdict_has_its_colour(verdict: str, interval: Any, words: str, style: str) -> None:
    text = printed([shift(verdict, interval)])
    assert style_of(text, words) == style


def test_a_change_within_noise_is_dim_as_a_whole() -> None:
    text = printed([shift(NOISE, (-0.1, 0.3))])
    assert style_of(text, "0.8000") == "dim"


def test_slices_within_noise_are_counted_until_all_is_asked() -> None:
    noise = [shift(NOISE, (-0.1, 0.3), where) for where in ("overall", "a=1", "a=2")]
    text = printed(noise)
    assert "a=1" not in text.plain
    assert "within noise, on slices: 2; --all shows them" in text.plain
    every = printed(noise, every=True)
    assert "a=1" in every.plain
    assert "--all" not in every.plain


def test_a_rule_that_lets_more_in_stands_out() -> None:
    text = printed(schema=[RuleChange("fare", "float", "max 1 -> 2", "widened")])
    assert style_of(text, "(widened)") == YELLOW


def test_a_narrow_terminal_leaves_the_intervals_of_both_sides_out() -> None:
    long = shift(BETTER, (0.01, 0.2), "company=Taxi Affiliation Services,payment_type=Cash")
    narrow, wide = printed([long], width=110), printed([long])
    assert max(map(len, narrow.plain.splitlines())) <= 110
    assert "0.8000 -> 0.9000  +0.1000 [+0.0100, +0.2000]  better" in narrow.plain
    assert "[0.7000, 0.9000]" in wide.plain
    assert "  company=Taxi Affilia…s,payment_type=Cash  auc" in narrow.plain
    assert "company=Taxi Affiliation Services,payment_type=Cash" in wide.plain


def test_long_texts_are_cut_to_the_terminal() -> None:
    facts = [Fact("reasons", "a" * 300, "b" * 300), Fact("stage", None, "none")]
    narrow = printed(version=facts, width=80)
    assert max(map(len, narrow.plain.splitlines())) <= 80
    assert "stage    – -> none" in narrow.plain
    assert "a" * 300 in printed(version=facts, width=80, every=True).plain
