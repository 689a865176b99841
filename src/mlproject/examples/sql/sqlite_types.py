"""The types that a SQLite database declares for the columns of a table or query.

SQLite stores a value of any type in any column; what the column is declared as says what is meant.
https://www.sqlite.org/datatype3.html#determination_of_column_affinity
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from mlproject.examples.sql.values import MOMENT

_VIEW = "benison_rows"
# The first word found in the declared type decides; "INT" before all others, as in SQLite itself.
_KINDS = (
    ("INT", "int"),
    ("CHAR", "string"),
    ("CLOB", "string"),
    ("TEXT", "string"),
    ("JSON", "string"),
    ("UUID", "string"),
    ("BLOB", "bytes"),
    ("REAL", "float"),
    ("FLOA", "float"),
    ("DOUB", "float"),
    ("NUMERIC", "float"),
    ("DECIMAL", "float"),
    ("BOOL", "int"),
    ("DATE", MOMENT),
    ("TIMESTAMP", MOMENT),
)


def kind_of(declared: str) -> str:
    """What a declared type means, or "" where it says nothing."""
    upper = declared.upper()
    return next((kind for word, kind in _KINDS if word in upper), "")


def declared_kinds(connection: sa.Connection, select: sa.TextClause) -> Mapping[str, str]:
    """Column name and what it is declared as; "" for expressions and columns without a type.

    Args:
        connection: To the database; its file may be read-only.
        select: The SELECT; its parameters count for nothing.
    """
    blank = sa.text(select.text).bindparams(**dict.fromkeys(select.compile().params, 0))
    text = blank.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    # A view is the only way to ask SQLite for the declared types of a query's columns.
    connection.exec_driver_sql(f"CREATE TEMP VIEW {_VIEW} AS {text}")
    found = connection.exec_driver_sql(f"PRAGMA temp.table_info({_VIEW})").all()
    return {row.name: kind_of(row.type) for row in found}
