"""Spans and versions of a path: numeric order, dates, windows, and what cannot be."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlproject.errors import ConfigError, DataError
from mlproject.examples.spans import (
    Span,
    SpanPattern,
    Window,
    choose_spans,
    has_placeholders,
    span_number,
)


@given(number=st.integers(0, 10**12), version=st.integers(0, 999))
def test_a_path_that_was_made_of_a_span_gives_it_back(number: int, version: int) -> None:
    pattern = SpanPattern("/data/span-{SPAN}/v{VERSION}/*.csv")
    path = f"/data/span-{number}/v{version}/part-0.csv"
    assert pattern.span_of(path) == Span(number, version)
    assert pattern.glob == "/data/span-*/v*/*.csv"


@given(day=st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31)))
def test_dates_count_days_since_1970(day: datetime.date) -> None:
    name = f"gs://b/{day.year:04d}/{day.month:02d}-{day.day:02d}.csv"
    span = SpanPattern("gs://b/{YYYY}/{MM}-{DD}.csv").span_of(name)
    assert span is not None
    assert span.number == (day - datetime.date(1970, 1, 1)).days
    assert str(span) == day.isoformat()
    assert span_number(str(span), dated=True) == span.number


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/d/{SPAN:4}.csv", "/d/12.csv"),
        ("/d/{SPAN}.csv", "/d/x12.csv"),
        ("/d/{SPAN}/*.csv", "/d/1/deep/a.csv"),
        ("/d/{YYYY}-{MM}-{DD}.csv", "/d/2026-02-30.csv"),
        ("/d/a+b-{SPAN}.csv", "/d/aab-1.csv"),
        ("/d/[ab]-{SPAN}.csv", "/d/c-1.csv"),
    ],
)
def test_a_path_that_does_not_follow_the_pattern_has_no_span(pattern: str, path: str) -> None:
    assert SpanPattern(pattern).span_of(path) is None


@pytest.mark.parametrize(
    ("pattern", "path", "number"),
    [
        ("/d/{SPAN:4}.csv", "/d/0012.csv", 12),
        ("/d/**/{SPAN}.csv", "/d/x/y/7.csv", 7),
        ("/d/[ab]-{SPAN}.csv", "/d/b-3.csv", 3),
        ("/d/v{VERSION:2}/{SPAN}.csv", "/d/v07/3.csv", 3),
    ],
)
def test_widths_and_globs_stand_beside_placeholders(pattern: str, path: str, number: int) -> None:
    span = SpanPattern(pattern).span_of(path)
    assert span is not None
    assert span.number == number


@pytest.mark.parametrize(
    "source",
    ["{SPANS}", "{YYYY}-{MM}", "{SPAN}/{YYYY}-{MM}-{DD}", "{VERSION}", "{SPAN}{SPAN}", "{SPAN:x}"],
)
def test_placeholders_that_name_no_span_are_refused(source: str) -> None:
    assert has_placeholders(source)
    with pytest.raises(ConfigError, match="placeholders"):
        SpanPattern(source)


@given(
    there=st.sets(st.tuples(st.integers(0, 200), st.integers(0, 5)), min_size=1),
    length=st.integers(1, 5),
)
def test_a_window_holds_the_newest_spans_in_numeric_order_and_newest_version(
    there: set[tuple[int, int]], length: int
) -> None:
    spans = [Span(number, version) for number, version in there]
    numbers = sorted({number for number, _ in there})
    if length > len(numbers):
        with pytest.raises(DataError, match="fewer spans"):
            choose_spans(spans, Window(length), "s")
        return
    chosen = choose_spans(spans, Window(length), "s")
    assert [span.number for span in chosen] == numbers[-length:]
    for span in chosen:
        assert span.version == max(v for n, v in there if n == span.number)


def test_nine_comes_before_ten_and_a_window_may_end_in_the_past() -> None:
    spans = [Span(10), Span(9), Span(8)]
    assert choose_spans(spans, Window(2), "s") == (Span(9), Span(10))
    assert choose_spans(spans, Window(2, newest=9), "s") == (Span(8), Span(9))
    assert choose_spans(spans, Window(1, newest="8"), "s") == (Span(8),)


@pytest.mark.parametrize(
    ("there", "window", "error", "said"),
    [
        ([], Window(), DataError, "no span yet"),
        ([Span(1)], Window(1, 2), DataError, "no span 2"),
        ([Span(1)], Window(1, "may"), ConfigError, "a whole number"),
        ([Span(1, dated=True)], Window(1, "2026-13-01"), ConfigError, "YYYY-MM-DD"),
        ([Span(n) for n in range(9)], Window(20), DataError, r"\.\.\. 4, 5, 6, 7, 8"),
    ],
)
def test_a_window_that_cannot_be_filled_says_what_is_there(
    there: list[Span], window: Window, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        choose_spans(there, window, "s")
