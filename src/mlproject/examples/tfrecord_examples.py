"""`tf.train.Example` records as Arrow columns, decoded by tfx_bsl, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from mlproject.errors import DataError
from mlproject.examples.arrow_values import stored
from mlproject.examples.columns import LIST
from mlproject.examples.tfrecord_file import RecordBlock

_KINDS = {pa.int64(): "int", pa.float32(): "float", pa.large_binary(): "bytes"}
_FEATURES_TAG = 0x0A  # field 1 of an Example (`features`), length-delimited
_FEATURE_LISTS = 2  # the field that a SequenceExample has and an Example has not


@dataclass(frozen=True)
class Feature:
    """What was found of a feature so far.

    Attributes:
        kind: "int", "float", "bytes", or "" as long as no record gave it a list, not even an
            empty one.
        is_list: Whether a record has several values.
        is_text: Whether every value is UTF-8 (of bytes).
        where: Where it was first found, for messages.
    """

    kind: str
    is_list: bool
    is_text: bool
    where: str

    @property
    def column_type(self) -> str:
        """One of `columns.COLUMN_TYPES`."""
        text = self.kind == "bytes" and self.is_text
        return ("string" if text else self.kind or "float") + (LIST if self.is_list else "")

    def joined(self, name: str, other: Feature) -> Feature:
        """The feature that holds the values of both.

        Args:
            name: Its name, for the message.
            other: What was found elsewhere.

        Raises:
            DataError: One has numbers where the other has text, or whole numbers where the other
                has fractions: a tensor has one type.
        """
        if not self.kind or not other.kind:
            known = self if self.kind else other
            return replace(known, is_list=self.is_list or other.is_list)
        if self.kind != other.kind:
            raise DataError(
                f"Feature '{name}' has two types",
                received=f"{self.kind} in {self.where}; {other.kind} in {other.where}",
                expected="one type in all records of a source",
                next_step=f"write '{name}' as one of them",
            )
        return replace(
            self,
            is_list=self.is_list or other.is_list,
            is_text=self.is_text and other.is_text,
        )


def decode(block: RecordBlock) -> pa.RecordBatch:
    """Decode records into lists of values, one column for each feature that one of them names.

    Returns:
        `[records]`, columns of large_list<int64 | float | large_binary>, or of nulls where no
        record has a value. No rows if no record names a feature.

    Raises:
        DataError: A record is damaged, or is not a `tf.train.Example`.
    """
    records = block.records()
    for at in np.flatnonzero(~_are_examples(block)).tolist():
        _check_fields(block, at, records[at])
    try:
        return _decoded(records)
    except RuntimeError as err:
        raise _undecodable(block, records, err) from err


def features_of(batch: pa.RecordBatch, block: RecordBlock) -> dict[str, Feature]:
    """What a decoded block says about its features."""
    where = describe(block)
    found = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = kind_of(column.type)
        several = bool(kind) and (pc.max(pc.list_value_length(column)).as_py() or 0) > 1
        found[name] = Feature(kind, several, kind == "bytes" and _is_text(column), where)
    return found


def stored_column(column: pa.Array, column_type: str) -> pa.Array:
    """A decoded column in the type it is stored in.

    Args:
        column: Of a batch that `decode` returned.
        column_type: One of `columns.COLUMN_TYPES`.

    Raises:
        pa.ArrowException: A value does not fit, or a list has several where one is stored.
    """
    if column_type.endswith(LIST) or pa.types.is_null(column.type):
        return stored(column, column_type)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    if len(lengths) and lengths.max() > 1:
        raise pa.ArrowInvalid(f"a list of {lengths.max()} values")
    values = column.flatten()
    if len(values) < len(lengths):
        places = np.cumsum(lengths) - 1
        values = values.take(pa.array(places, mask=lengths == 0))
    return stored(values, column_type)


def kind_of(kind: pa.DataType) -> str:
    """The kind of a decoded column: "int", "float", "bytes", or "" for one without values."""
    return "" if pa.types.is_null(kind) else _KINDS[kind.value_type]


def describe(block: RecordBlock) -> str:
    """Which records of which file a block holds, for messages."""
    last = block.first + len(block.starts)
    return f"records {block.first + 1:,} to {last:,} of '{block.path}'"


def _decoded(records: Sequence[bytes]) -> pa.RecordBatch:
    # A new one each time: it is not safe to share between threads, nor to use after an error.
    return ExamplesToRecordBatchDecoder().DecodeBatch(records)


def _is_text(column: pa.LargeListArray) -> bool:
    try:
        column.flatten().cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _are_examples(block: RecordBlock) -> npt.NDArray[np.bool_]:
    """`[records] bool`: whether one field, `features`, fills the record, as in every Example.

    The decoder passes over other fields in silence, the lists of a SequenceExample among them.
    """
    content = np.frombuffer(block.content, np.uint8)
    places = block.starts[:, None] + np.arange(6)
    head = content[np.minimum(places, len(content) - 1)].astype(np.int64)
    more = np.cumprod(head[:, 1:] >= 0x80, axis=1)  # a varint goes on while the top bit is set
    used = np.concatenate([np.ones((len(head), 1), np.int64), more[:, :4]], axis=1)
    length = ((head[:, 1:] & 0x7F) * used << (7 * np.arange(5))).sum(axis=1)
    whole = (head[:, 0] == _FEATURES_TAG) & (1 + used.sum(axis=1) + length == block.lengths)
    are: npt.NDArray[np.bool_] = whole | (block.lengths == 0)
    return are


def _check_fields(block: RecordBlock, at: int, record: bytes) -> None:
    """Refuse a record with other fields than an Example's, field by field."""
    fields = _fields(record)
    if fields == {1}:  # `features` in several pieces, which the decoder merges
        return
    found = "a SequenceExample" if _FEATURE_LISTS in fields else "another message"
    raise DataError(
        f"Record {block.first + at + 1:,} of '{block.path}' is not a tf.train.Example",
        received=f"{found} (fields {', '.join(map(str, sorted(fields)))})"
        if fields
        else "bytes that are no protocol buffer message",
        expected="records that hold a serialized tf.train.Example",
        next_step="write the steps of each sequence as list features of an Example"
        if _FEATURE_LISTS in fields
        else "write the file again, or take it out of the source",
    )


