"""Ingests a file with some content, for the tests of every format, and reads what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlproject.errors import DataError, PlatformError
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import IngestRequest


def ingest_file(folder: Path, name: str, content: str | bytes, **request: Any) -> Examples:
    """The Examples of a file, in `folder/out`."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return ingest(IngestRequest(source=str(path), **request), out)


def refusal_of(
    folder: Path,
    name: str,
    content: str | bytes,
    error: type[PlatformError] = DataError,
    **request: Any,
) -> str:
    """The message with which a file is refused; it says what to do."""
    with pytest.raises(error) as raised:
        ingest_file(folder, name, content, **request)
    assert raised.value.expected
    assert raised.value.next_step
    return str(raised.value)


def table(folder: Path) -> pa.Table:
    """The rows of all splits."""
    batches = [b for split in sorted((folder / "out").iterdir()) for b in read_batches(split)]
    return pa.Table.from_batches(batches)


def column(folder: Path, name: str) -> dict[Any, Any]:
    """The values of a column, by the column `id`."""
    rows = table(folder)
    return dict(zip(rows["id"].to_pylist(), rows[name].to_pylist(), strict=True))
