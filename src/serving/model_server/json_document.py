"""The body of a request as a JSON object, read the way TensorFlow Serving reads it.

Beyond the JSON standard: `NaN`, `Infinity` and `-Infinity` are numbers, and a byte order mark is
skipped. A body that is no JSON is refused in the words of the parser that TensorFlow Serving uses
(RapidJSON). Of a key that stands twice the last one counts; there it is the first.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from serving.model_server.json_faults import quote
from serving.model_server.status import StatusError, invalid

# A body of one list, with or without a signature's name; what stands between is cut at rows.
_ONE_LIST = re.compile(
    rb'\s*\{\s*(?:"signature_name"\s*:\s*"(?P<signature>[^"\\]*)"\s*,\s*)?'
    rb'"(?P<key>instances|inputs)"\s*:\s*\[(?=\s*[\[{])'
)
_ONE_LIST_END = re.compile(rb"\]\s*\}\s*\Z")
_ROW_ENDS = (b"],[", b"], [", b"},{", b"}, {")
_PIECE_BYTES = 256 * 1024
_LARGE_BYTES = 4 * _PIECE_BYTES
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_LOOK_BACK_CHARS = 1_000_000
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# What Python's parser says, and what RapidJSON says of the same place.
_TEXTS = {
    "Expecting value": "Invalid value.",
    "Extra data": "The document root must not be followed by other values.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body.

    Raises:
        StatusError: INVALID_ARGUMENT when it is no JSON, or no object.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    document = _parse_in_pieces(body) if len(body) > _LARGE_BYTES else None
    if document is None:
        document = _parse(body)
    if type(document) is not dict:
        raise invalid(f"JSON Value: {quote(document)} Is not object")
    return document


def _parse_in_pieces(body: bytes) -> dict[str, Any] | None:
    """Parse the rows of a large body some at a time, so that other threads get their turns.

    orjson holds Python's lock (10 ms for each megabyte). Where the pieces of the list's text are
    lists of values by themselves, together they are the list; a cut at a wrong place, inside a
    string or a nested list, makes pieces that are not, and the body is parsed as a whole.
    """
    begin, end = _ONE_LIST.match(body), _ONE_LIST_END.search(body, len(body) - 64)
    if begin is None or end is None:
        return None
    rows: list[Any] = []
    at = begin.end()
    row_end = _row_end(body[at : at + _PIECE_BYTES])
    if row_end is None:
        return None
    while at < end.start():
        cut = body.find(row_end, min(at + _PIECE_BYTES, end.start()), end.start())
        last = cut < 0
        cut = end.start() if last else cut + 1
        try:
            rows += orjson.loads(b"[" + body[at:cut] + b"]")
        except orjson.JSONDecodeError:
            return None
        at = cut + (0 if last else row_end.index(b",", 1))
    document: dict[str, Any] = {begin["key"].decode(): rows}
    if begin["signature"] is not None:
        try:
            document["signature_name"] = begin["signature"].decode()
        except UnicodeDecodeError:
            return None
    return document


def _row_end(text: bytes) -> bytes | None:
    """What stands between two rows: the first of the ways to write it that is there."""
    found = [(text.find(end), end) for end in _ROW_ENDS if end in text]
    return min(found)[1] if found else None


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as err:
        # orjson keeps to the standard, which has no NaN and Infinity; the slower parser has them.
        if b"NaN" not in body and b"Infinity" not in body:
            raise _parse_error(body, str(err)) from err
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as err:
        raise _parse_error(body, str(err)) from err


def _parse_error(body: bytes, reason: str) -> StatusError:
    text = body.decode("utf-8", "surrogateescape")
    if not text.strip():
        return invalid("JSON Parse error: The document is empty. at offset: 0")
    try:
        json.loads(text)
    except json.JSONDecodeError as err:
        said = _TEXTS.get(err.msg)
        if err.msg == "Expecting ',' delimiter":
            said = _missing_comma(text[: err.pos])
        reason = f"{said or err.msg} at offset: {err.pos}"
    except (ValueError, RecursionError):  # a number of thousands of digits; nested too deep
        pass
    return invalid(f"JSON Parse error: {reason}")


def _missing_comma(before: str) -> str:
    """Tell whether the place after `before` is in an object or in an array."""
    brackets = re.sub(r"[^\[\]{}]", "", _STRING.sub("", before[-_MAX_LOOK_BACK_CHARS:]))
    open_ones: list[str] = []
    for bracket in brackets:
        if bracket in "[{":
            open_ones.append(bracket)
        elif open_ones:
            open_ones.pop()
    if open_ones and open_ones[-1] == "{":
        return "Missing a comma or } after an object member."
    return "Missing a comma or ] after an array element."
