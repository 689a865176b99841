"""JSON Lines as text: whole lines, a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlproject.errors import DataError
from mlproject.examples.raw_bytes import read_blocks

MAX_LINE_BYTES = 8 << 20
"""A line must fit in memory many times over."""

_BLOCK_BYTES = 256 << 10  # small enough for the parsed rows to stay in the processor's cache
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LineBlock:
    """Some lines that follow each other in a file.

    Attributes:
        path: The file.
        first: The number of the first line, from 1.
        content: The lines, without the end of the last.
    """

    path: Path
    first: int
    content: bytes


def read_line_blocks(path: Path) -> Iterator[LineBlock]:
    """A file's lines, about 256 KiB of them at a time; a byte order mark is left out.

    Raises:
        DataError: The file cannot be read, or a line is too long.
    """
    pieces: list[bytes] = []  # of a line whose end was not read yet
    first = 1
    for number, block in enumerate(read_blocks(path, _BLOCK_BYTES)):
        block = block.removeprefix(_BYTE_ORDER_MARK) if number == 0 else block
        end = block.rfind(b"\n")
        if end >= 0:
            content = b"".join([*pieces, block[:end]])
            yield LineBlock(path, first, content)
            first += content.count(b"\n") + 1
            pieces = []
        pieces.append(block[end + 1 :])
        if sum(map(len, pieces)) > MAX_LINE_BYTES:
            raise _too_long(path, first)
    if any(pieces):
        yield LineBlock(path, first, b"".join(pieces))


def _too_long(path: Path, line: int) -> DataError:
    return DataError(
        f"'{path}', line {line}: the line is too long",
        received=f"more than {MAX_LINE_BYTES:,} bytes without a line end",
        expected="one JSON object a line",
        next_step="write one object a line (a JSON array becomes lines with "
        f"`jq -c '.[]' '{path.name}'`), and keep long content in files of its own",
    )
