"""Cells: values and rows of flat and nested columns, texts that stand for numbers, UTF-8."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.anomalies.cells import TEXT_LENGTH, Cells, parse_floats, parse_ints, valid_utf8

SPACED = st.text(" \t", max_size=2)


def test_a_flat_column_has_a_value_in_each_row_that_is_not_null() -> None:
    cells = Cells(pa.array([1.5, None, 2.5]))
    assert cells.present.to_pylist() == [True, False, True]
    assert cells.counts.to_pylist() == [1, None, 1]
    assert cells.values.type == pa.float32()
    assert cells.row_of(np.array([0, 2])).tolist() == [0, 2]
    assert cells.texts(np.array([2, 0])).to_pylist() == ["2.5", "1.5"]


@pytest.mark.parametrize("start", [0, 1])
def test_a_nested_column_knows_the_row_of_each_value(start: int) -> None:
    column = pa.array([[7], [1, 2], None, [3]]).slice(start)
    cells = Cells(column)
    assert cells.counts.to_pylist() == [1, 2, None, 1][start:]
    values = [7, 1, 2, 3][start:]
    assert cells.values.to_pylist() == values
    assert cells.row_of(np.array([values.index(3)])).tolist() == [3 - start]
    assert cells.row_of(np.array([values.index(2)])).tolist() == [1 - start]


def test_a_double_beyond_32_bits_is_infinite_as_it_is_in_a_tensor() -> None:
    assert Cells(pa.array([1e300, -1e300])).values.to_pylist() == [math.inf, -math.inf]


def test_a_long_text_is_cut_and_bytes_that_are_no_text_are_named() -> None:
    (text,) = Cells(pa.array(["é" * 10_000])).texts(np.array([0])).to_pylist()
    assert text == "é" * TEXT_LENGTH
    cells = Cells(pa.array([b"\xff\xfe", b"ok"], pa.binary()))
    assert cells.texts(np.array([0, 1])).to_pylist() == ["(bytes)", "ok"]


@settings(max_examples=200, deadline=None)
@given(number=st.integers(-(2**66), 2**66), before=SPACED, after=SPACED, zeros=st.integers(0, 30))
def test_whole_numbers_are_read_as_python_reads_them(
    number: int, before: str, after: str, zeros: int
) -> None:
    sign = "-" if number < 0 else "+" if zeros % 2 else ""
    text = f"{before}{sign}{'0' * zeros}{abs(number)}{after}"
    expected = number if -(2**63) <= number < 2**63 else None
    assert parse_ints(pa.array([text])).to_pylist() == [expected]


@pytest.mark.parametrize("edge", [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 0])
def test_the_last_numbers_of_64_bits(edge: int) -> None:
    inside = -(2**63) <= edge < 2**63
    assert parse_ints(pa.array([str(edge)])).to_pylist() == [edge if inside else None]


NOT_INTS = ["", " ", "5.0", "1e3", "abc", "+-5", "--5", "- 5", "5 5", "0x10", "٣", "1_000", "\x00"]


@pytest.mark.parametrize("text", NOT_INTS)
def test_what_is_no_whole_number_is_null(text: str) -> None:
    assert parse_ints(pa.array([text, None, "7"])).to_pylist() == [None, None, 7]


@settings(max_examples=200, deadline=None)
@given(number=st.floats(), before=SPACED, after=SPACED, plus=st.booleans())
def test_numbers_are_read_as_32_bit_floats(
    number: float, before: str, after: str, plus: bool
) -> None:
    sign = "+" if plus and not repr(number).startswith(("-", "n")) else ""
    (read,) = parse_floats(pa.array([f"{before}{sign}{number!r}{after}"])).to_pylist()
    with np.errstate(over="ignore"):
        expected = float(np.float32(number))
    assert read == expected or (math.isnan(read) and math.isnan(expected))


@pytest.mark.parametrize(
    "text", ["", ".", "e5", "1e", "1,5", "0x1p3", "five", "+-1", "1.5.2", "inff"]
)
def test_what_is_no_number_is_null(text: str) -> None:
    assert parse_floats(pa.array([text, None, ".5", "2."])).to_pylist() == [None, None, 0.5, 2.0]


def test_bytes_that_are_no_text_are_no_number() -> None:
    values: Any = pa.array([b"\xff", b"12", None], pa.binary())
    assert parse_ints(values).to_pylist() == [None, 12, None]
    assert parse_floats(values).to_pylist() == [None, 12.0, None]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=6), st.text(max_size=4).map(lambda t: t.encode())))
def test_utf8_is_told_as_python_tells_it(data: bytes) -> None:
    try:
        data.decode()
        expected = True
    except UnicodeDecodeError:
        expected = False
    assert valid_utf8(pa.array([data], pa.binary())).to_pylist() == [expected]
