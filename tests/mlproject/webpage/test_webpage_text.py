"""Numbers and texts of the page: short, true when rounded, and inert."""

from __future__ import annotations

import html
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlproject.webpage.text import UNKNOWN, count, number, percent, safe, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, UNKNOWN),
        (math.nan, UNKNOWN),
        (math.inf, UNKNOWN),
        (0.0, "0"),
        (-3.0, "-3"),
        (17031081700.0, "17,031,081,700"),
        (0.5, "0.5"),
        (41.8999, "41.9"),
        (123.456, "123.5"),
        (98765.4, "98,765"),
        (0.012346, "0.01235"),
        (0.00001234, "1.234e-05"),
        (1419932112.4, "1,419,932,112"),
        (1.5e18, "1.5e+18"),
        (3.0000000054977558e38, "3e+38"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, UNKNOWN),
        (0.0, "0%"),
        (1e-9, "<0.1%"),
        (0.0005, "0.1%"),
        (0.125, "12.5%"),
        (0.5, "50%"),
        (0.9994, "99.9%"),
        (0.99999, ">99.9%"),
        (1.0, "100%"),
    ],
)
def test_rounding_makes_nothing_of_something_never(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, UNKNOWN), (3, "3 B"), (1000, "1000 B"), (1536, "1.5 KiB"), (5 * 2**30, "5 GiB")],
)
def test_sizes_have_a_unit(value: float | None, text: str) -> None:
    assert size(value) == text


def test_counts_are_whole() -> None:
    assert (count(1234567.0), count(None)) == ("1,234,567", UNKNOWN)


@given(st.text(max_size=300), st.integers(5, 60))
def test_any_text_is_inert_and_short(text: str, limit: int) -> None:
    made = safe(text, limit)
    assert not set("<>\"'") & set(made)
    plain = html.unescape(made)
    assert len(plain) <= limit
    assert not any(ord(c) < 32 or c in "\u202e\u2066\u2028\x7f" for c in plain)


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert safe("Café & Söhne") == "Café &amp; Söhne"
    assert safe("x" * 10**7, 5) == "xxxx…"
