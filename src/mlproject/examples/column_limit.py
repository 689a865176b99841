"""How many columns data may have, where every row names its own."""

from __future__ import annotations

from mlproject.errors import DataError

MAX_COLUMNS = 20_000


def check_limit(count: int, where: str) -> None:
    """Refuse data that has grown too many columns: their names are data, such as ids.

    Args:
        count: Columns found so far.
        where: The file, for the message.

    Raises:
        DataError: They are more than `MAX_COLUMNS`.
    """
    if count > MAX_COLUMNS:
        raise DataError(
            f"The rows of {where} have too many columns",
            received=f"more than {MAX_COLUMNS:,} names",
            expected="the same names in every row",
            next_step="write what varies from row to row as values, not as names",
        )
