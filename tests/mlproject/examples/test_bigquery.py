"""Rows of BigQuery in, Examples out: against a server that speaks its REST and gRPC calls."""

from __future__ import annotations

import builtins
import datetime as dt
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlproject.errors import ConfigError, DataError, DataUnavailable, PlatformError
from mlproject.examples.formats import ReadOptions
from mlproject.examples.google import bigquery_service
from mlproject.examples.google.bigquery_service import BigQueryService
from mlproject.examples.google.bigquery_source import BigQuerySource
from mlproject.examples.ingest import ingest
from mlproject.examples.request import BigQueryQuery, IngestRequest

pytest.importorskip("google.cloud.bigquery_storage", reason="install benison[bigquery]")

TABLE = "shop.data.rides"
ROWS = 250


@dataclass
class Fake:
    """What a BigQuery of one table and one result knows, and what it was asked.

    Attributes:
        rows: Of the table, and of every query's result.
        fields: The schema, as REST gives it.
        etag: Of the table.
        refusal: HTTP status and reason of every answer, or None.
        storage_refusals: gRPC status of each next call to read rows; None for a good one.
    """

    rows: pa.Table
    fields: list[dict[str, Any]]
    etag: str = "one"
    kind: str = "TABLE"
    statement: str = "SELECT"
    announced: int | None = None
    referenced: int = 1
    refusal: tuple[int, str] | None = None
    storage_refusals: list[Any] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    called: list[Any] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path, body))
        if self.refusal:
            code, reason = self.refusal
            error = {"code": code, "message": f"no: {reason}", "errors": [{"reason": reason}]}
            return code, {"error": error}
        if "/tables/" in path:
            return self.table(path)
        reference = {"projectId": "payer", "jobId": "job", "location": "EU"}
        if "/queries/" in path:
            count = str(self.rows.num_rows)
            return 200, {
                **{"jobReference": reference, "jobComplete": True, "totalRows": count},
                "schema": {"fields": self.fields},
            }
        query = {"statementType": self.statement, "schema": {"fields": self.fields}}
        query["referencedTables"] = [
            {"projectId": "shop", "datasetId": "data", "tableId": f"rides{number or ''}"}
            for number in range(self.referenced)
        ]
        config = body["configuration"] if body else {"query": {}}
        config["query"]["destinationTable"] = {
            **{"projectId": "payer", "datasetId": "_anon", "tableId": "result"}
        }
        return 200, {
            **{"jobReference": reference, "configuration": config, "status": {"state": "DONE"}},
            "statistics": {"query": query},
        }

    def table(self, path: str) -> tuple[int, Any]:
        names = path.split("/")[2:7:2]
        project, dataset, table = names[0], names[1], names[2].split("?")[0]
        if table not in ("rides", "result", "rides1"):
            return 404, {"error": {"code": 404, "message": f"Not found: Table {table}"}}
        count = self.rows.num_rows if self.announced is None else self.announced
        return 200, {
            **{"id": f"{project}:{dataset}.{table}", "etag": self.etag, "type": self.kind},
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": {"fields": self.fields},
            **{"numRows": str(count), "numBytes": "1000", "lastModifiedTime": "1700000000000"},
        }

    def create_session(self, request: Any, context: Any) -> Any:
        from google.cloud.bigquery_storage import types

        self.called.append(request)
        self._abort(context)
        schema = types.ArrowSchema(serialized_schema=self.rows.schema.serialize().to_pybytes())
        streams = [types.ReadStream(name="stream")] if self.rows.num_rows else []
        return types.ReadSession(name="session", arrow_schema=schema, streams=streams)

    def read_rows(self, request: Any, context: Any) -> Iterator[Any]:
        from google.cloud.bigquery_storage import types

        self.called.append(request)
        for batch in self.rows.slice(request.offset).to_batches(max_chunksize=100):
            payload = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse(arrow_record_batch=payload, row_count=batch.num_rows)
            self._abort(context)

    def _abort(self, context: Any) -> None:
        refusal = self.storage_refusals.pop(0) if self.storage_refusals else None
        if refusal is not None:
            context.abort(refusal, "so the test wants it")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts a fake; gives the source of a request that speaks to it."""
    import grpc
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery, bigquery_storage
    from google.cloud.bigquery_storage import types
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
        BigQueryReadGrpcTransport,
    )

    monkeypatch.setattr(bigquery_service, "GIVE_UP_AFTER_S", 1.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    stops: list[Any] = []

    def start(fake: Fake) -> BigQueryService:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(None)

            def do_POST(self) -> None:
                self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def reply(self, body: Any) -> None:
                path = self.path.removeprefix("/bigquery/v2")
                code, found = fake.answer(self.command, path, body)
                content = json.dumps(found).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        handlers = {
            "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                fake.create_session,
                types.CreateReadSessionRequest.deserialize,
                types.ReadSession.serialize,
            ),
            "ReadRows": grpc.unary_stream_rpc_method_handler(
                fake.read_rows,
                types.ReadRowsRequest.deserialize,
                types.ReadRowsResponse.serialize,
            ),
        }
        rpc = grpc.server(ThreadPoolExecutor(4))
        name = "google.cloud.bigquery.storage.v1.BigQueryRead"
        rpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        port = rpc.add_insecure_port("127.0.0.1:0")
        rpc.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        stops.extend([http.shutdown, http.server_close, channel.close, lambda: rpc.stop(None)])
        client = bigquery.Client(
            project="payer",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": f"http://127.0.0.1:{http.server_address[1]}"},
        )
        transport = BigQueryReadGrpcTransport(channel=channel)
        return BigQueryService(
            "EU", client, bigquery_storage.BigQueryReadClient(transport=transport)
        )

    yield start
    for stop in stops:
        stop()


def rides(rows: int = ROWS) -> Fake:
    table = pa.table({"id": pa.array(range(rows)), "s": pa.array(["a", None] * (rows // 2))})
    return Fake(table, [{"name": "id", "type": "INTEGER"}, {"name": "s", "type": "STRING"}])


def read(source: BigQuerySource, **types: str) -> pa.Table:
    reader = source.open(ReadOptions(column_types=types))
    return pa.Table.from_batches(list(reader.batches(reader.parts[0])))


def test_a_table_becomes_examples(serve: Any, tmp_path: Path, monkeypatch: Any) -> None:
    fake = rides()
    service = serve(fake)
    monkeypatch.setattr(
        "mlproject.examples.google.bigquery_source.BigQueryService", lambda location: service
    )
    request = IngestRequest(database=BigQueryQuery(table=TABLE))
    examples = ingest(request, tmp_path)
    assert examples.columns == (("id", "int"), ("s", "string"))
    assert sum(rows for _, rows in examples.splits) == ROWS
    session, rows = fake.called
    assert session.parent == "projects/payer"
    assert session.read_session.table == "projects/shop/datasets/data/tables/rides"
    assert session.read_session.data_format.name == "ARROW"
    assert session.max_stream_count == 1
    assert (rows.read_stream, rows.offset) == ("stream", 0)
    assert {(method, path.split("?")[0]) for method, path, _ in fake.asked} == {
        ("GET", "/projects/shop/datasets/data/tables/rides")
    }


def test_a_query_is_checked_run_and_read_from_its_result(serve: Any) -> None:
    fake = rides()
    query = "SELECT id, s FROM data.rides WHERE s != '@x' AND id < @high AND ok = @ok -- @no"
    source = BigQuerySource(
        BigQueryQuery(query=query, parameters=(("high", 7), ("ok", True))), serve(fake)
    )
    assert source.digest() == source.digest()
    assert not fake.called
    assert read(source).num_rows == ROWS
    source.check_unchanged()
    jobs = [body["configuration"] for method, path, body in fake.asked if method == "POST"]
    assert [job.get("dryRun", False) for job in jobs] == [True, True, False, True]
    parameters = jobs[2]["query"]["queryParameters"]
    assert [p["parameterType"]["type"] for p in parameters] == ["INT64", "BOOL"]
    assert jobs[2]["query"]["query"] == query
    assert not jobs[2]["query"]["useLegacySql"]
    assert fake.called[0].read_session.table == "projects/payer/datasets/_anon/tables/result"
    place = [body["jobReference"]["location"] for _, _, body in fake.asked if body]
    assert set(place) == {"EU"}


def test_a_view_is_read_by_a_query(serve: Any) -> None:
    fake = rides()
    fake.kind = "VIEW"
    source = BigQuerySource(BigQueryQuery(table=TABLE), serve(fake))
    assert read(source).num_rows == ROWS
    queries = {body["configuration"]["query"]["query"] for _, _, body in fake.asked if body}
    assert queries == {f"SELECT * FROM `{TABLE}`"}


@pytest.mark.parametrize(
    ("kind", "array", "column_type", "first"),
    [
        ("INTEGER", pa.array([1, None]), "int", 1),
        ("FLOAT", pa.array([0.5, None]), "float", 0.5),
        ("NUMERIC", pa.array([Decimal("1.25"), None], pa.decimal128(38, 9)), "float", 1.25),
        ("BIGNUMERIC", pa.array([Decimal("1.25"), None], pa.decimal256(76, 38)), "float", 1.25),
        ("BOOLEAN", pa.array([True, None]), "int", 1),
        ("STRING", pa.array(["a", None]), "string", "a"),
        ("JSON", pa.array(['{"a":1}', None]), "string", '{"a":1}'),
        ("GEOGRAPHY", pa.array(["POINT(1 2)", None]), "string", "POINT(1 2)"),
        ("BYTES", pa.array([b"\xff", None]), "bytes", b"\xff"),
        ("DATE", pa.array([dt.date(1970, 1, 2), None]), "int", 86_400),
        ("DATETIME", pa.array([1_500_000, None], pa.timestamp("us")), "int", 1),
        ("TIMESTAMP", pa.array([-500_000, None], pa.timestamp("us", tz="UTC")), "int", -1),
        ("INTEGER REPEATED", pa.array([[1, 2], []]), "int list", [1, 2]),
        ("STRING REPEATED", pa.array([["a"], []]), "string list", ["a"]),
        (
            "TIMESTAMP REPEATED",
            pa.array([[1_500_000], []], pa.list_(pa.timestamp("us", tz="UTC"))),
            "int list",
            [1],
        ),
    ],
)
def test_types_convert(
    serve: Any, kind: str, array: pa.Array, column_type: str, first: object
) -> None:
    name, _, mode = kind.partition(" ")
    fake = Fake(pa.table({"x": array}), [{"name": "x", "type": name, "mode": mode or "NULLABLE"}])
    source = BigQuerySource(BigQueryQuery(table=TABLE), serve(fake))
    assert source.open(ReadOptions()).columns == (("x", column_type),)
    found = read(source)["x"].to_pylist()
    assert found == [pytest.approx(first, rel=1e-15), [] if mode else None]


@pytest.mark.parametrize("kind", ["RECORD", "TIME", "INTERVAL", "RANGE"])
def test_other_types_are_refused(serve: Any, kind: str) -> None:
    fake = Fake(pa.table({"x": [1]}), [{"name": "x", "type": kind, "fields": []}])
    source = BigQuerySource(BigQueryQuery(table=TABLE), serve(fake))
    with pytest.raises(DataError, match=rf"'x' of table {TABLE} has a type.*{kind}.*SELECT"):
        source.open(ReadOptions())


def test_declared_types_win(serve: Any) -> None:
    source = BigQuerySource(BigQueryQuery(table=TABLE), serve(rides()))
    assert read(source, id="string")["id"].to_pylist()[:2] == ["0", "1"]
    with pytest.raises(DataError, match=r"'s' of table .* does not convert to int"):
        read(source, s="int")
    with pytest.raises(ConfigError, match=r"did you mean 'id'"):
        read(source, idd="int")


def test_the_digest_tells_changes(serve: Any) -> None:
    fake = rides()
    service = serve(fake)
    table = BigQuerySource(BigQueryQuery(table=TABLE), service)
    query = BigQuerySource(BigQueryQuery(query="SELECT 1 AS id"), service)
    digests = {table.digest(), query.digest()}
    fake.etag = "two"
    for source in (table, query):
        with pytest.raises(DataError, match=r"changed while it was read.*etags"):
            source.check_unchanged()
    digests.add(BigQuerySource(BigQueryQuery(table=TABLE), service).digest())
    digests.add(BigQuerySource(BigQueryQuery(query="SELECT 2 AS id"), service).digest())
    assert len(digests) == 4


def test_an_empty_table_has_no_rows(serve: Any) -> None:
    fake = rides()
    fake.rows = fake.rows.slice(0, 0)
    source = BigQuerySource(BigQueryQuery(table=TABLE), serve(fake))
    reader = source.open(ReadOptions())
    assert list(reader.batches(reader.parts[0])) == []


@pytest.mark.parametrize("announced", [ROWS + 1, ROWS - 1])
def test_rows_that_do_not_come_are_missed(serve: Any, announced: int) -> None:
    fake = rides()
    fake.announced = announced
    with pytest.raises(DataUnavailable, match=rf"did not come.*250 rows.*{announced} rows"):
        read(BigQuerySource(BigQueryQuery(table=TABLE), serve(fake)))


@pytest.mark.parametrize("times", [1, 2])
def test_a_stream_that_breaks_off_goes_on_from_the_last_row(serve: Any, times: int) -> None:
    import grpc

    fake = rides()
    fake.storage_refusals = [None, *[grpc.StatusCode.UNAVAILABLE] * times]
    found = read(BigQuerySource(BigQueryQuery(table=TABLE), serve(fake)))
    assert found["id"].to_pylist() == list(range(ROWS))
    assert [request.offset for request in fake.called[1:]] == [0, 100, 200][: times + 1]


def test_a_stream_past_its_time_is_asked_for_anew(serve: Any) -> None:
    import grpc

    fake = rides()
    fake.storage_refusals = [None, grpc.StatusCode.DEADLINE_EXCEEDED]
    found = read(BigQuerySource(BigQueryQuery(table=TABLE), serve(fake)))
    assert found["id"].to_pylist() == list(range(ROWS))


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        ("PERMISSION_DENIED", DataError, "access denied.*Read Session"),
        ("NOT_FOUND", DataError, "rows of 'shop:data.rides' cannot be read"),
        ("RESOURCE_EXHAUSTED", DataUnavailable, "quota is used up"),
        ("INVALID_ARGUMENT", DataError, "so the test wants it"),
        ("INTERNAL", DataUnavailable, "does not answer"),
    ],
)
def test_refusals_of_the_storage_api_are_told_apart(
    serve: Any, status: str, kind: type[PlatformError], message: str
) -> None:
    import grpc

    fake = rides()
    fake.storage_refusals = [grpc.StatusCode[status]] * 100
    with pytest.raises(kind, match=message) as caught:
        read(BigQuerySource(BigQueryQuery(table=TABLE), serve(fake)))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("code", "reason", "kind", "message"),
    [
        (401, "authError", ConfigError, "no usable credentials.*gcloud auth"),
        (403, "accessDenied", DataError, "access denied.*Data Viewer"),
        (403, "quotaExceeded", DataUnavailable, "quota is used up"),
        (403, "rateLimitExceeded", DataUnavailable, "does not answer"),
        (404, "notFound", DataError, "cannot be read|refuses the query"),
        (400, "invalidQuery", DataError, "cannot be read|refuses the query"),
        (503, "backendError", DataUnavailable, "does not answer"),
    ],
)
@pytest.mark.parametrize("asked", [BigQueryQuery(table=TABLE), BigQueryQuery(query="SELECT 1")])
def test_refusals_are_told_apart(
    serve: Any,
    asked: BigQueryQuery,
    code: int,
    reason: str,
    kind: type[PlatformError],
    message: str,
) -> None:
    fake = rides()
    fake.refusal = code, reason
    with pytest.raises(kind, match=message) as caught:
        BigQuerySource(asked, serve(fake))
    assert type(caught.value) is kind
    assert len(fake.asked) == 1 or kind is DataUnavailable


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (BigQueryQuery(), "not clear.*neither"),
        (BigQueryQuery(table=TABLE, query="SELECT 1"), "not clear.*a table and a query"),
        (BigQueryQuery(table="rides"), "no whole name.*PROJECT.DATASET.TABLE"),
        (BigQueryQuery(table="a.b.c` WHERE x --"), "no whole name"),
        (BigQueryQuery(query="SELECT @low"), "without a value: low"),
        (BigQueryQuery(query="SELECT '@low'", parameters=(("low", 1),)), "no parameter named low"),
        (
            BigQueryQuery(query="SELECT @low, @@version", parameters=(("lwo", 1), ("low", 1))),
            "no parameter named lwo.*did you mean 'low'",
        ),
    ],
)
def test_half_a_request_is_refused(serve: Any, asked: BigQueryQuery, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BigQuerySource(asked, serve(rides()))


def test_what_changes_data_or_cannot_tell_changes_is_refused(serve: Any) -> None:
    fake = rides()
    service = serve(fake)
    fake.statement = "DELETE"
    with pytest.raises(ConfigError, match=r"not one SELECT.*type DELETE"):
        BigQuerySource(BigQueryQuery(query="DELETE FROM data.rides WHERE true"), service)
    assert all(body["configuration"]["dryRun"] for _, _, body in fake.asked)
    fake.statement, fake.referenced = "SELECT", 50
    with pytest.raises(ConfigError, match=r"too many tables"):
        BigQuerySource(BigQueryQuery(query="SELECT 1"), service)
    fake.referenced, fake.kind = 1, "EXTERNAL"
    for asked in (BigQueryQuery(table=TABLE), BigQueryQuery(query="SELECT 1")):
        with pytest.raises(DataError, match=r"cannot tell whether its rows have changed.*EXTERNAL"):
            BigQuerySource(asked, service).digest()


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("google.cloud") and "bigquery_storage" in (name, *(args[2] or ())):
            raise ImportError(f"No module named '{name}'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"not installed.*pip install 'benison\[bigquery\]'"):
        BigQuerySource(BigQueryQuery(table=TABLE))


def test_without_credentials_the_way_to_get_them_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no usable credentials.*gcloud auth"):
        BigQuerySource(BigQueryQuery(table=TABLE))
