"""The data plane through whole runs: any source, rolling spans, drift and skew that stop a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from tests.e2e.conftest import Pipeline, Product, assert_one_clear_error

from flows.pipeline import open_run
from mlproject.schema import SCHEMA_FILE, read_schema, write_schema

pytestmark = pytest.mark.e2e


def read_trips(product: Product) -> pa.Table:
    """The trips; an empty cell is a missing value."""
    options = pa_csv.ConvertOptions(strings_can_be_null=True)
    return pa_csv.read_csv(product.project / "data" / "trips.csv", convert_options=options)


def write_parquet(product: Product, trips: pa.Table, _: Any) -> dict[str, Any]:
    pq.write_table(trips, product.project / "data" / "trips.parquet", row_group_size=400)
    return {"path": "data/trips.parquet"}


def write_tfrecord(product: Product, trips: pa.Table, _: Any) -> dict[str, Any]:
    import tensorflow as tf
    from tfx_bsl.coders.example_coder import RecordBatchToExamples

    from mlproject.examples.reader import to_example_batch

    kinds = {f.name: f.type for f in trips.schema}
    schema = read_schema(product.project / SCHEMA_FILE)
    for feature in schema.feature:  # whole numbers of a float column are floats in a tf.Example
        if (
            feature.type
            == type(feature)
            .DESCRIPTOR.fields_by_name["type"]
            .enum_type.values_by_name["FLOAT"]
            .number
        ):
            kinds[feature.name] = pa.float64()
    typed = trips.cast(pa.schema(kinds.items()))
    with tf.io.TFRecordWriter(str(product.project / "data" / "trips.tfrecord")) as writer:
        for batch in typed.to_batches():
            for record in RecordBatchToExamples(to_example_batch(batch)):
                writer.write(record)
    return {"path": "data/trips.tfrecord"}


def write_sqlite(product: Product, trips: pa.Table, _: Any) -> dict[str, Any]:
    import sqlite3

    with sqlite3.connect(product.project / "data" / "trips.sqlite") as database:
        trips.to_pandas().to_sql("trips", database, index=False)
    return {"sql": {"file": "data/trips.sqlite", "table": "trips"}}


def write_postgres(product: Product, trips: pa.Table, server: Any) -> dict[str, Any]:
    from sqlalchemy import create_engine

    engine = create_engine(server.url)
    numbered = trips.append_column("row_id", pa.array(range(trips.num_rows)))
    frame = numbered.to_pandas(integer_object_nulls=True)
    frame.to_sql("trips", engine, index=False, if_exists="replace", method="multi", chunksize=500)
    engine.dispose()
    # pandas makes text columns of its object columns: numbers again.
    whole = [f.name for f in trips.schema if pa.types.is_integer(f.type)]
    server.execute(
        *(f"ALTER TABLE trips ALTER {c} TYPE bigint USING {c}::bigint" for c in whole),
    )
    columns = ", ".join(trips.column_names)
    query = f"SELECT {columns} FROM trips WHERE row_id >= :first ORDER BY row_id"
    return {"sql": {"connection_env": "TAXI_URL", "query": query, "parameters": {"first": 0}}}


def ingested(pipeline: Pipeline) -> dict[str, Any]:
    with open_run(pipeline.request(), alone=True) as run:
        return dict(run.run_step("ingest")[0].value)


SOURCES = [write_parquet, write_tfrecord, write_sqlite]


@pytest.mark.parametrize(
    "write", [*SOURCES, pytest.param(write_postgres, marks=pytest.mark.postgres)]
)
def test_the_same_rows_give_the_same_splits_from_any_source(
    write: Callable[..., dict[str, Any]],
    product: Product,
    in_process: Callable[[Product], Pipeline],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    server = request.getfixturevalue("postgres") if write is write_postgres else None
    if server:
        monkeypatch.setenv("TAXI_URL", server.url)
    from_csv = ingested(in_process(product))
    product.configure(data={"path": None, **write(product, read_trips(product), server)})
    other = ingested(in_process(product))
    assert other["split_digests"] == from_csv["split_digests"]
    assert dict(other["columns"]) == dict(from_csv["columns"])
    assert other["source_digest"] != from_csv["source_digest"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "write",
    [write_tfrecord, write_sqlite, pytest.param(write_postgres, marks=pytest.mark.postgres)],
)
def test_a_model_is_trained_and_served_from_any_source(
    write: Callable[..., dict[str, Any]], make_product: Callable[..., Product], request: Any
) -> None:
    server = request.getfixturevalue("postgres") if write is write_postgres else None
    product = make_product("source", **({"TAXI_URL": server.url} if server else {}))
    product.configure(data={"path": None, **write(product, read_trips(product), server)})
    done = product.train()
    assert done.code == 0, done.err + done.out
    assert done.outcome["status"] == "blessed"
    if server:
        log = "".join(file.read_text() for file in (product.home / "logs").iterdir())
        texts = [
            done.err,
            done.out,
            log,
            (product.home / "mlflow.db").read_bytes().decode("latin1"),
        ]
        for secret in ("owner", server.url.split("@")[0].split(":")[-1]):
            assert not any(f"{secret}:" in text or f"{secret}@" in text for text in texts)


def write_spans(product: Product, *factors: float) -> None:
    """The trips as consecutive spans, the fares of each multiplied."""
    trips = read_trips(product)
    size = trips.num_rows // len(factors)
    for number, factor in enumerate(factors, start=1):
        part = trips.slice((number - 1) * size, size)
        place = part.column_names.index("fare")
        fares = pc.multiply(pc.cast(part["fare"], pa.float64()), factor)
        folder = product.project / "data" / f"span-{number}"
        folder.mkdir()
        pa_csv.write_csv(part.set_column(place, "fare", fares), folder / "trips.csv")


def watch_fare(product: Product, drift: float = 0.0, skew: float = 0.0) -> None:
    """Puts thresholds of the Jensen-Shannon divergence on the fare."""
    schema = read_schema(product.project / SCHEMA_FILE)
    fare = next(f for f in schema.feature if f.name == "fare")
    if drift:
        fare.drift_comparator.jensen_shannon_divergence.threshold = drift
    if skew:
        fare.skew_comparator.jensen_shannon_divergence.threshold = skew
    write_schema(schema, product.project)


def step_metrics(product: Product, step: str) -> dict[str, float]:
    """The metrics of a step's newest MLflow run."""
    newest = max(product.runs(step=step), key=lambda run: run.info.start_time)
    return dict(newest.data.metrics)