def _fields(record: bytes) -> set[int]:
    """The numbers of a message's fields; none if it is no message whose fields have lengths."""
    found = set()
    at = 0
    while at < len(record):
        tag, at = _varint(record, at)
        length, at = _varint(record, at)
        if tag & 7 != 2 or tag >> 3 == 0 or at + length > len(record):
            return set()
        found.add(tag >> 3)
        at += length
    return found


def _varint(record: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and where it ends; past the record's end if it does not end."""
    value = shift = 0
    for place in range(at, min(at + 10, len(record))):
        value |= (record[place] & 0x7F) << shift
        if record[place] < 0x80:
            return value, place + 1
        shift += 7
    return 0, len(record) + 1


def _undecodable(block: RecordBlock, records: Sequence[bytes], refusal: RuntimeError) -> DataError:
    low, high = 0, len(records)  # records[:low] decode, records[:high] do not
    while high - low > 1:
        middle = (low + high) // 2
        if _decodes(records[:middle]):
            low = middle
        else:
            high = middle
    before = replace(block, starts=block.starts[:low])
    culprit = replace(block, first=block.first + low, starts=block.starts[low:high])
    if _decodes(records[low:high]):
        known = features_of(_decoded(records[:low]), before)
        for name, feature in features_of(_decoded(records[low:high]), culprit).items():
            try:
                known.get(name, feature).joined(name, feature)
            except DataError as err:
                return err
    return DataError(
        f"Record {culprit.first + 1:,} of '{block.path}' is not a tf.train.Example",
        received=str(refusal),
        expected="records that hold a serialized tf.train.Example",
        next_step="write the file again, or take it out of the source",
    )


def _decodes(records: Sequence[bytes]) -> bool:
    try:
        _decoded(records)
    except RuntimeError:
        return False
    return True
