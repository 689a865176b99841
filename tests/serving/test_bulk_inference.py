"""Bulk inference over files, held against the same model asked as the model server asks it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject import raw_inputs
from mlproject.errors import BusyError, ConfigError, DataError, ServingError
from mlproject.examples.formats import ReadOptions
from serving.bulk_columns import predict_columns
from serving.bulk_inference import BulkRequest, BulkResult, open_job
from serving.bulk_signature import ModelColumns, ModelInput, ModelOutput
from serving.row_arrays import row_arrays

ROWS = [
    {"fare": 1.5, "rank": 3, "zip": "00501"},
    {"fare": 7, "rank": 9007199254740993, "zip": "60601"},
    {"fare": None, "rank": None, "zip": None},
    {"fare": -2.25, "rank": -4, "zip": 'é, "quoted"'},
]
Ask = Callable[..., BulkResult]


@pytest.fixture(scope="session")
def bulk_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SavedModels of raw columns, by name.

    trip: fare float32, rank int64, zip string -> score [n, 1] (-1 where the fare is missing), rank
        (0 where missing), text, raw_bytes, pair [n, 2]; signature `sum` has an output [].
    lists: tags (strings), sizes (float32, any number) -> longest [n], doubled [n, any number].
    exact: x float64, n int32 -> x, n; `odd` gives bytes that are no text under a name for text.
    """
    import tensorflow as tf

    root = tmp_path_factory.mktemp("bulk-models")

    def spec(name: str, dtype: Any, *row: int | None) -> Any:
        return tf.TensorSpec([None, *row], dtype, name=name)

    @tf.function(
        input_signature=[
            spec("fare", tf.float32),
            spec("rank", tf.int64),
            spec("zip", tf.string),
        ]
    )
    def trip(fare: Any, rank: Any, zip: Any) -> Any:
        known = tf.where(tf.math.is_nan(fare), -1.0, fare)
        return {
            "score": known[:, None],
            "rank": tf.where(rank == tf.int64.min, tf.zeros_like(rank), rank),
            "text": tf.strings.join(["<", zip, ">"]),
            "raw_bytes": tf.strings.join([b"\xff", zip]),
            "pair": tf.stack([known, 2.0 * known], axis=1),
        }

    @tf.function(input_signature=[spec("fare", tf.float32)])
    def total(fare: Any) -> Any:
        return {"sum": tf.reduce_sum(fare)}

    @tf.function(input_signature=[spec("tags", tf.string, None), spec("sizes", tf.float32, None)])
    def lists(tags: Any, sizes: Any) -> Any:
        lengths = tf.reduce_sum(tf.cast(tags != "", tf.int64), axis=1)
        return {"longest": lengths, "doubled": 2.0 * sizes}

    @tf.function(input_signature=[spec("x", tf.float64), spec("n", tf.int32)])
    def exact(x: Any, n: Any) -> Any:
        return {"x": x, "n": n}

    @tf.function(input_signature=[spec("n", tf.int32)])
    def odd(n: Any) -> Any:
        return {"word": tf.fill([tf.size(n)], b"\xff")}

    for name, signatures in {
        "trip": {"serving_default": trip, "both": trip, "sum": total},
        "lists": {"serving_default": lists},
        "exact": {"serving_default": exact, "odd": odd},
    }.items():
        tf.saved_model.save(tf.Module(), str(root / name), signatures=signatures)
    return {path.name: path for path in root.iterdir()}


@pytest.fixture
def ask(bulk_models: dict[str, Path], tmp_path: Path) -> Ask:
    """Runs a model over files into the folder `out`."""

    def call(model: str, *sources: Path, replace: bool = False, **options: Any) -> BulkResult:
        request = BulkRequest(
            model=f"{model}/1",
            saved_model=bulk_models[model],
            model_digest=model,
            sources=tuple(map(str, sources)),
            out=tmp_path / "out",
            **options,
        )
        with open_job(request, replace=replace) as job:
            return job.run()

    return call


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """Writes rows in the format of a name's suffix."""
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        lines = [{k: v for k, v in row.items() if v is not None} for row in rows]
        path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    elif path.suffix == ".csv":
        import pandas as pd

        pd.DataFrame(rows, dtype=object).to_csv(path, index=False)
    else:
        _write_tfrecord(path, rows)
    return path


def _write_tfrecord(path: Path, rows: list[dict[str, Any]]) -> None:
    import tensorflow as tf

    def feature(value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], str):
            return tf.train.Feature(bytes_list={"value": [v.encode() for v in values]})
        if isinstance(values[0], int):
            return tf.train.Feature(int64_list={"value": values})
        return tf.train.Feature(float_list={"value": values})

    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            known = {k: feature(v) for k, v in row.items() if v is not None}
            example = tf.train.Example(features=tf.train.Features(feature=known))
            writer.write(example.SerializeToString())


