"""The JSON codec by itself, without TensorFlow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serving.model_server.json_answer import error_answer, predict_answer
from serving.model_server.json_document import parse_object
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


def test_other_keys_and_the_order_of_keys_do_not_matter() -> None:
    body = '{"x": 1, "instances": [{"s": "a", "n": 1, "x": 2}], "signature_name": ""}'
    assert read(body)["n"].tolist() == [1]


def test_of_a_key_that_stands_twice_the_last_one_counts() -> None:
    assert read('{"inputs": [1], "inputs": [2]}', single("DT_INT32"))["v"].tolist() == [2]


def test_a_byte_order_mark_is_skipped() -> None:
    assert read('\ufeff{"inputs": [1]}', single("DT_INT32"))["v"].tolist() == [1]


NUMBERS = {
    "DT_INT8": (-(2**7), 2**7 - 1),
    "DT_UINT8": (0, 2**8 - 1),
    "DT_INT16": (-(2**15), 2**15 - 1),
    "DT_UINT16": (0, 2**16 - 1),
    "DT_INT32": (-(2**31), 2**31 - 1),
    "DT_UINT32": (0, 2**32 - 1),
    "DT_INT64": (-(2**63), 2**63 - 1),
    "DT_UINT64": (0, 2**64 - 1),
}


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("rows", [1, 100])
def test_whole_numbers_keep_to_the_limits_of_their_type(dtype: str, rows: int) -> None:
    low, high = NUMBERS[dtype]
    good = read({"inputs": [low, high, 0, 1] * rows}, single(dtype))["v"]
    assert good.tolist() == [low, high, 0, 1] * rows
    assert good.dtype == single(dtype).inputs["v"].numpy_dtype
    for bad, kind in ((low - 1, "Number"), (high + 1, "Number"), (1.0, "Number"), (True, "True")):
        with pytest.raises(StatusError, match=f"Type: {kind} is not of expected type: "):
            read({"inputs": [low] * rows + [bad]}, single(dtype))


@pytest.mark.parametrize("rows", [0, 100])
@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("DT_FLOAT", [0.1, 2**24 + 1, 2**63, 3.4e38], [1e39, -1e39]),
        ("DT_DOUBLE", [0.1, 2**53 + 1, -(2**60), 1e300], []),
        ("DT_HALF", [0.5, 2049, 65504.0], [65505.0, 65536]),
        ("DT_BFLOAT16", [0.5, 257, 3e38], [3.4e38]),
    ],
)
def test_floats_are_rounded_and_refused_where_they_would_become_infinite(
    dtype: str, good: list[float], bad: list[float], rows: int
) -> None:
    signature = single(dtype)
    zeros = [0.0] * rows
    values = read({"inputs": zeros + good}, signature)["v"]
    assert values.dtype == signature.inputs["v"].numpy_dtype
    np.testing.assert_array_equal(values[rows:], np.array(good).astype(values.dtype))
    for value in bad:
        with pytest.raises(StatusError, match=r"without loss of precision") as caught:
            read({"inputs": [*zeros, float("nan"), value]}, signature)
        assert f"Cannot convert JSON value: {json.dumps(value)} to " in caught.value.message


def test_a_whole_number_is_rounded_to_the_float_that_the_guide_names() -> None:
    assert read({"inputs": [1435774380]}, single("DT_FLOAT"))["v"].tolist() == [1435774336.0]


@pytest.mark.parametrize("rows", [1, 100])
def test_nan_and_booleans_beside_numbers(rows: int) -> None:
    many = [0.0, 1.0, float("nan"), float("-inf")] * rows
    np.testing.assert_array_equal(read({"inputs": many}, single("DT_FLOAT"))["v"], many)
    for value in (True, False):
        with pytest.raises(StatusError, match=f"Type: {value} is not of expected type: float"):
            read({"inputs": [*many, value]}, single("DT_FLOAT"))
    flags = read({"inputs": [True, False] * rows}, single("DT_BOOL"))["v"]
    assert flags.tolist() == [True, False] * rows


@pytest.mark.parametrize(
    ("value", "shape"),
    [([], (0,)), ([[], []], (2, 0)), ([[[1], [2]]], (1, 2, 1)), (1, ()), ([[[]]], (1, 1, 0))],
)
def test_nested_lists_have_the_shape_of_their_first_elements(
    value: Any, shape: tuple[int, ...]
) -> None:
    for dtype in ("DT_FLOAT", "DT_INT32"):
        assert read({"inputs": value}, single(dtype, None))["v"].shape == shape


def test_rows_of_lists_are_stacked() -> None:
    rows = [{"x": [[1, 2]], "s": ["a"]}, {"x": [[3, 4]], "s": [{"b64": "Yg"}]}]
    signature = Signature(
        "", {"x": TensorSpec("DT_INT32", None), "s": TensorSpec("DT_STRING", None)}, {}
    )
    tensors = read({"instances": rows}, signature)
    assert tensors["x"].tolist() == [[[1, 2]], [[3, 4]]]
    assert tensors["s"].tolist() == [[b"a"], [b"b"]]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"x": [1, 2, 3]},
            "element: 1500 key: x of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 3",
        ),
        ({"x": [[1, 2]]}, "Expecting shape [2] but got: [1,2]"),
        ({"x": ["a", 2]}, 'JSON Value: "a" Type: String is not of expected type: int32'),
        (
            {"y": 1},
            "element: 1500 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object:"
            " does not have named input: y",
        ),
        ({}, "element: 1500 of 'instances' list. JSON object: {} keys must be equal to: x"),
        ([1, 2], "Expecting object but got list at item 1500 of input list"),
    ],
)
def test_the_first_bad_row_is_named_however_many_are_good(second: Any, message: str) -> None:
    rows = [{"x": [1, 2]}] * 1500 + [second] + [{"x": None}] * 5
    with pytest.raises(StatusError) as caught:
        read({"instances": rows}, Signature("", {"x": TensorSpec("DT_INT32", None)}, {}))
    assert message in caught.value.message


BIG = 40_000
LARGE_BODIES = [
    [[i, i + 1] for i in range(BIG * 3)],
    [{"v": [i, 1]} for i in range(BIG * 2)],
    [[[i], [1]] for i in range(BIG * 2)],
]


@pytest.mark.parametrize("rows", LARGE_BODIES, ids=["lists", "objects", "nested lists"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_large_body_is_the_same_in_pieces(rows: Any, separators: tuple[str, str]) -> None:
    body = json.dumps({"signature_name": "a", "instances": rows}, separators=separators)
    assert len(body) > 1024 * 1024
    document = parse_object(body.encode() + b"\n")
    assert document == {"signature_name": "a", "instances": rows}
    tensors = read(body, single("DT_INT32", None))
    assert len(tensors["v"]) == len(rows)
    assert tensors["v"].ravel()[-2] == len(rows) - 1


def test_a_large_body_may_hold_what_looks_like_the_end_of_a_row() -> None:
    rows = [['],["', "a" * 100, "},{"]] * 12_000
    for separators in ((",", ":"), (", ", ": ")):
        body = json.dumps({"inputs": rows}, separators=separators).encode()
        assert parse_object(body) == {"inputs": rows}
        for broken in (body[:-1], body[:-2] + b",]}", body + b"]", body.replace(b"a],", b"a,", 1)):
            if broken != body:
                with pytest.raises(StatusError, match="JSON Parse error"):
                    parse_object(broken)


def test_a_large_body_with_a_bad_row_names_it() -> None:
    rows: list[Any] = [[1.0, 2.0]] * 150_000
    rows[140_000] = [1.0]
    with pytest.raises(StatusError, match=r"element: 140000 of .* tensor size: 2 but got: 1"):
        read({"instances": rows}, single("DT_FLOAT", None))
    rows[100_000:] = [[1.0]] * 50_000
    with pytest.raises(StatusError, match=r"element: 100000 of .* tensor size: 2 but got: 1"):
        read({"instances": rows}, single("DT_FLOAT", None))


def test_a_signature_without_inputs_is_told_first() -> None:
    with pytest.raises(StatusError, match="Failed to get input map for signature: DEFAULT"):
        read("{}", Signature("serving_default", {}, {}))


def test_the_smallest_int64_survives() -> None:
    assert read('{"inputs": [-9223372036854775808]}', single("DT_INT64"))["v"][0] == -(2**63)


def test_text_may_hold_any_unicode_and_zero_bytes() -> None:
    assert read({"inputs": ["Zoë\u0000"]}, single("DT_STRING"))["v"][0] == "Zoë\0".encode()


MALFORMED = [
    ("", MULTI, "JSON Parse error: The document is empty"),
    (" \n", MULTI, "JSON Parse error: The document is empty"),
    ("instances = [1, 2]", MULTI, "JSON Parse error: Invalid value. at offset: 0"),
    ("{", MULTI, "JSON Parse error: Missing a name for object member. at offset: 1"),
    ('{"a" 1}', MULTI, "JSON Parse error: Missing a colon after a name of object member."),
    ('{"a": [1] "b": 2}', MULTI, "JSON Parse error: Missing a comma or } after an object member."),
    ('{"a]": [1 2]}', MULTI, "JSON Parse error: Missing a comma or ] after an array element."),
    ("{} {}", MULTI, "JSON Parse error: The document root must not be followed by other values."),
    ('{"a": "b', MULTI, "JSON Parse error: Missing a closing quotation mark in string."),
    ('{"a": "\\x"}', MULTI, "JSON Parse error: Invalid escape character in string."),
    ('{"instances": [' + "9" * 5000 + "]}", MULTI, "JSON Parse error"),
    ('{"instances": [1e999]}', MULTI, "JSON Parse error"),
    ("\xff", MULTI, "JSON Parse error"),
    ('{"instances": [NaN}', MULTI, "JSON Parse error"),
    ("[" * 100_000, MULTI, "JSON Parse error"),
    ("NaN" + "[" * 100_000, MULTI, "JSON Parse error"),
    ("[]", MULTI, "Is not object"),
    ("NaN", MULTI, "Is not object"),
    ("{}", MULTI, "Missing 'inputs' or 'instances' key"),
    ('{"instances": [], "inputs": []}', MULTI, "expecting only one of"),
    ('{"instances": []}', MULTI, "No values in 'instances' array"),
    ('{"instances": {"x": 1}}', MULTI, "Excepting 'instances' to be an list/array"),
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
    ('{"inputs": [true]}', single("DT_FLOAT"), "Type: True is not of expected type: float"),
    ('{"inputs": [{"b64": "AA=="}]}', single("DT_FLOAT"), "Type: Object is not of expected"),
    ('{"inputs": [1.0]}', single("DT_INT64"), "is not of expected type: int64"),
    ('{"inputs": [true]}', single("DT_INT64"), "is not of expected type: int64"),
    ('{"inputs": [9223372036854775808]}', single("DT_INT64"), "is not of expected type: int64"),
    ('{"inputs": [300]}', single("DT_UINT8"), "is not of expected type: uint8"),
    ('{"inputs": [1]}', single("DT_BOOL"), "is not of expected type: bool"),
    ('{"inputs": [1]}', single("DT_STRING"), "is not of expected type: string"),
    ('{"inputs": [1e39]}', single("DT_FLOAT"), "to float without loss of precision"),
    ('{"inputs": [{"b64": "*"}]}', single("DT_STRING"), "Unable to base64 decode"),
    ('{"inputs": [{"b64": 1}]}', single("DT_STRING"), "not formatted correctly for base64"),
    ('{"inputs": [NaN, "\\ud800"]}', single("DT_STRING"), "not of expected type: string"),
    ('{"inputs": ["\\ud800", "NaN"]}', single("DT_STRING"), "is not valid Unicode"),
    ('{"inputs": [[1.0], 2.0]}', single("DT_FLOAT"), "found at incorrect level"),
    ('{"inputs": [1.0, [2.0]]}', single("DT_FLOAT"), "list at unexpected level"),
    ('{"inputs": [[1.0], [2.0, 3.0]]}', single("DT_FLOAT", (-1, 1)), "list at unexpected size: 2"),
    ('{"inputs": ' + "[" * 200 + "1" + "]" * 200 + "}", single("DT_FLOAT"), "unexpected level: 32"),
    ('{"inputs": ' + '{"a":' * 900 + "1" + "}" * 900 + "}", MULTI, "Missing named input"),
    ('{"inputs": [' + '{"a":' * 900 + "1" + "}" * 900 + "]}", single("DT_FLOAT"), "Type: Object"),
    (
        '{"instances": [[1.0, 2.0], [1.0]]}',
        single("DT_FLOAT", (-1, 2)),
        "element: 1 of 'instances' list.",
    ),
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
    with pytest.raises(StatusError, match=r"JSON Value: 1\.0 to type: complex64") as caught:
        read('{"inputs": [1.0]}', single("DT_COMPLEX64"))
    assert caught.value.code is Code.UNIMPLEMENTED
    with pytest.raises(StatusError, match="Failed to write JSON value for tensor type: complex64"):
        predict_answer({"y": np.zeros(2, np.complex64)}, ROW)


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


SPECIAL = np.array(
    [0.1, 1.0, np.nan, np.inf, -np.inf, 16777216.0, 1e-7, 9e6, 0.2, 3e38], np.float32
).reshape(5, 2)


def test_floats_have_the_shortest_text_that_reads_back() -> None:
    text = predict_answer({"y": SPECIAL[:, 0]}, ROW).decode()
    assert text == '{"predictions":[0.1,NaN,-Infinity,1e-7,0.2]}'
    text = predict_answer({"y": np.array([0.1, 3.0, 1 / 3])}, COLUMN).decode()
    assert text == '{"outputs":[0.1,3.0,0.3333333333333333]}'


@pytest.mark.parametrize("shape", [(10,), (5, 2), (2, 5, 1), (1, 10), (10, 1, 1)])
@pytest.mark.parametrize("finite", [True, False])
def test_rows_of_several_outputs_are_cut_where_rows_end(
    shape: tuple[int, ...], finite: bool
) -> None:
    floats = SPECIAL.reshape(shape)
    if finite:
        floats = np.nan_to_num(floats, posinf=1.0, neginf=2.0)
    whole = np.arange(10, dtype=np.int64).reshape(shape)
    rows = answer({"f %b": floats, "n": whole}, ROW)["predictions"]
    assert len(rows) == shape[0]
    for row, number in zip(rows, range(shape[0]), strict=True):
        assert row.keys() == {"f %b", "n"}
        np.testing.assert_array_equal(np.float32(row["f %b"]), floats[number])
        assert row["n"] == whole[number].tolist()


def test_bfloat16_is_written_as_numbers() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([0.5, np.nan, 3.0], ml_dtypes.bfloat16)
    assert predict_answer({"y": array}, ROW) == b'{"predictions":[0.5,NaN,3.0]}'


def test_batches_without_rows_have_empty_answers() -> None:
    none = np.zeros((0, 3), np.float32)
    assert answer({"y": none}, ROW) == {"predictions": []}
    assert answer({"y": none, "s": strings()}, ROW) == {"predictions": []}
    with pytest.raises(StatusError, match="empty tensor map"):
        predict_answer({}, ROW)


def test_an_error_is_json_whatever_it_quotes() -> None:
    message = 'a "b" \\ \n \ud800'
    assert json.loads(error_answer(message)) == {"error": message.replace("\ud800", "?")}
    assert error_answer("x") == b'{ "error": "x" }'


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
