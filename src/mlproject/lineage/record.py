"""What the tags of a version say about where it came from. Pure; tags may be anybody's."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    COPIED_FROM_TAG,
    ROWS_TAG,
    RUN_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
)
from mlproject.registry.values import VersionInfo

_EPOCH = datetime.date(1970, 1, 1)
# `benison copy` writes URI/NAME/VERSION.
_COPIED = re.compile(r"(?P<registry>.+)/(?P<name>[^/@]+)/(?P<version>\d{1,9})", re.DOTALL)


def key_of(name: str, number: int) -> str:
    """The key of a version's node: `taxi/7`."""
    return f"{name}/{number}"


def step_runs(version: VersionInfo) -> dict[str, str]:
    """Step -> the MLflow run in which its artifact was made."""
    return {
        tag.removeprefix(RUN_TAG): run_id
        for tag, run_id in version.tags.items()
        if tag.startswith(RUN_TAG) and run_id
    }


def source_uris(version: VersionInfo) -> dict[str, str]:
    """Split (empty: a rule splits) -> where its rows were."""
    return {split: str(uri) for split, uri in _object(version.tags.get(SOURCE_URI_TAG)).items()}


def rows_by_split(version: VersionInfo) -> dict[str, int]:
    """Split -> number of its rows."""
    found = _object(version.tags.get(ROWS_TAG))
    return {split: rows for split, rows in found.items() if isinstance(rows, int)}


def span_names(version: VersionInfo) -> tuple[str, ...]:
    """The spans of its data, as people name them; empty where it has none."""
    names = []
    for span in _json(version.tags.get(SPANS_TAG), list):
        match span:
            case [int(number), (int() | None) as of, bool(dated)]:
                name = _day(number) if dated else str(number)
                names.append(name if of is None else f"{name} (version {of})")
    return tuple(names)


def parent_of(version: VersionInfo) -> int | None:
    """The version whose weights its training began with; None for a copy.

    The numbers in a copy's tags are those of the registry that it was copied from.
    """
    return None if copied_from(version) else _number(version.tags.get(BASE_TAG))


def baseline_of(version: VersionInfo) -> int | None:
    """The version that its evaluation compared it with; None for a copy."""
    return None if copied_from(version) else _number(version.tags.get(BASELINE_TAG))


def copied_from(version: VersionInfo) -> tuple[str, str, int] | None:
    """The registry, name and number that it is a copy of."""
    match = _COPIED.fullmatch(version.tags.get(COPIED_FROM_TAG, ""))
    return (match["registry"], match["name"], int(match["version"])) if match else None


def _day(number: int) -> str:
    try:
        return str(_EPOCH + datetime.timedelta(number))
    except OverflowError:
        return str(number)


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else None


def _object(text: str | None) -> Mapping[str, Any]:
    found = _json(text, dict)
    return {str(name): value for name, value in found.items()}


def _json(text: str | None, kind: type[Any]) -> Any:
    """The JSON of a tag; an empty value where it is missing or something else."""
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return kind()
    return found if isinstance(found, kind) else kind()
