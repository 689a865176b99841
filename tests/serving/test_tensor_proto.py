"""Tensors from and to their protos, against TensorFlow's own reading of them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from serving.model_server.status import Code, StatusError

LIMIT = 1_000_000
NUMBERS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16"]


def tensor(dtype: int, *sizes: int, **fields: Any) -> Any:
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    message = TensorProto(dtype=dtype, **fields)
    for size in sizes:
        message.tensor_shape.dim.add(size=size)
    return message


def read(proto: Any, limit: int = LIMIT) -> Any:
    from serving.model_server.tensor_proto import from_proto

    return from_proto("x", proto, limit)


@pytest.mark.parametrize("dtype", [*NUMBERS, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (20, 3)])
def test_numbers_go_there_and_back_in_typed_fields_and_in_content(
    dtype: Any, shape: tuple[int, ...]
) -> None:
    import tensorflow as tf

    from serving.model_server.tensor_proto import to_wire

    array = np.asarray(np.random.default_rng(7).normal(size=shape) * 100).astype(dtype)
    proto = tensor(0)
    proto.ParseFromString(to_wire(array))
    assert not proto.tensor_content
    for message in (proto, tf.make_tensor_proto(array)):
        back = read(message)
        assert (back.dtype, back.shape) == (array.dtype, shape)
        np.testing.assert_array_equal(back, array)
    if array.size:
        np.testing.assert_array_equal(tf.make_ndarray(proto), array)


def test_an_array_that_is_not_in_rows_is_written_in_rows() -> None:
    import tensorflow as tf

    from serving.model_server.tensor_proto import to_wire

    array = np.arange(60, dtype=np.float32).reshape(20, 3).T[:, ::2]
    proto = tensor(0)
    proto.ParseFromString(to_wire(array))
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


def test_extreme_values_survive() -> None:
    from serving.model_server.tensor_proto import to_wire

    for array in (
        np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32),
        np.array([2**63 - 1, -(2**63), -1], np.int64),
        np.array([2**64 - 1, 0], np.uint64),
        np.array([-128, 127, 0], np.int8),
    ):
        proto = tensor(0)
        proto.ParseFromString(to_wire(array))
        assert read(proto).tobytes() == array.tobytes()


def test_strings_keep_every_byte() -> None:
    from serving.model_server.tensor_proto import to_wire

    array = np.array([[b"a", b""], [b"\xff\0", b"\0\0"]], object)
    proto = tensor(0)
    proto.ParseFromString(to_wire(array))
    assert read(proto).tolist() == array.tolist()
    scalar = tensor(7, string_val=[b"one"])
    assert read(scalar).shape == ()
    assert read(scalar).item() == b"one"


def test_strings_packed_in_content_are_read() -> None:
    assert read(tensor(7, 3, tensor_content=b"\x02\x00\x01abc")).tolist() == [b"ab", b"", b"c"]
    long = b"\xac\x02" + b"z" * 300
    assert read(tensor(7, tensor_content=long)).item() == b"z" * 300


def test_too_few_values_repeat_the_last_none_are_zeros_and_too_many_are_cut() -> None:
    assert read(tensor(1, 3, float_val=[2.5])).tolist() == [2.5, 2.5, 2.5]
    assert read(tensor(1, 3, float_val=[1.0, 2.0])).tolist() == [1.0, 2.0, 2.0]
    assert read(tensor(9, 2, 2, int64_val=[1, 7])).tolist() == [[1, 7], [7, 7]]
    assert read(tensor(7, 3, string_val=[b"a"])).tolist() == [b"a", b"a", b"a"]
    assert read(tensor(10, 2)).tolist() == [False, False]
    assert read(tensor(7, 2)).tolist() == [b"", b""]
    assert read(tensor(1, 2, float_val=[1.0, 2.0, 3.0])).tolist() == [1.0, 2.0]
    assert read(tensor(1, 30, float_val=range(40))).tolist() == list(range(30))
    assert read(tensor(8, 2, scomplex_val=[1.0, 2.0])).tolist() == [1 + 2j, 1 + 2j]
    assert read(tensor(8, 1, scomplex_val=[1.0])).tolist() == [0j]


def test_quantised_numbers_are_read() -> None:
    array = read(tensor(11, 2, int_val=[1, -1]))
    assert array["qint8"].tolist() == [1, -1]


def test_a_number_that_its_type_cannot_hold_keeps_its_low_bits() -> None:
    assert read(tensor(6, 2, int_val=[300, -129])).tolist() == [44, 127]
    assert read(tensor(4, 1, int_val=[-1])).tolist() == [255]


def test_any_byte_but_zero_is_true() -> None:
    assert read(tensor(10, 3, tensor_content=b"\x00\x01\x07")).tobytes() == b"\x00\x01\x01"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: tensor(0, 1), "data type 0"),
        (lambda: tensor(20, 1), "data type 20"),
        (lambda: tensor(21, 1), "data type 21"),
        (lambda: tensor(101, 1, float_val=[1.0]), "data type 101"),
        (lambda: tensor(12345, 1), "data type 12345"),
        (lambda: tensor(1, -1), "is not that of a tensor"),
        (lambda: tensor(1, *[1] * 255), "is not that of a tensor"),
        (lambda: tensor(1, 2**40, 2**40), "is over 1000000 bytes"),
        (lambda: tensor(1, 0, 2**62), "is over 1000000 bytes"),
        (lambda: tensor(7, 2**62), "is over 1000000 bytes"),
        (lambda: tensor(1, 2, tensor_content=b"123"), "3 bytes of content, 8 expected"),
        (lambda: tensor(1, 0, tensor_content=b"1234"), "4 bytes of content, 0 expected"),
        (lambda: tensor(7, 2, tensor_content=b"\x05\x01ab"), "does not hold 2 strings"),
        (lambda: tensor(7, 2, tensor_content=b"\x01"), "does not hold 2 strings"),
        (lambda: tensor(7, 1, tensor_content=b"\xff" * 20), "does not hold 1 strings"),
    ],
)
def test_a_tensor_that_does_not_fit_together_is_refused(make: Any, why: str) -> None:
    with pytest.raises(StatusError) as caught:
        read(make())
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith("tensor parsing error: x (")
    assert why in caught.value.message


def test_a_shape_of_unknown_rank_is_refused() -> None:
    proto = tensor(1, float_val=[1.0])
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(StatusError, match="not that of a tensor"):
        read(proto)
