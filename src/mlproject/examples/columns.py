"""The columns of Examples: their names, and the types they are stored in.

A cell is one value (`int`, `float`, `string`, `bytes`) or a list of values (`float list`, ...).
A missing value is a null; a list without values is missing too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError, DataError, closest

if TYPE_CHECKING:
    import pyarrow as pa

SCALAR_TYPES = ("int", "float", "string", "bytes")
LIST = " list"
COLUMN_TYPES = (*SCALAR_TYPES, *(f"{scalar}{LIST}" for scalar in SCALAR_TYPES))

Columns = tuple[tuple[str, str], ...]
"""Name and type (one of `COLUMN_TYPES`) of every column, in file order."""


def arrow_type(column_type: str) -> pa.DataType:
    """The Arrow type that a column type is stored in: int64, double, string, binary, or a list."""
    import pyarrow as pa

    if column_type.endswith(LIST):
        return pa.list_(arrow_type(column_type.removesuffix(LIST)))
    types = {
        "int": pa.int64(),
        "float": pa.float64(),
        "string": pa.string(),
        "bytes": pa.binary(),
    }
    return types[column_type]


def arrow_schema(columns: Columns) -> pa.Schema:
    """The Arrow schema of stored Examples."""
    import pyarrow as pa

    return pa.schema([(name, arrow_type(column_type)) for name, column_type in columns])


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse column names that cannot be told apart or addressed.

    Args:
        names: The names in file order.
        where: The file, for the message.

    Raises:
        DataError: A name is empty or stands twice.
    """
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise DataError(
                f"Column {position} of {where} has no name",
                received=f"header {_quoted(names)}",
                expected="a name for every column",
                next_step="name the column in the header, or drop the column",
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        positions = [str(i) for i, name in enumerate(names, start=1) if name == twice[0]]
        raise DataError(
            f"Column '{twice[0]}' stands {len(positions)} times in {where}",
            received=f"'{twice[0]}' as columns {', '.join(positions)}",
            expected="every column name once",
            next_step="rename or drop one of them",
        )


def check_same_names(
    names: Sequence[str], where: str, first: Sequence[str], first_file: str
) -> None:
    """Refuse a file whose columns are not those of the first file.

    Raises:
        DataError: Names the file and the first difference.
    """
    missing = [name for name in first if name not in names]
    extra = [name for name in names if name not in first]
    differences = [f"'{name}' is missing" for name in missing]
    differences += [f"'{name}' is not in {first_file}" for name in extra]
    if differences:
        raise DataError(
            f"The columns of {where} are not those of {first_file}",
            received="; ".join(differences[:5]),
            expected=f"the same columns in every file of a source: {_quoted(first)}",
            next_step=f"make the columns of {where} equal, or move it out of the source",
        )


def check_declared(declared: Mapping[str, str], names: Iterable[str]) -> None:
    """Refuse declared column types that name no column, or no type.

    Raises:
        ConfigError: With the closest valid name.
    """
    known = list(names)
    for name, column_type in declared.items():
        if name not in known:
            raise ConfigError(
                "data.column_types names a column that the data does not have",
                received=f"'{name}'",
                expected=closest(name, known),
                next_step="correct data.column_types in project.yaml",
            )
        if column_type not in COLUMN_TYPES:
            raise ConfigError(
                f"data.column_types gives column '{name}' an unknown type",
                received=f"'{column_type}'",
                expected=closest(column_type, COLUMN_TYPES),
                next_step="correct data.column_types in project.yaml",
            )


def check_key(key: Sequence[str], names: Iterable[str]) -> None:
    """Refuse a split key that names no column.

    Raises:
        ConfigError: With the closest valid name.
    """
    known = list(names)
    for name in key:
        if name not in known:
            raise ConfigError(
                "The split key names a column that the data does not have",
                received=f"'{name}'",
                expected=closest(name, known),
                next_step="correct the split key in project.yaml",
            )


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")
