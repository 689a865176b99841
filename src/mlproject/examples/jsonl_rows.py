"""Lines of JSON as rows, and what is wrong with a line that is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from mlproject.errors import DataError
from mlproject.examples.jsonl_lines import LineBlock

Row = dict[str, Any]


@dataclass(frozen=True)
class RowBlock:
    """Some rows that follow each other in a file.

    Attributes:
        path: The file.
        lines: The text of each row, as bytes of UTF-8.
        numbers: The number of the line that each row stands in, from 1.
        rows: The rows as orjson reads them: a whole number beyond 64 bits became a float.
    """

    path: Path
    lines: Sequence[bytes]
    numbers: Sequence[int]
    rows: Sequence[Row]

    def exact_rows(self) -> list[Row]:
        """The rows with whole numbers of any size.

        Raises:
            DataError: A value is nested too deep.
        """
        return self._read_again(json.loads)

    def spelled_rows(self) -> list[Row]:
        """The rows with every number as the text that the file spells it with.

        Raises:
            DataError: A value is nested too deep.
        """
        return self._read_again(partial(json.loads, parse_int=str, parse_float=str))

    def fault(self, row: int, what: str) -> str:
        """The place and the fault of a row, for a message."""
        return f"'{self.path}', line {self.numbers[row]}: {what}"

    def _read_again(self, read: Callable[[bytes], Row]) -> list[Row]:
        rows: list[Row] = []
        try:
            rows.extend(map(read, self.lines))
        except RecursionError as err:
            raise DataError(
                self.fault(len(rows), "a value is nested too deep"),
                received=shorten(self.lines[len(rows)]),
                expected="an object of numbers, texts, and lists of them",
                next_step="write its values as columns of their own",
            ) from err
        return rows


def parse(block: LineBlock) -> RowBlock:
    """Read lines as rows; blank lines are left out.

    Raises:
        DataError: A line is not one JSON object, or has a key twice.
    """
    lines: Sequence[bytes] = block.content.split(b"\n")
    numbers: Sequence[int] = range(block.first, block.first + len(lines))
    try:
        rows = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:  # a blank line, if not worse
        there = [at for at, line in enumerate(lines) if line.strip()]
        numbers = [numbers[at] for at in there]
        lines = [lines[at] for at in there]
        rows = [
            _parsed(block.path, number, line) for number, line in zip(numbers, lines, strict=True)
        ]
    parsed = RowBlock(block.path, lines, numbers, rows)
    if set(map(type, rows)) - {dict}:
        raise _not_an_object(parsed)
    if _may_repeat_keys(block.content, sum(map(len, rows))):
        _check_keys(parsed)
    return parsed


def _parsed(path: Path, number: int, line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as err:
        raise _broken(path, number, line, err) from err


def _may_repeat_keys(content: bytes, keys: int) -> bool:
    """Whether a row may name a key twice, of which orjson keeps the last in silence.

    Every key ends in a quote and a colon. There may be more of these pairs, in texts; if there
    are just as many as keys were kept, then none was lost.
    """
    text = np.frombuffer(content, np.uint8)
    before = text[np.flatnonzero(text == ord(":")) - 1]
    spaced = bool((before <= ord(" ")).any())  # `"key" :` is allowed
    return spaced or np.count_nonzero(before == ord('"')) != keys


def _check_keys(block: RowBlock) -> None:
    for at, line in enumerate(block.lines):
        try:
            json.loads(line, object_pairs_hook=_refuse_repeated)
        except _RepeatedKey as err:
            raise DataError(
                block.fault(at, f"key '{shorten(str(err))}' stands there twice"),
                received=shorten(line),
                expected="every key once in an object",
                next_step="drop or rename one of them",
            ) from err
        except RecursionError:  # nested so deep that it is refused for its type
            continue


class _RepeatedKey(Exception):  # noqa: N818 - a finding, turned into a DataError
    """A key stands twice in an object."""


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> Row:
    row: Row = {}
    for key, value in pairs:
        if key in row:
            raise _RepeatedKey(key)
        row[key] = value
    return row


def _not_an_object(block: RowBlock) -> DataError:
    at = next(at for at, row in enumerate(block.rows) if type(row) is not dict)
    return DataError(
        block.fault(at, "the line is no JSON object"),
        received=shorten(block.lines[at]),
        expected='one object a line, like {"price": 12.5, "name": "x"}',
        next_step=_unpack_array(block.path)
        if isinstance(block.rows[at], list)
        else "give the value a key",
    )


def _broken(path: Path, number: int, line: bytes, err: orjson.JSONDecodeError) -> DataError:
    what, next_step = "the line is not JSON", "write the line again"
    for found, meaning, advice in _HINTS:
        if found(line.strip()):
            what, next_step = meaning, advice(path)
            break
    return DataError(
        f"'{path}', line {number}: {what}",
        received=f"{shorten(line)} ({err.msg} at character {err.pos + 1:,})",
        expected='one JSON object a line, in UTF-8, like {"price": 12.5, "name": "x"}',
        next_step=next_step,
    )


def _is_not_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _has_odd_number(line: bytes) -> bool:
    found: list[str] = []
    try:
        json.loads(line, parse_constant=found.append)
    except (ValueError, RecursionError):
        return False
    return bool(found)


def _unpack_array(path: Path) -> str:
    return f"write a line for each element: jq -c '.[]' '{path}'"


_Hint = tuple[Callable[[bytes], bool], str, Callable[[Path], str]]
_HINTS: tuple[_Hint, ...] = (
    (
        lambda line: b"\0" in line,
        "the line holds NUL bytes, so it is not UTF-8 text",
        lambda path: f"convert it with: iconv -f UTF-16 -t UTF-8 '{path}'",
    ),
    (
        _is_not_utf8,
        "bytes that are not UTF-8",
        lambda path: (
            f"re-encode it, for Western text with: iconv -f WINDOWS-1252 -t UTF-8 '{path}'"
        ),
    ),
    (
        _has_odd_number,
        "the line holds NaN or Infinity, which JSON has not",
        lambda path: "write null for a number that is missing",
    ),
    (
        lambda line: line.startswith(b"["),
        "the line begins a JSON array",
        _unpack_array,
    ),
    (
        lambda line: line == b"{" or line.startswith(b'"') or line.endswith(b","),
        "the line holds a part of an object",
        lambda path: f"write each object in one line: jq -c . '{path}'",
    ),
)


def shorten(text: bytes | str) -> str:
    """The beginning of a text, for a message."""
    shown = text if isinstance(text, str) else text[:200].decode(errors="replace")
    return shown if len(shown) <= 80 else shown[:77] + "..."