def served(model: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model server's loaded model gives for each row."""
    from serving.model_server.loader import LoadedModel

    loaded = LoadedModel(model)
    try:
        signature = loaded.signatures["serving_default"]
        found = []
        for arrays in row_arrays(model, "serving_default", [("a row", row) for row in rows]):
            answer = loaded.predict(signature, arrays)
            found.append({name: values.tolist()[0] for name, values in answer.items()})
        return found
    finally:
        loaded.close()


def read(tmp_path: Path, part: int = 0) -> pa.Table:
    return pq.read_table(tmp_path / "out" / f"part-{part:05d}.parquet")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl", "tfrecord"])
def test_the_predictions_are_those_of_the_served_model(
    bulk_models: dict[str, Path], ask: Ask, tmp_path: Path, suffix: str
) -> None:
    rows = ROWS
    if suffix in ("tfrecord", "parquet"):  # which know one type of number for a column
        rows = [{**row, "fare": row["fare"] and float(row["fare"])} for row in ROWS]
    done = ask("trip", write(tmp_path, f"trips.{suffix}", rows), batch_rows=3)
    table = read(tmp_path)
    assert (done.rows, done.written, done.resumed) == (4, 4, 0)
    assert sorted(table.schema.names) == sorted(
        ["fare", "rank", "zip", "score", "predicted_rank", "text", "raw_bytes", "pair"]
    )
    assert table["zip"].to_pylist() == [row["zip"] for row in rows]
    for row, wanted in zip(table.to_pylist(), served(bulk_models["trip"], rows), strict=True):
        assert row["score"] == wanted["score"][0]
        assert row["predicted_rank"] == wanted["rank"]
        assert row["text"] == wanted["text"].decode()
        assert row["raw_bytes"] == wanted["raw_bytes"]
        assert row["pair"] == wanted["pair"]
    assert table.schema.field("score").type == pa.float32()
    assert table["predicted_rank"].to_pylist()[1] == 9007199254740993


def test_columns_of_other_number_types_and_digits_for_text_are_converted(
    ask: Ask, tmp_path: Path
) -> None:
    table = pa.table(
        {
            "fare": pa.array([1, None, 3], pa.int32()),
            "rank": pa.array([8.0, None, 9.0]),
            "zip": pa.array([501, None, 60601]),
        }
    )
    pq.write_table(table, tmp_path / "trips.parquet")
    ask("trip", tmp_path / "trips.parquet", kept=("zip",))
    found = read(tmp_path)
    assert set(found.schema.names) == {"zip", "score", "rank", "text", "raw_bytes", "pair"}
    assert found["score"].to_pylist() == [1.0, -1.0, 3.0]
    assert found["rank"].to_pylist() == [8, 0, 9]
    assert found["text"].to_pylist() == ["<501>", "<>", "<60601>"]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "tfrecord"])
def test_lists_of_any_length_are_padded_as_the_server_pads_them(
    bulk_models: dict[str, Path], ask: Ask, tmp_path: Path, suffix: str
) -> None:
    rows = [
        {"tags": ["a", "b", "c"], "sizes": [1.0, 2.0]},
        {"tags": ["7"], "sizes": [3.0]},
        {"tags": None, "sizes": [4.0]},
        {"tags": ["d"], "sizes": [5.0]},
    ]
    ask("lists", write(tmp_path, f"bags.{suffix}", rows), batch_rows=2, kept=())
    found = read(tmp_path).to_pylist()
    wanted = served(bulk_models["lists"], rows)
    assert [row["longest"] for row in found] == [row["longest"] for row in wanted] == [3, 1, 0, 1]
    for row, alone in zip(found, wanted, strict=True):
        there = [value for value in row["doubled"] if not np.isnan(value)]
        assert there == alone["doubled"]


