"""Writes TFRecord files of Examples for the tests, frame by frame, so that any can be spoilt."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import google_crc32c
import pyarrow as pa
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

_TYPES = {int: pa.int64(), float: pa.float32(), bytes: pa.binary()}


def example(**features: list[Any] | None) -> bytes:
    """A serialized `tf.train.Example`.

    Args:
        features: Lists of int, float or bytes; None for a feature that is named and has no list,
            and [] for an empty list of int.
    """
    arrays = [
        pa.array([values], pa.list_(_TYPES[type(values[0])] if values else pa.int64()))
        for values in features.values()
    ]
    if not arrays:
        return b""
    (record,) = examples_of(pa.RecordBatch.from_arrays(arrays, names=list(features)))
    return record


def examples_of(rows: pa.RecordBatch) -> list[bytes]:
    """A serialized `tf.train.Example` for each row, of columns of lists."""
    return [bytes(record) for record in RecordBatchToExamplesEncoder().encode(rows)]


def frame(record: bytes) -> bytes:
    """A record as it stands in a file."""
    length = struct.pack("<Q", len(record))
    return length + checksum(length) + record + checksum(record)


def checksum(data: bytes) -> bytes:
    """The masked CRC-32C of some bytes."""
    crc = google_crc32c.value(data)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)


def tfrecord(records: Sequence[bytes]) -> bytes:
    """A whole file."""
    return b"".join(map(frame, records))