@pytest.mark.slow
def test_a_window_rolls_rows_are_transformed_on_the_fly_and_drift_stops_the_run(
    product: Product, in_process: Callable[[Product], Pipeline]
) -> None:
    write_spans(product, 1.0, 1.0, 30.0)
    watch_fare(product, drift=0.3)
    product.configure(
        data={"path": "data/span-{SPAN}/*.csv", "window": 2, "span": 2, "span_column": "span"},
        transform={"materialize": False},
        validation={"policy": {"SCHEMA_NEW_COLUMN": "ignore"}},
    )
    pipeline = in_process(product)
    outcome = pipeline.run()
    assert outcome.status == "blessed", outcome.reasons
    metrics = step_metrics(product, "validate")
    assert 0 <= metrics["drift_js.fare"] < 0.3
    (transform,) = (product.pipeline_root / "transform").glob("[!.]*")
    assert not list(transform.glob("Split-*"))
    cached = list((product.pipeline_root / "analyzer-cache").glob("*/*"))
    assert sorted(entry.name.split("-")[1] for entry in cached) == ["1", "2"]

    product.configure(data={"span": None})
    outcome = pipeline.run()
    assert outcome.status == "blocked"
    assert any("fare" in reason and "span 2" in reason for reason in outcome.reasons)
    assert step_metrics(product, "validate")["drift_js.fare"] > 0.3


