"""Sets tags and aliases of the registry, even where another process sets the same one just now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def upsert(write: Callable[..., Any], *what: str) -> None:
    """Makes one of the MLflow client's calls that set a tag or an alias.

    MLflow looks for a row, then inserts or changes it. Of two that find none, the database takes
    one row, and MLflow answers the other BAD_REQUEST: the row is there by then, and is changed.

    Args:
        write: The call, such as `client.set_registered_model_tag`.
        what: What it takes.

    Raises:
        MlflowException: MLflow refuses it for another reason, or twice.
    """
    from mlflow.exceptions import MlflowException

    try:
        write(*what)
    except MlflowException as err:
        if err.error_code != "BAD_REQUEST":
            raise
        write(*what)
