"""Raw features as dense tensors: no value is lost on the way there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject import raw_inputs
from mlproject.errors import ConfigError, ServingError
from mlproject.examples.reader import to_example_batch
from mlproject.raw_inputs import (
    MISSING_INT,
    fitted,
    input_specs,
    paddable,
    raw_arrays,
    to_raw,
)
from mlproject.schema import feature_specs, parse_schema

SCHEMA = """
feature { name: "always" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "bare" type: INT presence { min_fraction: 1 } shape { } }
feature { name: "some" type: FLOAT value_count { min: 1 max: 1 } }
feature { name: "unsaid" type: BYTES }
feature { name: "three" type: INT presence { min_fraction: 1 } shape { dim { size: 3 } } }
feature {
  name: "square" type: FLOAT presence { min_fraction: 1 }
  shape { dim { size: 2 } dim { size: 4 } }
}
feature { name: "any" type: BYTES value_count { min: 1 } }
feature { name: "two" type: FLOAT value_count { min: 2 max: 2 } }
"""


def shapes_of(text: str) -> dict[str, list[int | None]]:
    schema = parse_schema(text, "here")
    specs = input_specs(schema, feature_specs(schema))
    assert all(spec.name == name for name, spec in specs.items())
    return {name: spec.shape.as_list() for name, spec in specs.items()}


def test_the_schema_tells_the_shape_of_each_input() -> None:
    assert shapes_of(SCHEMA) == {
        "always": [None],
        "bare": [None],
        "some": [None],
        "unsaid": [None],
        "three": [None, 3],
        "square": [None, 2, 4],
        "any": [None, None],
        "two": [None, None],
    }


def test_a_ragged_feature_is_refused() -> None:
    text = 'feature { name: "r" type: INT value_count { min: 1 } }\n'
    text += "represent_variable_length_as_ragged: true"
    with pytest.raises(ConfigError, match="'r' cannot be served") as caught:
        shapes_of(text)
    assert "RaggedFeature" in str(caught.value.received)


COLUMNS = {
    "int": pa.array([[1, 2], None, [3]]),
    "float": pa.array([[1.5], [2.5], None]),
    "string": pa.array([["a", "bc"], None, [""]]),
    "bytes": pa.array([[b"\x00"], [b"\xff\x00", b""], None]),
    "fixed": pa.array([[1, 2], [3, 4], [5, 6]]),
    "none": pa.array([None, None, None], pa.list_(pa.int64())),
    "one": pa.array([b"\x00\xff", None, b""]),
}


def test_lists_are_padded_on_the_right_with_the_stand_in() -> None:
    arrays = raw_arrays(pa.RecordBatch.from_pydict(COLUMNS), tuple(COLUMNS))
    assert {n: (a.dtype.kind, a.shape) for n, a in arrays.items()} == {
        "int": ("i", (3, 2)),
        "float": ("f", (3, 1)),
        "string": ("O", (3, 2)),
        "bytes": ("O", (3, 2)),
        "fixed": ("i", (3, 2)),
        "none": ("i", (3, 1)),
        "one": ("O", (3,)),
    }
    assert arrays["int"].tolist() == [[1, 2], [MISSING_INT] * 2, [3, MISSING_INT]]
    assert arrays["float"].dtype == np.float32
    assert arrays["float"][:2].tolist() == [[1.5], [2.5]]
    assert np.isnan(arrays["float"][2, 0])
    assert arrays["string"].tolist() == [[b"a", b"bc"], [b"", b""], [b"", b""]]
    assert arrays["bytes"].tolist() == [[b"\x00", b""], [b"\xff\x00", b""], [b"", b""]]
    assert arrays["fixed"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert arrays["none"].tolist() == [[MISSING_INT]] * 3
    assert arrays["one"].tolist() == [b"\x00\xff", b"", b""]


@pytest.mark.parametrize(("start", "rows"), [(1, 2), (2, 1), (0, 0), (3, 0)])
def test_a_part_of_a_batch_gives_its_own_rows(start: int, rows: int) -> None:
    batch = pa.RecordBatch.from_pydict(COLUMNS).slice(start, rows)
    arrays = raw_arrays(batch, tuple(COLUMNS))
    copied = pa.RecordBatch.from_pydict(
        {name: pa.array(batch[name].to_pylist(), batch[name].type) for name in COLUMNS}
    )
    for name, wanted in raw_arrays(copied, tuple(COLUMNS)).items():
        assert arrays[name].shape == wanted.shape
        np.testing.assert_array_equal(arrays[name], wanted)


values = {
    "int": st.integers(MISSING_INT + 1, 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "bytes": st.binary(max_size=3).filter(bool),
}
inner = {"int": values["int"], "float": st.floats(width=32), "bytes": st.binary(max_size=3)}
types = {"int": (pa.int64(), tf.int64), "float": (pa.float64(), tf.float32)}
types["bytes"] = (pa.binary(), tf.string)


@st.composite
def columns(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """A type, and rows of lists of it: missing, or ending with another value than the stand-in."""
    kind = draw(st.sampled_from(sorted(values)))
    lists = st.tuples(st.lists(inner[kind], max_size=3), values[kind]).map(lambda p: [*p[0], p[1]])
    return kind, draw(st.lists(st.none() | lists, max_size=5))


@given(columns())
@settings(max_examples=60, deadline=None)
def test_lists_of_any_length_come_back_as_training_sees_them(column: Any) -> None:
    kind, rows = column
    arrow, dtype = types[kind]
    batch = pa.RecordBatch.from_pydict({"f": pa.array(rows, pa.list_(arrow))})
    dense = tf.constant(raw_arrays(batch, ("f",))["f"], dtype)
    sparse = to_raw(dense, tf.io.VarLenFeature(dtype))
    seen = to_example_batch(batch).column(0).to_pylist()
    longest = max((len(row or []) for row in seen), default=0)
    assert sparse.dense_shape.numpy().tolist() == [len(rows), longest]
    back: list[list[Any]] = [[] for _ in rows]
    for (row, position), value in zip(sparse.indices.numpy(), sparse.values.numpy(), strict=True):
        assert position == len(back[row])
        back[row].append(value)
    for found, row in zip(back, seen, strict=True):
        np.testing.assert_equal(found, row or [])


def test_an_empty_batch_of_lists_has_no_columns() -> None:
    sparse = to_raw(tf.zeros([0, 0]), tf.io.VarLenFeature(tf.float32))
    assert sparse.dense_shape.numpy().tolist() == [0, 0]
    sparse = to_raw(tf.zeros([2, 0]), tf.io.VarLenFeature(tf.float32))
    assert sparse.dense_shape.numpy().tolist() == [2, 0]


def test_a_batch_is_cut_where_padding_it_would_take_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(raw_inputs, "MAX_PADDED_VALUES", 20)
    lists = pa.array([[1]] * 7 + [[1] * 50] + [[1]] * 2 + [None])
    batch = pa.RecordBatch.from_pydict({"a": lists, "b": pa.array(range(11))})
    pieces = list(paddable(batch, ("a", "b")))
    assert pa.Table.from_batches(pieces).combine_chunks() == pa.Table.from_batches([batch])
    assert max(raw_arrays(p, ("a",))["a"].size for p in pieces) == 50  # a single row
    assert len(pieces) < 6
    assert [p.num_rows for p in paddable(batch, ("b",))] == [11]
    assert [p.num_rows for p in paddable(batch.slice(0, 0), ("a",))] == [0]


@pytest.mark.parametrize(
    ("given_shape", "wanted", "expected"),
    [
        ((5,), (None,), (5,)),
        ((5, 1), (None,), (5,)),
        ((5,), (None, 1), (5, 1)),
        ((5,), (None, None), (5, 1)),
        ((5, 7), (None, None), (5, 7)),
        ((5, 8), (None, 2, 4), (5, 2, 4)),
        ((0, 8), (None, 2, 4), (0, 2, 4)),
        ((5, 2, 4), (None, 2, 4), (5, 2, 4)),
        ((5, 3, 4), (None, None, 4), (5, 3, 4)),
    ],
)
def test_arrays_take_the_shape_of_the_input(given_shape: Any, wanted: Any, expected: Any) -> None:
    array = np.arange(np.prod(given_shape)).reshape(given_shape)
    fit = fitted("f", array, wanted)
    assert fit.shape == expected
    assert fit.ravel().tolist() == array.ravel().tolist()


@pytest.mark.parametrize(
    ("given_shape", "wanted", "received", "expected"),
    [
        ((5, 2), (None,), "2 values a row", "one value a row"),
        ((5,), (None, 3), "one value a row", "3 values a row"),
        ((5, 63), (None, 64), "63 values a row", "64 values a row"),
        ((5, 4, 2), (None, None), "4 x 2 values a row", "any number of values a row"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(
    given_shape: Any, wanted: Any, received: str, expected: str
) -> None:
    with pytest.raises(ServingError, match="'f'") as caught:
        fitted("f", np.zeros(given_shape), wanted)
    assert (caught.value.received, caught.value.expected) == (received, expected)
