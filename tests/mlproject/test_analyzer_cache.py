"""The analyzer cache: a rolling window reads only what is new, and comes to the same graph."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.schema import parse_schema
from mlproject.transform import (
    GRAPH_FOLDER,
    AnalyzerCache,
    TransformGraph,
    analyze_examples,
    transform_examples,
)
from mlproject.transformed import Materialized

SCHEMA = """
feature { name: "x" type: FLOAT presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
feature { name: "s" type: BYTES presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
"""
CODE = """
import tensorflow_transform as tft


def preprocessing_fn(inputs):
    return {
        "x_xf": tft.scale_to_z_score(inputs["x"]),
        "range_xf": tft.scale_to_0_1(inputs["x"]),
        "s_xf": tft.compute_and_apply_vocabulary(inputs["s"], top_k=3),
        "bucket_xf": tft.bucketize(inputs["x"], 4),
    }
"""
ROWS = 60


def write_spans(folder: Path, numbers: range) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        rng = np.random.default_rng(number)
        table = pa.table(
            {"x": rng.normal(number, 2, ROWS), "s": rng.choice(list("abcdef")[: number + 2], ROWS)}
        )
        pq.write_table(table, folder / f"span-{number:010d}.parquet")
    return folder


def append(file: Path, rows: int) -> None:
    with file.open("a") as lines:
        lines.write(f"{rows}\n")


class Analysis:
    """Analyses windows of spans over one cache."""

    def __init__(self, folder: Path, module: types.ModuleType) -> None:
        self._folder, self._module = folder, module
        self.rows: list[int] = []

    def run(self, numbers: range, function: str | None, digest: str = "d") -> TransformGraph:
        """The graph of a window; `self.rows` gets the rows that were read."""
        place = self._folder / f"run-{len(list(self._folder.iterdir()))}"
        split = write_spans(place / "Split-train", numbers)
        spans = {file.name: f"{file.stem}-{digest}" for file in split.iterdir()}
        cache = AnalyzerCache(self._folder / "cache", function, spans) if function else None
        seen = place / "rows-read"  # a file: Beam calls a pickled copy of what it is given
        seen.write_text("0\n")
        analyze_examples(
            split,
            parse_schema(SCHEMA, "here"),
            self._module.preprocessing_fn,
            place / "project.py",
            place,
            place / "temp",
            lambda rows: append(seen, rows),
            cache=cache,
        )
        self.rows.append(max(map(int, seen.read_text().split())))
        return TransformGraph(place / GRAPH_FOLDER)

    def apply(self, graph: TransformGraph) -> dict[str, np.ndarray[Any, Any]]:
        """What a graph makes of some rows."""
        place = self._folder / f"apply-{len(list(self._folder.iterdir()))}"
        split = write_spans(place / "Split-eval", range(3, 5))
        transform_examples(split, graph, place / "rows", place)
        (rows,) = Materialized(sorted((place / "rows").iterdir())).columns()
        return rows


@pytest.fixture
def analysis(tmp_path: Path, load_code: Callable[[str], types.ModuleType]) -> Analysis:
    return Analysis(tmp_path, load_code(CODE))


def assert_same(ours: dict[str, Any], plain: dict[str, Any]) -> None:
    assert set(ours) == set(plain)
    for name, values in plain.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_a_rolling_window_reads_the_new_span_only_and_gives_the_same_graph(
    analysis: Analysis,
) -> None:
    analysis.run(range(0, 3), "f1")
    rolled = analysis.run(range(1, 4), "f1")
    again = analysis.run(range(1, 4), "f1")
    changed = analysis.run(range(1, 4), "f2")
    plain = analysis.run(range(1, 4), None)
    assert analysis.rows == [3 * ROWS, ROWS, 0, 3 * ROWS, 3 * ROWS]
    wanted = analysis.apply(plain)
    for graph in (rolled, again, changed):
        assert_same(analysis.apply(graph), wanted)


@pytest.mark.slow
def test_a_span_whose_content_changed_is_analysed_again(analysis: Analysis) -> None:
    analysis.run(range(0, 2), "f1")
    analysis.run(range(0, 2), "f1", digest="e")
    assert analysis.rows == [2 * ROWS, 2 * ROWS]


def test_entries_are_kept_whole_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlproject.transform import analysis as module

    monkeypatch.setattr(module, "KEPT_SPANS", 2)
    monkeypatch.setattr(module, "KEPT_FUNCTIONS", 1)
    for number, function in enumerate(["old", "new", "new", "new"]):
        written = tmp_path / f"written-{number}"
        (written / f"span-{number}").mkdir(parents=True)
        (written / f"span-{number}" / "0").write_text(str(number))
        AnalyzerCache(tmp_path / "cache", function, {}).keep(written)
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["new"]
    left = sorted(entry.name for entry in (tmp_path / "cache" / "new").iterdir())
    assert left == ["span-2", "span-3"]
