"""PostgreSQL's types: what each is stored as, and the expression that gives it as text.

| PostgreSQL | stored as |
| --- | --- |
| smallint, integer, bigint, oid, boolean | int |
| real, double precision, numeric | float |
| text, varchar, char, uuid, json, jsonb, xml, enum, inet, ... | string |
| bytea | bytes |
| date, timestamp, timestamptz | int: seconds since 1970-01-01 UTC, a fraction cut off |
| one-dimensional arrays of these, dates and timestamps excepted | lists |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlproject.examples.columns import LIST

_KINDS = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), "int"),
    **dict.fromkeys(("float4", "float8"), "float"),
    **dict.fromkeys(("json", "jsonb", "uuid", "xml"), "text"),
    **dict.fromkeys(("timestamp", "timestamptz"), "moment"),
    **{"bool": "bool", "numeric": "numeric", "bytea": "bytes", "date": "day"},
}
_TEXT_CATEGORIES = ("S", "E", "I")  # strings, enums, network addresses
_STORED = {"numeric": "float", "text": "string", "bytes": "bytes", "float": "float"}
_IN_LISTS = ("int", "bool", "float", "numeric", "text", "bytes")


@dataclass(frozen=True)
class PostgresType:
    """A type of a column.

    Attributes:
        name: As SQL writes it, such as "timestamp without time zone".
        kind: One of int, bool, float, numeric, text, bytes, day, moment, or "" for the rest.
        is_array: Of values of that kind.
    """

    name: str
    kind: str
    is_array: bool = False

    @property
    def column_type(self) -> str | None:
        """The column type it becomes, or None where it has no place."""
        if not self.kind or (self.is_array and self.kind not in _IN_LISTS):
            return None
        return _STORED.get(self.kind, "int") + (LIST if self.is_array else "")

    def can_be(self, column_type: str) -> bool:
        """Whether the column can be declared as a type."""
        scalar = column_type.removesuffix(LIST)
        if column_type.endswith(LIST) != self.is_array:
            return False
        if scalar == "string":
            return not (self.is_array and self.kind == "bytes")
        if self.column_type is None or self.is_array:
            numbers = self.column_type == f"int{LIST}" and scalar == "float"
            return numbers or column_type == self.column_type
        return scalar == "bytes" or self.kind != "bytes"

    def expression(self, column: str, column_type: str) -> str:
        """SQL whose text, in CSV, parses as a column type (bytes and lists: see `postgres_csv`).

        Args:
            column: The column, quoted.
            column_type: As `can_be` allows.
        """
        if self.is_array:
            return self._list_expression(column, column_type.removesuffix(LIST))
        if self.kind == "bytes":
            hexed = f"encode({column}, 'hex')"
            return hexed if column_type == "bytes" else f"convert_from({column}, 'UTF8')"
        if column_type == "bytes":
            return f"encode(convert_to({column}::text, 'UTF8'), 'hex')"
        if column_type == "string":
            return f"{column}::text"
        if self.kind in ("day", "moment"):
            # An infinite one stays a word, which is then found as a value that does not fit.
            seconds = f"floor(extract(epoch FROM {column}))::int8::text"
            return f"CASE WHEN isfinite({column}) THEN {seconds} ELSE {column}::text END"
        if self.kind == "numeric" and column_type == "int":
            return f"trim_scale({column})"
        # A real is given as the double it is, not as the decimal that is nearest to it.
        return {"bool": f"{column}::int", "float": f"{column}::float8"}.get(self.kind, column)

    def _list_expression(self, column: str, scalar: str) -> str:
        if scalar == "string":
            return f"array_to_json({column}::text[])"
        if scalar == "bytes":
            return f"array_to_json({column})"
        numbers = {"bool": f"{column}::int[]", "float": f"{column}::float8[]"}
        joined = f"array_to_string({numbers.get(self.kind, column)}, ',', 'null')"
        # A nested array would be joined flat: it stays a word too.
        return (
            f"CASE WHEN array_ndims({column}) > 1 THEN {column}::text ELSE NULLIF({joined}, '') END"
        )


def read_types(cursor: Any, oids: Iterable[int]) -> Mapping[int, PostgresType]:
    """Looks types up in the database's catalogue.

    Args:
        cursor: Of psycopg2.
        oids: The types' numbers.
    """
    cursor.execute(
        # Without a length, -1 names a type that takes any: "bpchar", where NULL says char(1).
        "SELECT t.oid, format_type(t.oid, -1), t.typname, t.typcategory, e.typname, e.typcategory"
        " FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'"
        " WHERE t.oid = ANY(%s::oid[])",
        (sorted(set(oids)),),
    )
    types = {}
    for oid, name, base, category, item, item_category in cursor.fetchall():
        of = (item, item_category) if item else (base, category)
        types[oid] = PostgresType(name, _kind(*of), is_array=item is not None)
    return types


def _kind(name: str, category: str) -> str:
    return _KINDS.get(name) or ("text" if category in _TEXT_CATEGORIES else "")
