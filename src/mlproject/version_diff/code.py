"""The recorded code of two versions, line by line."""

from __future__ import annotations

import difflib
from pathlib import Path

from mlproject.config import PROJECT_FILE
from mlproject.registry.names import CODE
from mlproject.version_diff.evidence import Evidence, read_both
from mlproject.version_diff.result import Section
from mlproject.version_diff.values import (
    ADDED,
    CHANGED,
    REMOVED,
    UNCHANGED,
    FileChange,
)

MAX_LINES = 20_000
"""Lines of a file above which no lines are compared: it takes the square of their number."""


def compare_code(before: Evidence, after: Evidence) -> Section[FileChange]:
    """Compares the module file, project.yaml and whatever else is recorded of the code."""
    found, unjudged = read_both(CODE, _read, before, after)
    if found is None:
        return Section(unjudged=unjudged)
    old, new = found
    items = tuple(_compare(n, old.get(n), new.get(n)) for n in sorted({*old, *new}))
    notes = () if PROJECT_FILE in {*old, *new} else (f"{PROJECT_FILE}: see parameters",)
    return Section(items, notes=notes)


def _read(side: Evidence) -> dict[str, bytes] | None:
    """Path -> content of every recorded file of code."""
    folder = side.path(CODE)
    if folder is None:
        return None
    files = {_name(file, folder): file for file in sorted(folder.rglob("*")) if file.is_file()}
    project = side.path(PROJECT_FILE)
    if project is not None and project.is_file():
        files[PROJECT_FILE] = project
    return {name: file.read_bytes() for name, file in files.items()} or None


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _compare(name: str, before: bytes | None, after: bytes | None) -> FileChange:
    if before == after:
        return FileChange(name, UNCHANGED)
    state = ADDED if before is None else REMOVED if after is None else CHANGED
    return FileChange(name, state, _lines(before or b"", after or b""))


def _lines(before: bytes, after: bytes) -> tuple[str, ...]:
    try:
        old, new = (side.decode("utf-8").splitlines() for side in (before, after))
    except UnicodeDecodeError:
        return ("the bytes differ; they are no UTF-8 text",)
    if max(len(old), len(new)) > MAX_LINES:
        return (f"they differ; more than {MAX_LINES:,} lines are not compared",)
    found = tuple(difflib.unified_diff(old, new, lineterm=""))[2:]
    return found or ("the ends of lines differ",)
