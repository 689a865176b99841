from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlproject.errors import ServingError
from mlproject.raw_inputs import MISSING_INT
from serving.rows import InputSpec, complete_row, fill_up

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
    assert completed["hour"] == MISSING_INT == np.iinfo(np.int64).min
    assert completed["company"] == ""


@pytest.mark.parametrize("missing", [float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT])
def test_every_kind_of_missing_is_missing(missing: Any) -> None:
    assert one(missing, "DT_INT64") == MISSING_INT
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
        ("", "DT_INT64", MISSING_INT),
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


@pytest.mark.parametrize("value", [{"b64": "/w=="}, {"b64": ""}])
def test_bytes_may_be_given_as_json_gives_them(value: Any) -> None:
    assert one(value, "DT_STRING") == value


@pytest.mark.parametrize(
    "value", [{"b64": "/w="}, {"b64": "\u00ff"}, {"b64": 1}, {"b64": "/w==", "x": 1}, {}]
)
def test_what_is_no_base64_is_refused(value: Any) -> None:
    with pytest.raises(ServingError, match="wrong type for feature 'f'"):
        one(value, "DT_STRING")


def listed(value: Any, dtype: str = "DT_INT64", row_shape: tuple[int, ...] | None = (-1,)) -> Any:
    return complete_row({"f": value}, {"f": InputSpec(dtype, row_shape)}, where="Row 7")["f"]


def test_vectors_are_converted_value_by_value_and_never_filled() -> None:
    inputs = {"v": InputSpec("DT_FLOAT", (2,))}
    assert complete_row({"v": np.array([1, 2])}, inputs) == {"v": [1.0, 2.0]}
    with pytest.raises(ServingError, match="no value for feature 'v'"):
        complete_row({"v": None}, inputs)
    with pytest.raises(ServingError, match="a list with a missing value for feature 'v'"):
        complete_row({"v": [1.0, None]}, inputs)


@pytest.mark.parametrize(
    ("value", "dtype", "row_shape", "expected"),
    [
        ([1, 2.0, "3"], "DT_INT64", (3,), [1, 2, 3]),
        ((1, 2), "DT_FLOAT", (-1,), [1.0, 2.0]),
        (np.array([1, 2], "int32"), "DT_INT64", (-1,), [1, 2]),
        ([np.int64(1), np.float32(2)], "DT_INT64", (2,), [1, 2]),
        (
            ["a", "", b"\xff", {"b64": "YQ=="}],
            "DT_STRING",
            (-1,),
            ["a", "", {"b64": "/w=="}, {"b64": "YQ=="}],
        ),
        ([[1, 2], [3, 4]], "DT_INT64", (2, 2), [[1, 2], [3, 4]]),
        ([1, 2, 3, 4, 5, 6], "DT_INT64", (3, 2), [[1, 2], [3, 4], [5, 6]]),
        (
            np.arange(8).reshape(2, 2, 2),
            "DT_INT64",
            (2, 2, 2),
            [[[0, 1], [2, 3]], [[4, 5], [6, 7]]],
        ),
        ([np.array([1, 2]), [3, 4]], "DT_INT64", (-1, 2), [[1, 2], [3, 4]]),
        ("[1, 2, 3]", "DT_INT64", (3,), [1, 2, 3]),
        (' ["a", "b"]', "DT_STRING", (-1,), ["a", "b"]),
        ([[1], [2]], "DT_INT64", None, [[1], [2]]),
    ],
)
def test_lists_are_converted_to_the_shape_of_the_input(
    value: Any, dtype: str, row_shape: Any, expected: Any
) -> None:
    assert listed(value, dtype, row_shape) == expected


@pytest.mark.parametrize("missing", [None, [], (), float("nan"), np.array([]), "[]"])
def test_a_missing_list_of_any_length_is_one_stand_in(missing: Any) -> None:
    assert listed(missing) == [MISSING_INT]
    assert listed(missing, "DT_STRING") == [""]
    assert math.isnan(listed(missing, "DT_FLOAT")[0])
    for row_shape in [(3,), (-1, 2)]:
        with pytest.raises(ServingError, match="Row 7 has no value for feature 'f'"):
            listed(missing, row_shape=row_shape)


@pytest.mark.parametrize(
    ("value", "row_shape", "received", "expected"),
    [
        ([1] * 63, (64,), "63 values", "a list of 64 values of type int64"),
        ([[1, 2], [3, 4]], (4,), "2 x 2 values", "a list of 4 values of type int64"),
        ([[1, 2, 3, 4]], (2, 2), "1 x 4 values", "a list of 2 x 2 values of type int64"),
        ([1, 2, 3], (2, 2), "3 values", "a list of 2 x 2 values of type int64"),
        ([[1, 2]], (-1,), "1 x 2 values", "a list of any number of values of type int64"),
    ],
)
def test_a_list_of_the_wrong_length_names_the_feature_and_both_lengths(
    value: Any, row_shape: Any, received: str, expected: str
) -> None:
    with pytest.raises(ServingError, match=r"Row 7 has a list of the wrong length .*'f'") as caught:
        listed(value, row_shape=row_shape)
    assert (caught.value.received, caught.value.expected) == (received, expected)


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (3, "3 (int)"),
        ("three", "'three' (str)"),
        ("[1, 2", "'[1, 2' (str)"),
        ("[" * 100_000, None),
        ({"b64": "YQ=="}, "{'b64': 'YQ=='} (dict)"),
        ([1, "x"], "'x' (str)"),
        ([1, 2.5], "2.5 (float)"),
        ([1, [2]], "[2] (list)"),
    ],
)
def test_what_is_no_list_of_the_type_is_refused(value: Any, received: str | None) -> None:
    with pytest.raises(ServingError, match="wrong type for feature 'f'") as caught:
        listed(value)
    assert received is None or caught.value.received == received
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", [[1, None], [1, float("nan")], "[1, null]", "[NaN]"])
def test_a_missing_value_in_a_list_is_refused(value: Any) -> None:
    with pytest.raises(ServingError, match="list with a missing value for feature 'f'"):
        listed(value)


def test_the_lists_of_a_request_are_made_as_long_as_the_longest() -> None:
    inputs = {
        "any": InputSpec("DT_STRING", (-1,)),
        "fixed": InputSpec("DT_INT64", (2,)),
        "one": InputSpec("DT_INT64"),
    }
    given = [{"any": ["a"]}, {"any": ["b", "c", "d"]}, {}]
    rows = [complete_row({"fixed": [1, 2], "one": 3, **row}, inputs) for row in given]
    fill_up(rows, inputs)
    assert [row["any"] for row in rows] == [["a", "", ""], ["b", "c", "d"], ["", "", ""]]
    assert all((row["fixed"], row["one"]) == ([1, 2], 3) for row in rows)
    fill_up([], inputs)


def test_lists_of_a_type_without_a_stand_in_must_be_of_one_length() -> None:
    inputs = {"f": InputSpec("DT_INT32", (-1,))}
    rows = [complete_row({"f": [1] * length}, inputs) for length in (2, 2)]
    fill_up(rows, inputs)
    assert [row["f"] for row in rows] == [[1, 1], [1, 1]]
    rows.append(complete_row({"f": [1]}, inputs))
    with pytest.raises(ServingError, match="'f' differ in length") as caught:
        fill_up(rows, inputs)
    assert caught.value.received == "1 to 2 values"