@pytest.mark.slow
def test_drift_is_measured_from_the_run_before_where_the_window_is_one_span(
    product: Product, in_process: Callable[[Product], Pipeline]
) -> None:
    write_spans(product, 1.0, 30.0)
    watch_fare(product, drift=0.3)
    product.configure(data={"path": "data/span-{SPAN}/*.csv"})
    pipeline = in_process(product)

    def validated(span: str) -> dict[str, Any]:
        with open_run(pipeline.request(span=span), alone=True) as run:
            for step in ("ingest", "statistics", "schema", "validate"):
                artifact, _ = run.run_step(step)
            return dict(artifact.value)

    first = validated("1")
    assert not first["blocked"]
    assert any("no earlier statistics" in reason for reason in first["reasons"])
    second = validated("2")
    assert second["blocked"]
    assert any("span 1" in reason for reason in second["reasons"])


@pytest.mark.slow
def test_skew_between_training_and_serving_stops_the_run_and_bad_rows_are_kept(
    product: Product, in_process: Callable[[Product], Pipeline]
) -> None:
    watch_fare(product, skew=0.3)
    trips = read_trips(product)
    served = trips.drop(["tips"]).slice(0, 400)
    fares = pc.multiply(pc.cast(served["fare"], pa.float64()), 30.0)
    served = served.set_column(served.column_names.index("fare"), "fare", fares)
    pq.write_table(served, product.project / "data" / "served.parquet")
    product.configure(
        validation={"serving_path": "data/served.parquet", "features": {"company": "ignore"}}
    )
    outcome = in_process(product).run()
    assert outcome.status == "blocked"
    assert any("fare" in reason and "serving" in reason for reason in outcome.reasons), outcome
    assert step_metrics(product, "validate")["skew_js.fare"] > 0.3

    product.configure(validation={"serving_path": None})
    paid = ["Seashells" if i < 5 else value for i, value in enumerate(trips["payment_type"])]
    place = trips.column_names.index("payment_type")
    changed = trips.set_column(place, "payment_type", pa.array(map(str, paid)))
    pa_csv.write_csv(changed, product.project / "data" / "trips.csv")
    product.configure(validation={"policy": {"ENUM_TYPE_UNEXPECTED_STRING_VALUES": "block"}})
    outcome = in_process(product).run()
    assert outcome.status == "blocked"
    (bad,) = product.pipeline_root.glob("validate/*/figures/bad_rows.parquet")
    rows = pq.read_table(bad)
    wrong = rows.filter(pc.equal(rows["_feature"], "payment_type"))
    assert set(wrong["payment_type"].to_pylist()) == {"Seashells"}


def test_a_database_without_its_variable_is_one_clear_error(product: Product) -> None:
    product.configure(data={"path": None, "sql": {"connection_env": "TAXI_URL", "table": "t"}})
    assert_one_clear_error(product.run("check", str(product.project)), 2, "TAXI_URL")


def test_a_source_that_ends_in_the_middle_publishes_nothing(
    product: Product, in_process: Callable[[Product], Pipeline]
) -> None:
    write_parquet(product, read_trips(product), None)
    file = product.project / "data" / "trips.parquet"
    product.configure(data={"path": "data/*.parquet"})
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = content[: len(content) // 2]
    file.write_bytes(content[: len(content) - 9])
    done = product.run("step", "ingest", str(product.project))
    assert_one_clear_error(done, 1, "trips.parquet")
    assert not {name for name in product.published() if name.startswith("ingest/")}


def test_the_command_line_describes_what_was_ingested(product: Product, tmp_path: Path) -> None:
    done = product.run("examples", "describe", str(product.project), "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    out = tmp_path / "exported"
    done = product.run(
        "examples", "export", str(product.project), "--format", "tfrecord", "--out", str(out)
    )
    assert done.code == 0, done.err
    data = [f"--data={s}={out}/Split-{s}/*" for s in told["splits"]]
    again = product.run("examples", "describe", str(product.project), "--json", *data)
    assert again.code == 0, again.err
    digests = {s: about["digest"] for s, about in json.loads(again.out)["splits"].items()}
    assert digests == {s: about["digest"] for s, about in told["splits"].items()}
