"""The helpers in the graph: the same for every batch, and in a SavedModel that a Session loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest

from mlproject import preprocessing as pp
from mlproject.saved_model import export_saved_model, open_signature

LIST_FEATURE = "tags"
LABEL = "amount_clip"  # any output will do


@pytest.mark.parametrize(
    "cuts", [range(1, 60), [0, 7, 7, 1_500]], ids=["single rows", "batches without a row"]
)
def test_the_values_do_not_depend_on_the_batches(
    cuts: Any, transformed: Any, outputs: Mapping[str, np.ndarray]
) -> None:
    again = transformed.apply(cuts=list(cuts))
    assert sorted(again) == sorted(outputs)
    for name, values in outputs.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_no_model_input_has_a_missing_value(outputs: Mapping[str, np.ndarray]) -> None:
    kept = ("_clip", "_high", "_low")  # these leave a missing value missing
    for name, values in outputs.items():
        if values.dtype == np.float32 and not name.endswith(kept):
            assert np.isfinite(values).all(), name
        if values.dtype == np.int64 and name not in ("area_mode", "no_whole_mode"):
            assert values.min() >= 0, name


def test_a_served_model_gives_the_same_values(
    transformed: Any, columns: Mapping[str, pa.Array], tmp_path: Path
) -> None:
    rows = {name: column.slice(0, 200) for name, column in columns.items()}
    # A signature has one value for each row; a list feature takes one too.
    rows[LIST_FEATURE] = pa.array([t and t[:1] for t in rows[LIST_FEATURE].to_pylist()])
    inputs = [keras.Input((), name="amount_z"), keras.Input((), name="city_id", dtype="int64")]
    total = inputs[0] + keras.ops.cast(inputs[1], "float32")
    model = keras.Model({i.name: i for i in inputs}, keras.layers.Reshape((1,))(total))
    export_saved_model(
        model, transformed.graph, transformed.schema, LABEL, tmp_path / "model", Path("project.py")
    )
    (tmp_path / "model").rename(tmp_path / "moved")
    transformed.folder.rename(transformed.folder.with_name("away"))  # no file of it is needed
    try:
        with open_signature(tmp_path / "moved", "transform_features") as transform:
            served = transform(raw_arrays(rows, transform.input_names))  # type: ignore[attr-defined]
    finally:
        transformed.folder.with_name("away").rename(transformed.folder)
    expected = transformed.apply(rows)
    del expected[LABEL]
    assert sorted(served) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(served[name], values, err_msg=name)


def raw_arrays(columns: Mapping[str, pa.Array], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The columns as the signature takes them, with the stand-ins for missing values."""
    arrays = {}
    for name in names:
        values = [v[0] if isinstance(v, list) else v for v in columns[name].to_pylist()]
        if pa.types.is_int64(columns[name].type):
            arrays[name] = np.array([pp.MISSING_INT if v is None else v for v in values])
        elif pa.types.is_float64(columns[name].type):
            with np.errstate(over="ignore"):
                arrays[name] = np.array(values, "float64").astype("float32")
        else:
            texts = [v.encode() if isinstance(v, str) else v or b"" for v in values]
            arrays[name] = np.array(texts, object)
    return arrays
