from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlproject.errors import ServingError
from serving.rows import MISSING_INT64, InputSpec, complete_row

INPUTS = {
    "miles": InputSpec("DT_FLOAT"),
    "hour": InputSpec("DT_INT64"),
    "company": InputSpec("DT_STRING"),
}


def one(value: Any, dtype: str) -> Any:
    return complete_row({"f": value}, {"f": InputSpec(dtype)})["f"]


@pytest.mark.parametrize("row", [{}, {"miles": None, "hour": None, "company": None}])
def test_absent_and_none_become_the_values_that_mean_missing(row: dict[str, Any]) -> None:
    completed = complete_row(row, INPUTS)
    assert math.isnan(completed["miles"])
    assert completed["hour"] == MISSING_INT64 == np.iinfo(np.int64).min
    assert completed["company"] == ""


@pytest.mark.parametrize("missing", [float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT])
def test_every_kind_of_missing_is_missing(missing: Any) -> None:
    assert one(missing, "DT_INT64") == MISSING_INT64
    assert one(missing, "DT_STRING") == ""
    assert math.isnan(one(missing, "DT_FLOAT"))


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (3, "DT_FLOAT", 3.0),
        ("3.5", "DT_FLOAT", 3.5),
        (True, "DT_FLOAT", 1.0),
        (np.float32(0.5), "DT_FLOAT", 0.5),
        (3.0, "DT_INT64", 3),
        ("3", "DT_INT64", 3),
        ("8.0", "DT_INT64", 8),
        (" -8.00 ", "DT_INT64", -8),
        (np.int32(3), "DT_INT64", 3),
        (True, "DT_INT64", 1),
        ("", "DT_INT64", MISSING_INT64),
        ("taxi", "DT_STRING", "taxi"),
        ("", "DT_STRING", ""),
        (60601, "DT_STRING", "60601"),
        (b"\xff", "DT_STRING", {"b64": "/w=="}),
        (False, "DT_BOOL", False),
    ],
)
def test_values_are_converted_to_the_type_of_the_input(
    value: Any, dtype: str, expected: Any
) -> None:
    converted = one(value, dtype)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ("three", "DT_FLOAT"),
        ("3.5", "DT_INT64"),
        ("8.0e1", "DT_INT64"),
        ("inf", "DT_INT64"),
        (".", "DT_INT64"),
        (3.5, "DT_INT64"),
        (2**63, "DT_INT64"),
        (300, "DT_UINT8"),
        (float("inf"), "DT_INT64"),
        ([1.0], "DT_FLOAT"),
        ({"a": 1}, "DT_STRING"),
        (1.5, "DT_STRING"),
        (True, "DT_STRING"),
        (1, "DT_BOOL"),
        (1, "DT_COMPLEX64"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(value: Any, dtype: str) -> None:
    with pytest.raises(ServingError) as caught:
        one(value, dtype)
    assert "feature 'f'" in str(caught.value)
    assert repr(value) in str(caught.value)
    assert dtype.removeprefix("DT_").lower() in str(caught.value)


def test_an_unknown_feature_gets_the_closest_name() -> None:
    with pytest.raises(ServingError, match=r"Row 4 .*'mile'.*did you mean 'miles'\?"):
        complete_row({"mile": 1.0}, INPUTS, where="Row 4")


@pytest.mark.parametrize("dtype", ["DT_INT32", "DT_BOOL"])
def test_a_type_without_a_value_for_missing_is_refused(dtype: str) -> None:
    with pytest.raises(ServingError, match="no value for feature 'f'"):
        one(None, dtype)


def test_vectors_are_converted_value_by_value_and_never_filled() -> None:
    inputs = {"v": InputSpec("DT_FLOAT", (2,))}
    assert complete_row({"v": np.array([1, 2])}, inputs) == {"v": [1.0, 2.0]}
    for vector in (None, [1.0, None]):
        with pytest.raises(ServingError, match="no value for feature 'v'"):
            complete_row({"v": vector}, inputs)