def test_one_long_list_does_not_pad_all_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_inputs, "MAX_PADDED_VALUES", 6)
    lists = [[1.0], [2.0], [3.0, 4.0, 5.0, 6.0], [7.0, 8.0]]
    model = ModelColumns(
        {"sizes": ModelInput("DT_FLOAT", is_list=True)}, {"sum": ModelOutput(pa.float32(), 0)}
    )
    shapes = []

    def predict(arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        shapes.append(arrays["sizes"].shape)
        return {"sum": np.nansum(arrays["sizes"], axis=1)}

    found = predict_columns(predict, pa.RecordBatch.from_pydict({"sizes": lists}), model)
    assert shapes == [(2, 1), (1, 4), (1, 2)]
    assert found["sum"].to_pylist() == [1.0, 2.0, 18.0, 15.0]


def test_doubles_keep_their_digits_and_small_integers_their_range(ask: Ask, tmp_path: Path) -> None:
    good = write(tmp_path, "good.csv", [{"x": 0.1, "n": 2**31 - 1}])
    ask("exact", good)
    assert read(tmp_path).to_pylist() == [
        {"x": 0.1, "n": 2**31 - 1, "predicted_x": 0.1, "predicted_n": 2**31 - 1}
    ]
    for rows, said in (
        ([{"x": 0.1, "n": 2**31}], "does not fit the model"),
        ([{"x": 0.1, "n": 1}, {"x": 0.2, "n": None}], "misses values"),
        ([{"x": 0.1, "n": 1.5}], "does not fit the model"),
        ([{"x": "many", "n": 1}], "x"),
    ):
        bad = write(tmp_path, "bad.csv", rows)
        with pytest.raises(DataError, match=said):
            ask("exact", bad, replace=True)


def test_a_column_that_is_not_there_is_an_error_or_missing_if_asked(
    ask: Ask, tmp_path: Path
) -> None:
    path = write(tmp_path, "trips.csv", [{"fair": 1.0, "rank": 1, "zip": "1"}])
    with pytest.raises(DataError, match=r"no 'fare'.*did you mean 'fair'"):
        ask("trip", path)
    assert not list((tmp_path / "out").glob("*.parquet"))
    ask("trip", path, allow_missing=True, replace=True)
    assert read(tmp_path)["score"].to_pylist() == [-1.0]
    with pytest.raises(DataError, match="--keep"):
        ask("trip", path, allow_missing=True, kept=("ip",), replace=True)


def test_reading_options_count_where_the_file_has_the_column(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text("fare;rank;zip;code\nNA;1;2;003\n", encoding="utf-8")
    options = ReadOptions(";", ("", "NA"), {"code": "string", "label": "int"})
    ask("trip", path, options=options)
    (row,) = read(tmp_path).to_pylist()
    assert (row["code"], row["fare"], row["score"]) == ("003", None, -1.0)


def test_a_type_that_widens_late_voids_no_row(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    lines = [f"1.0,{n},z,{n if n < 250_000 else 0.5}" for n in range(250_001)]
    path.write_text("fare,rank,zip,extra\n" + "\n".join(lines) + "\n", encoding="utf-8")
    done = ask("trip", path, kept=("extra",))
    table = read(tmp_path)
    assert done.rows == table.num_rows == 250_001
    assert table.schema.field("extra").type == pa.float64()
    assert table["rank"].to_numpy().tolist() == list(range(250_001))
    assert pq.ParquetFile(tmp_path / "out" / "part-00000.parquet").num_row_groups == 3


def test_a_file_without_rows_has_a_part_without_rows(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text("fare,rank,zip\n", encoding="utf-8")
    full = write(tmp_path, "trips2.csv", ROWS)
    done = ask("trip", path, full)
    assert [part["rows"] for part in done.parts.values()] == [0, 4]
    assert read(tmp_path).schema.equals(read(tmp_path, 1).schema)


def test_outputs_that_are_no_columns_are_refused(ask: Ask, tmp_path: Path) -> None:
    path = write(tmp_path, "trips.csv", ROWS)
    with pytest.raises(ServingError, match="'sum' of the signature has no value for each row"):
        ask("trip", path, signature="sum")
    with pytest.raises(ServingError, match="did you mean 'sum'"):
        ask("trip", path, signature="smu")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ServingError, match="bytes that are no text"):
        ask("exact", write(tmp_path, "n.csv", [{"n": 1}]), signature="odd")


def test_a_run_that_was_ended_goes_on_with_the_first_missing_part(
    ask: Ask, bulk_models: dict[str, Path], tmp_path: Path
) -> None:
    files = [write(tmp_path, f"{name}.csv", ROWS) for name in "ab"]
    bad = tmp_path / "c.csv"
    bad.write_text("fare,rank,zip\n1.0,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"c\.csv"):
        ask("trip", *files, bad)
    out = tmp_path / "out"
    first = out / "part-00000.parquet"
    before = first.stat().st_mtime_ns
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [".lock", "_request.json", "part-00000.parquet", "part-00001.parquet"]
    )
    (out / ".part-00002.parquet.aside").write_bytes(b"half of it")
    files[1].write_text("fare,rank,zip\n5.5,2,x\n", encoding="utf-8")  # made anew
    write(tmp_path, "c.csv", ROWS[:2])
    done = ask("trip", *files, bad)
    assert (done.rows, done.written, done.resumed) == (4 + 1 + 2, 3, 1)
    assert first.stat().st_mtime_ns == before
    assert read(tmp_path, 1)["score"].to_pylist() == [5.5]
    manifest = json.loads((out / "_manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == 7
    assert manifest["parts"]["part-00002.parquet"] == {"source": str(bad), "rows": 2}
    assert not list(out.glob(".*.aside"))
    (out / "part-00001.parquet").write_bytes(b"PAR1 damaged")
    assert ask("trip", *files, bad).written == 1
    bad.write_text("fare,rank,zip\n1.0,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"c\.csv"):
        ask("trip", *files, bad)
    assert not (out / "_manifest.json").exists()  # they are not complete now


def test_another_request_in_the_same_folder_is_refused_or_replaces(
    ask: Ask, tmp_path: Path
) -> None:
    path = write(tmp_path, "trips.csv", ROWS)
    ask("trip", path)
    with pytest.raises(ConfigError, match="a request with other keep"):
        ask("trip", path, kept=())
    more = write(tmp_path, "more.csv", ROWS)
    with pytest.raises(ConfigError, match="a request with other files"):
        ask("trip", path, more)
    assert ask("trip", path, more, replace=True).resumed == 0
    done = ask("trip", path, kept=(), replace=True)
    assert (done.rows, len(done.parts)) == (4, 1)
    assert not (tmp_path / "out" / "part-00001.parquet").exists()


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("model_digest", {"model_digest": "another"}),
        ("signature", {"signature": "both"}),
        ("format", {"file_format": "csv"}),
        ("delimiter", {"options": ReadOptions(delimiter=";")}),
        ("null_values", {"options": ReadOptions(null_values=("NA",))}),
        ("column_types", {"options": ReadOptions(column_types={"zip": "string"})}),
        ("allow_missing", {"allow_missing": True}),
    ],
)
def test_whatever_changes_the_predictions_makes_another_request(
    bulk_models: dict[str, Path], tmp_path: Path, key: str, change: dict[str, Any]
) -> None:
    path = write(tmp_path, "trips.csv", ROWS)
    request = BulkRequest("trip/1", bulk_models["trip"], "d", (str(path),), tmp_path / "out")
    with open_job(request):
        pass
    with (
        pytest.raises(ConfigError, match=rf"a request with other {key}\."),
        open_job(replace(request, **change)),
    ):
        pass


def test_a_folder_with_anything_else_is_never_touched(ask: Ask, tmp_path: Path) -> None:
    path = write(tmp_path, "trips.csv", ROWS)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("two years", encoding="utf-8")
    for replaced in (False, True):
        with pytest.raises(ConfigError, match=r"thesis\.txt"):
            ask("trip", path, replace=replaced)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_parts_that_nobody_can_vouch_for_are_refused(ask: Ask, tmp_path: Path) -> None:
    path = write(tmp_path, "trips.csv", ROWS)
    ask("trip", path)
    for text in ("[1", "[]", "[" * 100_000):
        (tmp_path / "out" / "_request.json").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="that can be read"):
            ask("trip", path)
    assert ask("trip", path, replace=True).resumed == 0


def test_one_run_at_a_time_writes_to_a_folder(ask: Ask, tmp_path: Path) -> None:
    path = write(tmp_path, "trips.csv", ROWS)
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError):
            ask("trip", path)
    assert ask("trip", path).rows == 4


def test_what_cannot_be_asked_is_said_before_a_folder_is_made(ask: Ask, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no data"):
        ask("trip", tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match="--batch-rows"):
        ask("trip", write(tmp_path, "trips.csv", ROWS), batch_rows=0)
    assert not (tmp_path / "out").exists()


def test_progress_counts_files_and_rows(bulk_models: dict[str, Path], tmp_path: Path) -> None:
    files = [write(tmp_path, f"{name}.csv", ROWS) for name in "ab"]
    request = BulkRequest(
        "trip/1", bulk_models["trip"], "d", tuple(map(str, files)), tmp_path / "out", batch_rows=3
    )
    told: list[tuple[int, int, int]] = []
    with open_job(request) as job:
        job.run(lambda *numbers: told.append(numbers))
    assert told == [(0, 2, 3), (0, 2, 4), (1, 2, 4), (1, 2, 7), (1, 2, 8), (2, 2, 8)]
    again: list[Mapping[str, int]] = []
    with open_job(replace(request, batch_rows=1)) as job:  # no part of what is asked
        assert job.run(lambda *numbers: again.append(numbers)).resumed == 2
    assert again == []
