"""What a target remembers in a file of JSON; a damaged one is an error, never a guess."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mlproject.errors import ServingError

Record = TypeVar("Record")


def read_json_record(file: Path, parse: Callable[[dict[str, Any]], Record]) -> Record | None:
    """Reads what `benison deploy` wrote; None where there is nothing.

    Args:
        file: The file.
        parse: Makes the record of the JSON object; a missing key or a wrong type may raise.

    Raises:
        ServingError: The file is damaged.
    """
    try:
        return parse(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as err:
        raise ServingError(
            "Reading what was deployed from this machine failed",
            received=f"{file}: {type(err).__name__}: {err}",
            expected="what `benison deploy` wrote there",
            next_step=f"remove {file}, then deploy again",
        ) from err
