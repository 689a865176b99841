"""Examples written out come back as the same Examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.errors import ConfigError, DataError
from mlproject.examples.export import export_examples
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.request import IngestRequest
from mlproject.examples.spans import Window

ROWS = 200


def write_source(folder: Path, **more: pa.Array) -> Path:
    columns = {
        "id": pa.array(range(ROWS), pa.int64()),
        "fare": pa.array([None if i % 7 == 0 else i / 3 for i in range(ROWS)]),
        "city": pa.array([None if i % 5 == 0 else f'"O", {i}\nslo é' for i in range(ROWS)]),
        **more,
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


def ingested(source: str, out: Path, **request: Any) -> Examples:
    out.mkdir()
    return ingest(IngestRequest(source=source, **request), out)


def files_of(examples: Examples, folder: Path) -> list[tuple[str, Path, int | None]]:
    return [
        (f.split, folder / f"Split-{f.split}" / f.name, f.span.number if f.span else None)
        for f in examples.files
    ]


LISTS = {
    "vec": pa.array([None if i % 4 == 0 else [1.5, i / 2] for i in range(ROWS)]),
    "raw": pa.array([b"\xff\x00" * (i % 3 + 1) for i in range(ROWS)], pa.binary()),
}


@pytest.mark.parametrize(
    ("kind", "suffix", "more"),
    [
        ("tfrecord", "data_tfrecord-00000-of-00001.gz", LISTS),
        ("parquet", "examples-00000.parquet", LISTS),
        ("csv", "examples-00000.csv", {}),
    ],
)
def test_an_export_is_ingested_again_with_the_same_digests(
    kind: str, suffix: str, more: dict[str, pa.Array], tmp_path: Path
) -> None:
    before = ingested(str(write_source(tmp_path, **more)), tmp_path / "one")
    written = export_examples(files_of(before, tmp_path / "one"), kind, tmp_path / "out" / "all")
    assert {file.path.name for file in written} == {suffix}
    assert [file.rows for file in written] == [file.rows for file in before.files]
    sources = tuple((s, str(tmp_path / f"out/all/Split-{s}/*")) for s, _ in before.splits)
    (tmp_path / "two").mkdir()
    request = IngestRequest(split_sources=sources, format=kind)
    after = ingest(request, tmp_path / "two")
    assert dict(after.split_digests) == dict(before.split_digests)
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "all"]


def test_tensorflow_reads_the_records(tmp_path: Path) -> None:
    import tensorflow as tf

    before = ingested(str(write_source(tmp_path)), tmp_path / "one")
    (train, _) = export_examples(files_of(before, tmp_path / "one"), "tfrecord", tmp_path / "out")
    records = tf.data.TFRecordDataset(str(train.path), compression_type="GZIP")
    spec = {"id": tf.io.FixedLenFeature([], tf.int64), "fare": tf.io.VarLenFeature(tf.float32)}
    parsed = [tf.io.parse_single_example(record, spec) for record in records]
    table = pq.read_table(tmp_path / "one" / "Split-train")
    assert [int(row["id"]) for row in parsed] == table["id"].to_pylist()
    assert [len(row["fare"].values) for row in parsed] == [
        int(fare is not None) for fare in table["fare"].to_pylist()
    ]


def test_spans_are_exported_as_spans(tmp_path: Path) -> None:
    for span in (1, 2):
        (tmp_path / f"span-{span}").mkdir()
        write_source(tmp_path / f"span-{span}")
    source = str(tmp_path / "span-{SPAN}" / "*.parquet")
    before = ingested(source, tmp_path / "one", window=Window(2))
    export_examples(files_of(before, tmp_path / "one"), "csv", tmp_path / "out")
    sources = tuple(
        (split, str(tmp_path / "out" / "span-{SPAN}" / f"Split-{split}" / "*.csv"))
        for split, _ in before.splits
    )
    (tmp_path / "two").mkdir()
    after = ingest(IngestRequest(split_sources=sources, window=Window(2)), tmp_path / "two")
    assert after.spans == before.spans
    assert after.split_digests == before.split_digests


def test_a_folder_that_holds_something_is_left_alone_unless_asked(tmp_path: Path) -> None:
    before = ingested(str(write_source(tmp_path)), tmp_path / "one")
    files = files_of(before, tmp_path / "one")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        export_examples(files, "csv", tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    export_examples(files, "csv", tmp_path / "out", replace=True)
    assert not (tmp_path / "out" / "mine.txt").exists()


def test_what_csv_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    before = ingested(str(write_source(tmp_path, **LISTS)), tmp_path / "one")
    with pytest.raises(DataError, match="'vec' cannot stand in a CSV file"):
        export_examples(files_of(before, tmp_path / "one"), "csv", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "rows.parquet"]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'tfrecord'"):
        export_examples([], "tfrecords", tmp_path / "out")
