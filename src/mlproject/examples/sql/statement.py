"""The rows that are wanted of a database, as SELECT statements over one table or query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from mlproject.errors import ConfigError, closest
from mlproject.examples.request import DatabaseQuery

Key = tuple[Any, ...]
"""The values of the key's columns in one row."""

# What a semicolon or a word may stand in without being one: quotes, comments, dollar quotes.
_QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.DOTALL
)
_SELECTS = ("select", "with", "values", "table")


class Selection:
    """A table or a query, its parameters and its order.

    Args:
        query: Of either kind.
        dialect: Of the database.

    Raises:
        ConfigError: There is no table and no query, or both; a query is no SELECT; a parameter is
            missing or unused.
    """

    def __init__(self, query: DatabaseQuery, dialect: sa.Dialect) -> None:
        if bool(query.table) == bool(query.query):
            raise ConfigError(
                "What to read from the database is not clear",
                received="a table and a query" if query.table else "neither of the two",
                expected="data.sql.table or data.sql.query",
                next_step="name one of them in project.yaml",
            )
        self._quote = dialect.identifier_preparer.quote
        self._doubles = "%%" in self._quote("%")
        self._values = dict(query.parameters)
        self._key = query.key
        self.schema, _, self.table = query.table.rpartition(".")
        if query.table:
            steps = [step for step in (self.schema, self.table) if step]
            self._source = ".".join(map(self.name, steps))
        else:
            self._source = f"(\n{_one_select(query.query, 'data.sql.query')}\n)"
        self._text = "" if query.table else _one_select(query.query, "data.sql.query")
        version = query.version_query
        self._version = version and _one_select(version, "data.sql.version_query")
        self.label = f"table '{query.table}'" if query.table else "the query"
        self._check_parameters()

    def name(self, column: str) -> str:
        """A column's name as it stands in a statement."""
        # A statement's percent signs are doubled where the driver wants it; SQLAlchemy's quoting
        # has done so already.
        quoted = self._quote(column)
        return (quoted.replace("%%", "%") if self._doubles else quoted).replace(":", r"\:")

    def none(self) -> sa.TextClause:
        """All columns and no row."""
        return self._bound(f"SELECT * FROM {self._source} q WHERE 1 = 0")

    def rows(
        self,
        columns: Iterable[str] = (),
        after: Key | None = None,
        key_types: Sequence[str] = (),
    ) -> sa.TextClause:
        """The rows, ordered by the key where there is one.

        Args:
            columns: Expressions to select, over the table or query as `q`; none for all columns.
            after: Only rows whose key is greater.
            key_types: SQL types of the key's columns, where its values are given as text.
        """
        expressions = ", ".join(columns)
        if not self._key and not expressions and self._text:
            return self._bound(self._text)  # in the order that it asks for
        where = f" WHERE {self._beyond(after, key_types)}" if after else ""
        order = f" ORDER BY {self._keys()}" if self._key else ""
        statement = f"SELECT {expressions or '*'} FROM {self._source} q{where}{order}"
        return self._bound(statement, after)

    def count_up_to(self, last: Key, key_types: Sequence[str] = ()) -> sa.TextClause:
        """How many rows have this key or a smaller one; see `rows`."""
        beyond = self._beyond(last, key_types)
        return self._bound(f"SELECT count(*) FROM {self._source} q WHERE NOT {beyond}", last)

    def version(self) -> sa.TextClause | None:
        """The version query, where there is one."""
        return self._bound(self._version) if self._version else None

    def identity(self) -> tuple[object, ...]:
        """What is asked, as plain values."""
        return self._text or f"{self.schema}.{self.table}", sorted(self._values.items())

    def _keys(self) -> str:
        return ", ".join(f"q.{self.name(column)}" for column in self._key)

    def _beyond(self, last: Key, key_types: Sequence[str]) -> str:
        marks = [f":benison_key_{number}" for number in range(len(last))]
        if key_types:
            marks = [f"CAST({m} AS {kind})" for m, kind in zip(marks, key_types, strict=True)]
        return f"({self._keys()}) > ({', '.join(marks)})"

    def _bound(self, statement: str, last: Key | None = None) -> sa.TextClause:
        clause = sa.text(statement)
        names = _parameters_of(statement)
        values = {name: value for name, value in self._values.items() if name in names}
        values |= {f"benison_key_{number}": value for number, value in enumerate(last or ())}
        return clause.bindparams(**values)

    def _check_parameters(self) -> None:
        wanted = _parameters_of(f"{self._text}\n{self._version}")
        missing = sorted(wanted - set(self._values))
        unused = sorted(set(self._values) - wanted)
        if missing:
            raise ConfigError(
                f"The query has a parameter without a value: {', '.join(missing)}",
                received=f"values for: {', '.join(self._values) or 'none'}",
                expected="a value in data.sql.parameters for every :name in the query",
                next_step=r"give it one; write '\:' for a colon that begins no parameter",
            )
        if unused:
            raise ConfigError(
                f"The query has no parameter named {', '.join(unused)}",
                received=f"data.sql.parameters: {', '.join(self._values)}",
                expected=closest(unused[0], wanted),
                next_step=f"write :{unused[0]} in the query, or drop the parameter",
            )


def _parameters_of(statement: str) -> set[str]:
    return {str(name) for name in sa.text(statement).compile().params}


def _one_select(text: str, key: str) -> str:
    """The text without a closing semicolon.

    Raises:
        ConfigError: It is not one SELECT.
    """
    text = text.strip().rstrip(";").rstrip()
    bare = _QUOTED.sub(lambda found: " " * len(found.group()), text)
    word = re.match(r"[\s(]*([a-z]*)", bare, re.IGNORECASE)
    first = word.group(1) if word else ""
    if first.lower() not in _SELECTS or ";" in bare:
        raise ConfigError(
            f"{key} is not one SELECT",
            received="several statements" if ";" in bare else f"it begins with '{first}'",
            expected="one statement that begins with SELECT or WITH, and changes nothing",
            next_step=f"correct {key} in project.yaml",
        )
    return text
