"""Rows as the arrays of a signature: with stand-ins, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlproject.errors import ServingError
from serving.row_arrays import row_arrays


def test_rows_are_completed_with_stand_ins_for_what_is_missing(
    saved_models: dict[str, Path],
) -> None:
    rows = [("one", {"x": 2, "s": "a"}), ("two", {"n": 3})]
    first, second = row_arrays(saved_models["fare"], "serving_default", rows)
    assert first["x"].dtype == np.float32
    assert first["x"].tolist() == [2.0]
    assert first["n"].tolist() == [-(2**63)]
    assert first["s"].tolist() == [b"a"]
    assert np.isnan(second["x"][0])
    assert (second["n"].tolist(), second["s"].tolist()) == ([3], [b""])
    (listed,) = row_arrays(saved_models["keras"], "serving_default", [("it", {"row": [1, 2, 3]})])
    assert listed["row"].tolist() == [[1.0, 2.0, 3.0]]


def test_a_signature_says_which_inputs_there_are(saved_models: dict[str, Path]) -> None:
    (only,) = row_arrays(saved_models["fare"], "raw", [("it", {"s": "a"})])
    assert list(only) == ["s"]
    with pytest.raises(ServingError, match="no signature 'row'"):
        row_arrays(saved_models["fare"], "row", [])


@pytest.mark.parametrize(
    ("row", "said"), [({"y": 1}, "'y'"), ({"x": "a"}, "wrong type"), ({"n": 2.5}, "wrong type")]
)
def test_a_row_that_does_not_fit_is_refused_by_its_name(
    saved_models: dict[str, Path], row: dict[str, Any], said: str
) -> None:
    with pytest.raises(ServingError, match="The golden row 'it'") as caught:
        row_arrays(saved_models["fare"], "serving_default", [("The golden row 'it'", row)])
    assert said in str(caught.value)
