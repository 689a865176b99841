"""The page of one explanation: what it tells, and that no text of the data can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlproject.explanation import Attribution, Share
from mlproject.explanation.page import shown, write_page

EVIL = "<script>alert(1)</script>"


def test_the_page_tells_what_each_feature_adds(tmp_path: Path) -> None:
    shares = (Share("fare", 10.25, 0.5), Share("miles", None, -0.125))
    file = tmp_path / "why.html"
    write_page(Attribution(0.625, 0.25, 3, shares, (), 16, None, 32), "taxi/3", file)
    page = file.read_text(encoding="utf-8")
    assert "<td>fare</td><td>10.25</td><td>+0.5</td>" in page
    assert "<td>miles</td><td>(missing)</td><td>-0.125</td>" in page
    assert "Prediction of class 3 0.625; of the baseline 0.25." in page
    assert "the middle of 32 rows" in page
    assert "data:image/png;base64,iVBOR" in page


def test_no_text_of_the_data_can_run(tmp_path: Path) -> None:
    file = tmp_path / "why.html"
    write_page(Attribution(1.0, 0.0, None, (Share(EVIL, EVIL, 1.0),), (), 16, None, 0), EVIL, file)
    page = file.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "a row of which every value is missing" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(missing)"),
        (0.1234567, "0.123457"),
        ("Cash", "Cash"),
        ([1, 2], "[1, 2]"),
        ({"a": 1.5, "b": None}, "a=1.5, b=(missing)"),
        ("x" * 200, "x" * 119 + "\u2026"),
    ],
)
def test_values_are_short(value: object, text: str) -> None:
    assert shown(value) == text
