"""Folders of evidence, laid down as the step `register` lays them down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlproject.evaluation.files import write_differences, write_metrics
from mlproject.metrics import Difference, MetricRow
from mlproject.version_diff import Evidence

Lay = Callable[..., Evidence]


def write_evidence(
    folder: Path,
    number: int = 1,
    name: str = "taxi",
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    config: Any = None,
    schema: str | None = None,
    metrics: Sequence[MetricRow] | None = None,
    differences: Sequence[Difference] | None = None,
    code: Mapping[str, str | bytes] | None = None,
    statistics: Mapping[str, Any] | None = None,
) -> Evidence:
    """Writes what is given of a version, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if schema is not None:
        (folder / "schema.pbtxt").write_text(schema, encoding="utf-8")
    if metrics is not None:
        write_metrics(metrics, folder)
    if differences is not None:
        write_differences(differences, folder)
    for path, content in (code or {}).items():
        file = folder / ("" if path == "project.yaml" else "code") / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for split, made in (statistics or {}).items():
        from mlproject.statistics.files import split_folder, write_statistics

        write_statistics(made, split_folder(folder / "statistics", split))
    return Evidence(name, number, tags or {}, folder, params)


@pytest.fixture(scope="session")
def lay_down() -> Lay:
    """Lays the evidence of a version down in the folder that is given first."""
    return write_evidence


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Lays the evidence of a version down in a folder of its own."""
    made = iter(range(100))

    def in_new_folder(number: int = 1, **parts: Any) -> Evidence:
        return write_evidence(tmp_path / f"evidence-{next(made)}", number, **parts)

    return in_new_folder


@pytest.fixture
def make_statistics() -> Callable[..., Any]:
    """Statistics of columns with one value a row, None for a missing one."""

    def make(**columns: Sequence[Any]) -> Any:
        from mlproject.statistics import statistics_of_batches

        lists = {
            name: [None if value is None else [value] for value in values]
            for name, values in columns.items()
        }
        return statistics_of_batches([pa.RecordBatch.from_pydict(lists)])

    return make
