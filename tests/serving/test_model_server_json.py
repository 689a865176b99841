"""The JSON codec by itself, without TensorFlow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serving.model_server.json_answer import predict_answer
from serving.model_server.json_request import COLUMN, ROW, parse_request, to_tensors
from serving.model_server.signature import Signature, Tensors, TensorSpec
from serving.model_server.status import Code, StatusError

MULTI = Signature(
    "serving_default",
    {
        "x": TensorSpec("DT_FLOAT", (-1,)),
        "n": TensorSpec("DT_INT64", (-1,)),
        "s": TensorSpec("DT_STRING", (-1,)),
    },
    {},
)


def single(dtype: str, shape: tuple[int, ...] | None = (-1,)) -> Signature:
    return Signature("serving_default", {"v": TensorSpec(dtype, shape)}, {})


def read(body: str | dict[str, Any], signature: Signature = MULTI) -> Tensors:
    text = body if isinstance(body, str) else json.dumps(body)
    tensors = to_tensors(parse_request(text.encode()), signature)
    signature.check_inputs(tensors)
    return tensors


def test_rows_and_columns_give_the_same_tensors() -> None:
    rows = {"instances": [{"x": 1.5, "n": 1, "s": "a"}, {"n": -2, "s": {"b64": "/w=="}, "x": 2}]}
    columns = {"inputs": {"x": [1.5, 2], "n": [1, -2], "s": ["a", {"b64": "/w=="}]}}
    for body in (rows, columns):
        tensors = read(body)
        assert tensors["x"].dtype == np.float32
        assert tensors["n"].dtype == np.int64
        np.testing.assert_array_equal(tensors["x"], [1.5, 2.0])
        np.testing.assert_array_equal(tensors["n"], [1, -2])
        assert tensors["s"].tolist() == [b"a", b"\xff"]


@pytest.mark.parametrize("body", ['{"instances": [1.5, 2]}', '{"inputs": [1.5, 2]}'])
def test_a_single_input_needs_no_name(body: str) -> None:
    np.testing.assert_array_equal(read(body, single("DT_FLOAT"))["v"], [1.5, 2.0])


def test_vectors_in_rows_get_a_batch_dimension() -> None:
    tensors = read('{"instances": [[1, 2, 3], [4, 5, 6]]}', single("DT_FLOAT", (-1, 3)))
    assert tensors["v"].shape == (2, 3)


def test_nan_and_infinity_are_numbers() -> None:
    values = read('{"instances": [NaN, Infinity, -Infinity]}', single("DT_FLOAT"))["v"]
    np.testing.assert_array_equal(values, [np.nan, np.inf, -np.inf])


def test_the_smallest_int64_survives() -> None:
    assert read('{"inputs": [-9223372036854775808]}', single("DT_INT64"))["v"][0] == -(2**63)


def test_text_may_hold_any_unicode_and_zero_bytes() -> None:
    assert read({"inputs": ["Zoë\u0000"]}, single("DT_STRING"))["v"][0] == "Zoë\0".encode()


MALFORMED = [
    ("", MULTI, "JSON Parse error"),
    ("{", MULTI, "JSON Parse error"),
    ("\xff", MULTI, "JSON Parse error"),
    ('{"instances": [NaN}', MULTI, "JSON Parse error"),
    ("[" * 100_000, MULTI, "JSON Parse error"),
    ("NaN" + "[" * 100_000, MULTI, "JSON Parse error"),
    ("[]", MULTI, "Is not object"),
    ("NaN", MULTI, "Is not object"),
    ("{}", MULTI, "Missing 'inputs' or 'instances' key"),
    ('{"instances": [], "inputs": []}', MULTI, "expecting only one of"),
    ('{"instances": []}', MULTI, "No values in 'instances' array"),
    ('{"instances": {"x": 1}}', MULTI, "to be a list/array"),
    ('{"instances": [1], "signature_name": 7}', MULTI, "must be a string value"),
    ('{"instances": [1.0]}', MULTI, "expecting list of objects"),
    ('{"instances": [{"x": 1, "n": 1, "s": "a"}, 2]}', MULTI, "got list at item 1"),
    ('{"instances": [1.0, {"v": 1.0}]}', single("DT_FLOAT"), "got object at item 1"),
    ('{"instances": [{"x": 1, "n": 1}]}', MULTI, "keys must be equal to: n,s,x"),
    ('{"instances": [{"x": 1, "n": 1, "t": ""}]}', MULTI, "does not have named input: t"),
    ('{"inputs": [1.0]}', MULTI, "expecting an object"),
    ('{"inputs": {"x": [1], "n": [1]}}', MULTI, "Missing named input: s"),
    ('{"inputs": ["a"]}', single("DT_FLOAT"), 'Value: "a" Type: String is not of expected type: f'),
    ('{"inputs": [null]}', single("DT_FLOAT"), "Type: Null is not of expected type: float"),
    ('{"inputs": [true]}', single("DT_FLOAT"), "Type: Bool is not of expected type: float"),
    ('{"inputs": [{"b64": "AA=="}]}', single("DT_FLOAT"), "Type: Object is not of expected"),
    ('{"inputs": [1.0]}', single("DT_INT64"), "is not of expected type: int64"),
    ('{"inputs": [true]}', single("DT_INT64"), "is not of expected type: int64"),
    ('{"inputs": [9223372036854775808]}', single("DT_INT64"), "is not of expected type: int64"),
    ('{"inputs": [300]}', single("DT_UINT8"), "is not of expected type: uint8"),
    ('{"inputs": [1]}', single("DT_BOOL"), "is not of expected type: bool"),
    ('{"inputs": [1]}', single("DT_STRING"), "is not of expected type: string"),
    ('{"inputs": [16777216]}', single("DT_FLOAT"), "to float without loss of precision"),
    ('{"inputs": [1e39]}', single("DT_FLOAT"), "to float without loss of precision"),
    ('{"inputs": [{"b64": "*"}]}', single("DT_STRING"), "Unable to base64 decode"),
    ('{"inputs": [{"b64": 1}]}', single("DT_STRING"), "not formatted correctly for base64"),
    ('{"inputs": [NaN, "\\ud800"]}', single("DT_STRING"), "not of expected type: string"),
    ('{"inputs": ["\\ud800", "NaN"]}', single("DT_STRING"), "is not valid Unicode"),
    ('{"inputs": 1.0}', single("DT_FLOAT"), "to have shape [-1] but [] is provided"),
    ('{"inputs": [[1.0]]}', single("DT_FLOAT"), "to have shape [-1] but [1,1] is provided"),
    ('{"inputs": [[1.0], 2.0]}', single("DT_FLOAT"), "found at incorrect level"),
    ('{"inputs": [1.0, [2.0]]}', single("DT_FLOAT"), "list at unexpected level"),
    ('{"inputs": [[1.0], [2.0, 3.0]]}', single("DT_FLOAT", (-1, 1)), "list at unexpected size: 2"),
    ('{"inputs": ' + "[" * 200 + "1" + "]" * 200 + "}", single("DT_FLOAT"), "unexpected level: 32"),
    ('{"inputs": ' + '{"a":' * 900 + "1" + "}" * 900 + "}", MULTI, "Missing named input"),
    ('{"inputs": [' + '{"a":' * 900 + "1" + "}" * 900 + "]}", single("DT_FLOAT"), "Type: Object"),
    ('{"instances": [[1.0, 2.0], [1.0]]}', single("DT_FLOAT", (-1, 2)), "element: 1 key: v"),
    ('{"instances": [{"x": 1, "n": "7", "s": ""}]}', MULTI, "element: 0 key: n of 'instances'"),
    ('{"instances": [1, 2, {"b64": 1}]}', single("DT_FLOAT"), "got object at item 2"),
]


@pytest.mark.parametrize(
    ("body", "signature", "message"), MALFORMED, ids=[message for *_, message in MALFORMED]
)
def test_a_malformed_request_is_an_invalid_argument(
    body: str, signature: Signature, message: str
) -> None:
    with pytest.raises(StatusError) as caught:
        read(body, signature)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert message in caught.value.message
    assert len(caught.value.message) < 500


def test_the_error_names_the_row_that_is_wrong() -> None:
    rows = [{"x": 1.0, "n": 1, "s": ""}] * 3 + [{"x": "1", "n": 1, "s": ""}]
    with pytest.raises(StatusError, match=r"element: 3 key: x .* is not of expected type: float"):
        read({"instances": rows})


def test_a_type_that_json_cannot_carry_is_unimplemented() -> None:
    with pytest.raises(StatusError) as caught:
        read('{"inputs": [1.0]}', single("DT_COMPLEX64"))
    assert caught.value.code is Code.UNIMPLEMENTED


def answer(outputs: Tensors, request_format: str) -> Any:
    return json.loads(predict_answer(outputs, request_format))


def strings(*values: bytes) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=object)


def test_one_output_is_unnamed_and_several_are_named() -> None:
    y, t = np.array([0.1, 2.0], np.float32), strings(b"a", b"b")
    assert answer({"y": y}, ROW) == {"predictions": [0.1, 2.0]}
    assert answer({"y": y}, COLUMN) == {"outputs": [0.1, 2.0]}
    assert answer({"y": y, "t": t}, ROW) == {
        "predictions": [{"y": 0.1, "t": "a"}, {"y": 2.0, "t": "b"}]
    }
    assert answer({"y": y, "t": t}, COLUMN) == {"outputs": {"y": [0.1, 2.0], "t": ["a", "b"]}}


@pytest.mark.parametrize("request_format", [ROW, COLUMN])
def test_nan_and_infinity_are_written_as_tensorflow_serving_writes_them(
    request_format: str,
) -> None:
    values = np.array([[np.nan, np.inf], [-np.inf, 0.1]], np.float32)
    text = predict_answer({"y": values}, request_format).decode()
    assert "[[NaN,Infinity],[-Infinity,0.1]]" in text


def test_bytes_are_base64_where_the_name_says_so_or_the_text_is_none() -> None:
    outputs = {"image_bytes": strings(b"a"), "text": strings(b"a"), "odd": strings(b"\xff")}
    assert answer(outputs, COLUMN)["outputs"] == {
        "image_bytes": [{"b64": "YQ=="}],
        "text": ["a"],
        "odd": [{"b64": "/w=="}],
    }


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [3, 4]], np.int64),
        np.array([True, False]),
        np.array([1.5, 0.25], np.float16),
        np.array([1, 2, 3, 4], np.int32)[::2],
        np.zeros((2, 0), np.float32),
    ],
)
def test_every_kind_of_array_is_written(array: np.ndarray[Any, Any]) -> None:
    assert answer({"y": array}, ROW)["predictions"] == array.tolist()
    assert answer({"y": array, "z": array}, ROW)["predictions"][1]["z"] == array[1].tolist()


def test_a_scalar_output_fits_columns_only() -> None:
    scalar = np.asarray(np.float32(0.5))
    assert answer({"y": scalar}, COLUMN) == {"outputs": 0.5}
    with pytest.raises(StatusError, match="Tensor name: y has no shape information"):
        predict_answer({"y": scalar}, ROW)


def test_outputs_of_several_batch_sizes_fit_columns_only() -> None:
    outputs: Tensors = {"a": np.zeros(2), "b": np.zeros(3)}
    assert answer(outputs, COLUMN)["outputs"]["b"] == [0.0, 0.0, 0.0]
    with pytest.raises(StatusError, match="b has inconsistent batch size: 3 expecting: 2"):
        predict_answer(outputs, ROW)
