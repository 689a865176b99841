"""TFRecord files: the frames of records, and their checksums.

A record is framed, in little-endian numbers, as its length (uint64), the masked CRC-32C of the
length (uint32), the data, and the masked CRC-32C of the data (uint32); see
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import numpy.typing as npt

from mlproject.errors import DataError
from mlproject.examples.raw_bytes import RawBytes, codec_of

MAX_RECORD_BYTES = 128 << 20
"""A record must fit in memory several times over."""

_BLOCK_BYTES = 512 << 10
_FRAME_BYTES = 16  # the length, its checksum, and the data's
_HEAD_BYTES = 12
_LENGTH = struct.Struct("<Q")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class RecordBlock:
    """Some records that follow each other in a file.

    Attributes:
        path: The file.
        first: How many records stand before them in the file.
        offset: Where the first begins in the unpacked file, in bytes.
        content: The frames.
        starts: `[records] int64`: where the data of each record begins in `content`.
        lengths: `[records] int64`: how many bytes it has.
    """

    path: Path
    first: int
    offset: int
    content: bytes
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def records(self) -> list[bytes]:
        """The data of each record.

        Raises:
            DataError: A checksum is not that of the data.
        """
        ends = self.starts + self.lengths
        spans = zip(self.starts.tolist(), ends.tolist(), strict=True)
        records = [self.content[start:end] for start, end in spans]
        wrong = _checksums(records) != _uint32(self.content, ends)
        if wrong.any():
            raise self.fault(int(np.argmax(wrong)), "its checksum is not that of its data")
        return records

    def fault(self, at: int, what: str) -> DataError:
        """The error for a record that is damaged.

        Args:
            at: Its place in this block.
            what: What is wrong with it.
        """
        offset = self.offset + int(self.starts[at]) - _HEAD_BYTES
        return damaged(self.path, self.first + at, offset, what)


def read_record_blocks(path: Path) -> Iterator[RecordBlock]:
    """A file's records, about half a MiB of them at a time.

    The checksums of the lengths are checked, those of the data not yet.

    Raises:
        DataError: The file cannot be read, is cut, or a length is damaged.
    """
    content = b""
    first = offset = 0
    with RawBytes(path) as file:
        while more := file.read(max(_BLOCK_BYTES, _missing(content))):
            content += more
            starts, end = _frames(content)
            if len(starts):
                lengths = _lengths(content, starts)
                block = RecordBlock(path, first, offset, content[:end], starts, lengths)
                _check_lengths(block)
                yield block
            first += len(starts)
            offset += end
            content = content[end:]
            _check_head(path, first, offset, content)
    if content:
        raise damaged(path, first, offset, f"the file ends after {len(content):,} bytes of it")


def damaged(path: Path, record: int, offset: int, what: str) -> DataError:
    """The error for a damaged record.

    Args:
        path: The file.
        record: Records before it.
        offset: Where it begins in the unpacked file, in bytes.
        what: What is wrong with it.
    """
    unpacked = " of the unpacked file" if codec_of(path) else ""
    return DataError(
        f"Record {record + 1:,} of '{path}' is damaged",
        received=f"{what}; it begins at byte {offset:,}{unpacked}",
        expected="a TFRecord file, written to its end",
        next_step="write or copy the file again, or take it out of the source",
    )


def _missing(content: bytes) -> int:
    """Bytes that the incomplete record at the start of `content` still lacks."""
    if len(content) < _HEAD_BYTES:
        return 0
    return int(_LENGTH.unpack_from(content)[0]) + _FRAME_BYTES - len(content)


def _frames(content: bytes) -> tuple[npt.NDArray[np.int64], int]:
    """Where the data of each complete record begins, and where the last one's frame ends."""
    starts = []
    at, end = 0, len(content)
    unpack = _LENGTH.unpack_from
    while at + _HEAD_BYTES <= end:
        after = at + _FRAME_BYTES + unpack(content, at)[0]
        if after > end:
            break
        starts.append(at + _HEAD_BYTES)
        at = after
    return np.array(starts, dtype=np.int64), at


def _lengths(content: bytes, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    places = (starts - _HEAD_BYTES)[:, None] + np.arange(8)
    return np.frombuffer(content, np.uint8)[places].view("<i8")[:, 0]


def _check_lengths(block: RecordBlock) -> None:
    heads = (block.starts - _HEAD_BYTES).tolist()
    lengths = [block.content[at : at + 8] for at in heads]
    wrong = _checksums(lengths) != _uint32(block.content, block.starts - 4)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise _bad_length(block.path, block.first + at, block.offset + heads[at], block.content)


def _check_head(path: Path, first: int, offset: int, content: bytes) -> None:
    """Refuse an incomplete record whose length cannot be right before more of it is read."""
    if len(content) < _HEAD_BYTES:
        return
    (stored,) = struct.unpack_from("<I", content, 8)
    if _checksums([content[:8]])[0] != stored:
        raise _bad_length(path, first, offset, content)
    (length,) = _LENGTH.unpack_from(content)
    if length > MAX_RECORD_BYTES:
        raise DataError(
            f"Record {first + 1:,} of '{path}' is too long",
            received=f"{length:,} bytes at byte {offset:,}",
            expected=f"records of at most {MAX_RECORD_BYTES:,} bytes",
            next_step="keep such content in files of its own, and their paths in the records",
        )


def _bad_length(path: Path, record: int, offset: int, content: bytes) -> DataError:
    error = damaged(path, record, offset, "its length does not have the checksum stored with it")
    if not record and content.startswith(_GZIP_MAGIC):
        error.next_step = "give the file the suffix .gz: it looks packed with gzip"
    return error


def _checksums(parts: list[bytes]) -> npt.NDArray[np.uint32]:
    """CRC-32C of each, masked as TFRecord stores it."""
    crc = np.fromiter(map(google_crc32c.value, parts), np.uint32, len(parts))
    masked: npt.NDArray[np.uint32] = (crc >> np.uint32(15) | crc << np.uint32(17)) + np.uint32(
        0xA282EAD8
    )
    return masked


def _uint32(content: bytes, places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """The numbers that stand at some places, little-endian."""
    found = np.frombuffer(content, np.uint8)[places[:, None] + np.arange(4)]
    return found.view("<u4")[:, 0]
