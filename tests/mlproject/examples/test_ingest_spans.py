"""A source with spans: windows, versions, and rows that keep their span."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlproject.errors import ConfigError, DataError
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.request import IngestRequest
from mlproject.examples.sources import find_source
from mlproject.examples.spans import Span, Window
from mlproject.examples.split_rules import ByTime, ByValue


def write_span(folder: Path, name: str, rows: range) -> None:
    (folder / name).mkdir(parents=True)
    lines = [f"{i},{i % 3}" for i in rows]
    (folder / name / "rows.csv").write_text("id,kind\n" + "\n".join(lines) + "\n")


def ingest_window(folder: Path, out: Path, window: Window, **more: object) -> Examples:
    out.mkdir()
    source = str(folder / "span-{SPAN}" / "*.csv")
    return ingest(IngestRequest(source=source, window=window, **more), out)  # type: ignore[arg-type]


def ids(out: Path, span: int) -> set[int]:
    files = out.glob(f"Split-*/span-{span:010d}.parquet")
    return {value for file in files for value in pq.read_table(file)["id"].to_pylist()}


def test_a_window_is_ingested_at_once_and_each_row_keeps_its_span(tmp_path: Path) -> None:
    for number in (8, 9, 10):
        write_span(tmp_path, f"span-{number}", range(number * 100, number * 100 + 50))
    examples = ingest_window(tmp_path, tmp_path / "out", Window(2), span_column="span")
    assert examples.spans == (Span(9), Span(10))
    assert examples.columns[-1] == ("span", "int")
    assert ids(tmp_path / "out", 9) == set(range(900, 950))
    assert ids(tmp_path / "out", 10) == set(range(1000, 1050))
    for file in examples.files:
        assert file.span is not None
        table = pq.read_table(tmp_path / "out" / f"Split-{file.split}" / file.name)
        assert table["span"].to_pylist() == [file.span.number] * file.rows
    for split, rows in examples.splits:
        assert sum(file.rows for file in examples.files if file.split == split) == rows


def test_a_row_keeps_its_split_when_the_window_moves(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_span(tmp_path, f"span-{number}", range(number * 100, number * 100 + 50))
    ingest_window(tmp_path, tmp_path / "before", Window(2, newest=2))
    ingest_window(tmp_path, tmp_path / "after", Window(2, newest=3))
    name = "Split-train/span-0000000002.parquet"
    before, after = (pq.read_table(tmp_path / folder / name) for folder in ("before", "after"))
    assert before.equals(after)


def test_the_newest_version_of_a_span_counts_and_changes_the_digest(tmp_path: Path) -> None:
    request = IngestRequest(source=str(tmp_path / "s{SPAN}" / "v{VERSION}"), window=Window(1))
    write_span(tmp_path, "s1/v9", range(50))
    before = find_source(request).digest()
    write_span(tmp_path, "s1/v10", range(100, 150))
    assert find_source(request).digest() != before
    (tmp_path / "out").mkdir()
    assert ingest(request, tmp_path / "out").spans == (Span(1, 10),)
    assert ids(tmp_path / "out", 1) == set(range(100, 150))


def test_dated_files_are_spans(tmp_path: Path) -> None:
    for day in ("2026-02-28", "2026-03-01"):
        (tmp_path / f"trips-{day}.csv").write_text(
            "id,kind\n" + "\n".join(f"{i},{day[-2:]}" for i in range(40)) + "\n"
        )
    (tmp_path / "trips-2026-02-30.csv").write_text("id,kind\n1,1\n")
    (tmp_path / "out").mkdir()
    source = "file://" + str(tmp_path / "trips-{YYYY}-{MM}-{DD}.csv")
    examples = ingest(IngestRequest(source=source, window=Window(2)), tmp_path / "out")
    assert [str(span) for span in examples.spans] == ["2026-02-28", "2026-03-01"]


def test_splits_that_come_in_different_spans_are_refused(tmp_path: Path) -> None:
    write_span(tmp_path, "train/1", range(10))
    write_span(tmp_path, "train/2", range(10))
    write_span(tmp_path, "eval/1", range(10))
    sources = tuple((n, str(tmp_path / n / "{SPAN}" / "*.csv")) for n in ("train", "eval"))
    with pytest.raises(DataError, match="different spans") as caught:
        ingest(IngestRequest(split_sources=sources), tmp_path)
    assert "train: 2; eval: 1" in str(caught.value)
    (tmp_path / "out").mkdir()
    window = Window(1, newest=1)
    examples = ingest(IngestRequest(split_sources=sources, window=window), tmp_path / "out")
    assert examples.spans == (Span(1),)


def test_rows_are_split_by_value_and_by_time(tmp_path: Path) -> None:
    write_span(tmp_path, "data", range(300))
    source = str(tmp_path / "data" / "rows.csv")
    by_value = ByValue("kind", (("eval", ("0",)), ("test", ("1",))), rest="train")
    by_time = ByTime("id", (("train", 200.0), ("eval", None)))
    for name, rule in (("value", by_value), ("time", by_time)):
        (tmp_path / name).mkdir()
        ingest(IngestRequest(source=source, split_by=rule), tmp_path / name)
    kinds = {
        split: set(pq.read_table(tmp_path / "value" / f"Split-{split}")["kind"].to_pylist())
        for split in ("train", "eval", "test")
    }
    assert kinds == {"train": {2}, "eval": {0}, "test": {1}}
    assert pq.read_table(tmp_path / "time" / "Split-train")["id"].to_pylist() == list(range(200))
    assert pq.read_table(tmp_path / "time" / "Split-eval")["id"].to_pylist() == list(
        range(200, 300)
    )


@pytest.mark.parametrize(
    ("asked", "received"),
    [
        ({"window": Window(newest="2026-03-01")}, "the span 2026-03-01"),
        ({"window": Window(newest=0)}, "the span 0"),
        ({"span_column": "day"}, "data.span_column: day"),
    ],
)
@pytest.mark.parametrize("split", [False, True], ids=["one source", "split sources"])
def test_a_span_of_data_without_spans_is_refused(
    tmp_path: Path, asked: dict[str, object], received: str, split: bool
) -> None:
    write_span(tmp_path, "all", range(50))
    source = str(tmp_path / "all")
    given = {"split_sources": (("train", source), ("eval", source))} if split else {}
    request = IngestRequest(source=None if split else source, **given, **asked)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="The data has no spans") as raised:
        ingest(request, tmp_path)
    assert raised.value.received == received
