"""The text of a reviewed schema: what did not change keeps its wording, its place and its comments.

A protobuf printer drops comments and lays everything out anew. Here a file is cut into its
top-level entries; an entry that still says the same is kept as it stands, a changed one is written
anew under the comment before it, new ones follow at the end. The text depends on the schema and
the old text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlproject.errors import ConfigError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

LINE_WIDTH = 100
# A text in quotes, a comment, or one character.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*|[\s\S]')
_OPENING, _CLOSING = "{<[", "}>]"
_FIRST = ("name", "type", "lifecycle_stage", "presence", "shape", "value_count")


@dataclass(frozen=True)
class Entry:
    """A top-level entry of a schema's text.

    Attributes:
        before: Comments and space before it.
        text: The entry itself, up to the end of its last line.
        schema: A schema with this entry alone.
    """

    before: str
    text: str
    schema: Schema

    @property
    def key(self) -> tuple[str, str]:
        """The field, and the name of what it holds."""
        ((field, value),) = _values(self.schema)
        return field.name, _name(value)


def format_schema(schema: Schema) -> str:
    """The text of a schema: one line for each rule, features in the schema's order."""
    return "".join(_written(schema, field, [value]) for field, value in _values(schema))


def rewrite_schema(text: str, schema: Schema) -> str:
    """The text of a file after its schema has changed.

    Args:
        text: The file's text as it is; "" for a new file.
        schema: What it shall say.
    """
    header, entries = _header(text), _entries(text)
    if entries is not None:
        kept = _keep_entries(entries, schema, header)
        kept = None if kept is None else kept + _tail(text, entries)
        if kept is not None and _parse(kept) == schema:
            return kept
    return header + format_schema(schema)


def _keep_entries(entries: list[Entry], schema: Schema, header: str) -> str | None:
    """The old entries in their order, each as it was or anew; what is new behind its like."""
    wanted: dict[tuple[str, str], tuple[Any, list[Any]]] = {}
    for field, one in _values(schema):
        key = (field.name, _name(one))
        if key in wanted and key[1]:
            return None  # two of one name
        wanted.setdefault(key, (field, []))[1].append(one)
    there: dict[tuple[str, str], list[Any]] = {}
    for entry in entries:
        there.setdefault(entry.key, []).extend(one for _, one in _values(entry.schema))
    parts: list[tuple[str, str]] = [("", header)]
    written: set[tuple[str, str]] = set()
    for number, entry in enumerate(entries):
        before = entry.before if number else entry.before.removeprefix(header)
        if entry.key not in wanted:
            continue
        field, values = wanted[entry.key]
        if there[entry.key] == values:
            parts.append((field.name, before + entry.text))
        elif entry.key not in written:
            parts.append((field.name, before + _written(schema, field, values)))
        written.add(entry.key)
    for key, (field, values) in wanted.items():
        if key not in written:
            like = [place for place, (name, _) in enumerate(parts) if name == field.name]
            place = like[-1] + 1 if like else len(parts)
            parts.insert(place, (field.name, _written(schema, field, values)))
    return "".join(text for _, text in parts)


def _values(message: Any) -> Iterator[tuple[Any, Any]]:
    """Each field and one of its values; a map counts as one value."""
    for field, value in message.ListFields():
        if _is_repeated(field) and not _is_map(field):
            yield from ((field, one) for one in value)
        else:
            yield field, value


def _name(value: Any) -> str:
    return str(getattr(value, "name", ""))


def _written(schema: Schema, field: Any, values: list[Any]) -> str:
    return "".join(f"{line}\n" for one in values for line in _lines(schema, field, one, ""))


def _lines(message: Any, field: Any, value: Any, indent: str) -> Iterator[str]:
    """The lines of one value of a field; a message in one line where that is short."""
    if _is_map(field) or field.message_type is None:
        yield f"{indent}{_scalar(message, field, value)}"
        return
    inner = [
        line
        for own, one in sorted(_values(value), key=_place)
        for line in _lines(value, own, one, f"{indent}  ")
    ]
    short = f"{indent}{field.name} {{ {' '.join(line.strip() for line in inner)} }}"
    has_blocks = field.name in ("feature", "string_domain")
    if not has_blocks and len(short) <= LINE_WIDTH and not any("#" in line for line in inner):
        yield short if inner else f"{indent}{field.name} {{ }}"
        return
    yield f"{indent}{field.name} {{"
    yield from inner
    yield f"{indent}}}"


def _scalar(message: Any, field: Any, value: Any) -> str:
    """`field: value`, floats with the digits that tell them apart and no more."""
    from google.protobuf import text_format

    if isinstance(value, float) and np.isfinite(value):
        short = np.float32(value) if field.type == field.TYPE_FLOAT else np.float64(value)
        return f"{field.name}: {short!s}"
    alone = type(message)()
    if _is_map(field):
        getattr(alone, field.name).MergeFrom(value)
    elif _is_repeated(field):
        getattr(alone, field.name).append(value)
    else:
        setattr(alone, field.name, value)
    return str(text_format.MessageToString(alone, as_one_line=True, as_utf8=True)).strip()


def _place(item: tuple[Any, Any]) -> tuple[int, int]:
    field, _ = item
    return (_FIRST.index(field.name) if field.name in _FIRST else len(_FIRST), field.number)


def _header(text: str) -> str:
    """The comment lines that a file starts with."""
    match = re.match(r"(?:[ \t]*#[^\n]*\n)*", text)
    return match.group() if match else ""


def _tail(text: str, entries: list[Entry]) -> str:
    """What stands after the last entry: comments."""
    return text[sum(len(entry.before) + len(entry.text) for entry in entries) :] if entries else ""


def _entries(text: str) -> list[Entry] | None:
    """The top-level entries, or None where the text cannot be cut safely."""
    entries: list[Entry] = []
    for before, own in _cut(text):
        schema = _parse(own)
        if schema is None or len(list(_values(schema))) != 1:
            return None
        entries.append(Entry(before, own, schema))
    return entries


def _cut(text: str) -> Iterator[tuple[str, str]]:
    """Each top-level entry, and what stands before it.

    An entry ends with the line on which its last bracket closes, or its value ends.
    """
    before = own = ""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        blank = token.isspace() or token.startswith("#")
        if not own and blank:
            before += token
            continue
        own += token
        depth += (token in _OPENING) - (token in _CLOSING)
        if token == "\n" and depth == 0 and _is_whole(own):
            yield before, own
            before = own = ""
    if own:
        yield before, own if own.endswith("\n") else own + "\n"


def _is_whole(own: str) -> bool:
    """Whether an entry outside brackets needs no further line: `name:` alone does."""
    bare = re.sub(r"#[^\n]*", "", own).strip()
    return not re.fullmatch(r"\w+\s*:?", bare)


def _parse(text: str) -> Schema | None:
    from mlproject.schema import parse_schema

    try:
        return parse_schema(text, "")
    except ConfigError:
        return None


def _is_repeated(field: Any) -> bool:
    return bool(field.label == field.LABEL_REPEATED)


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)
