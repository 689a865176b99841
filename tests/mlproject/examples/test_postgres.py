"""Rows of a PostgreSQL database in, Examples out; and connections that break off half-way."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.errors import ConfigError, DataError, DataUnavailable, Transient
from mlproject.examples.formats import ReadOptions
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import DatabaseQuery, IngestRequest
from mlproject.examples.sql import driver_rows, postgres_csv, postgres_rows
from mlproject.examples.sql import source as sql_source
from mlproject.examples.sql.driver_rows import DriverRows
from mlproject.examples.sql.source import SqlSource

pytestmark = pytest.mark.postgres

ROWS = 60
QUICK = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


@pytest.fixture
def shared(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server, its schema `public` empty, its URL in the environment variable DB."""
    monkeypatch.setenv("DB", postgres.url)
    postgres.execute("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")
    return postgres


@pytest.fixture
def database(shared: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """As `shared`, for tests that break connections: batches are small, the end is far."""
    monkeypatch.setattr(postgres_csv, "BATCH_ROWS", 5_000)
    yield shared
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    shared.start()


def query(table: str = "", **parts: Any) -> DatabaseQuery:
    return DatabaseQuery(connection_env="DB", table=table, **parts)


def run(tmp_path: Path, database: DatabaseQuery, out: str = "out", **request: Any) -> Examples:
    (tmp_path / out).mkdir()
    return ingest(IngestRequest(database=database, **request), tmp_path / out)


def read(asked: DatabaseQuery, **types: str) -> pa.Table:
    reader = SqlSource(asked).open(ReadOptions(column_types=types))
    return pa.Table.from_batches(list(reader.batches(reader.parts[0])))


TYPES = [
    ("smallint", "'7'", "int", 7),
    ("integer", "'-7'", "int", -7),
    ("bigint", "'9223372036854775807'", "int", 2**63 - 1),
    ("oid", "'7'", "int", 7),
    ("boolean", "true", "int", 1),
    ("boolean", "false", "int", 0),
    ("real", "0.5", "float", 0.5),
    ("double precision", "0.1", "float", 0.1),
    ("double precision", "'1e-320'", "float", 1e-320),
    ("double precision", "'-Infinity'", "float", -math.inf),
    ("numeric", "1234567890123456789012345678901234567890.5", "float", 1.2345678901234568e39),
    ("numeric(10, 2)", "12.50", "float", 12.5),
    ("numeric", "'Infinity'", "float", math.inf),
    ("text", "''", "string", ""),
    ("text", "'a,\"b\"\n\\N''é'", "string", 'a,"b"\n\\N\'é'),
    ("text", r"'\.'", "string", r"\."),
    ("varchar(9)", "'NULL'", "string", "NULL"),
    ("char(4)", "'ab'", "string", "ab"),
    (
        "uuid",
        "'00000000-0000-0000-0000-000000000007'",
        "string",
        "00000000-0000-0000-0000-000000000007",
    ),
    ("json", "'{\"a\":  1}'", "string", '{"a":  1}'),
    ("jsonb", "'{\"a\":  1}'", "string", '{"a": 1}'),
    ("xml", "'<a/>'", "string", "<a/>"),
    ("inet", "'10.0.0.1'", "string", "10.0.0.1/32"),
    ("mood", "'sad'", "string", "sad"),
    ("positive", "7", "int", 7),
    ("bytea", r"'\x00ff0a22'", "bytes", b'\x00\xff\n"'),
    ("bytea", "''", "bytes", b""),
    ("date", "'1970-01-02'", "int", 86_400),
    ("date", "'0044-03-15 BC'", "int", -63_517_824_000),
    ("timestamp", "'1969-12-31 23:59:58.5'", "int", -2),
    ("timestamptz", "'2020-01-01 02:00+02'", "int", 1_577_836_800),
    ("integer[]", "'{1,2}'", "int list", [1, 2]),
    ("boolean[]", "'{t,f}'", "int list", [1, 0]),
    ("real[]", "'{0.5,NaN,-Infinity}'", "float list", [0.5, math.nan, -math.inf]),
    ("numeric[]", "'{0.50,7}'", "float list", [0.5, 7.0]),
    ("text[]", "ARRAY['a,b', '', 'null', '\"é\\']", "string list", ["a,b", "", "null", '"é\\']),
    ("mood[]", "'{sad}'", "string list", ["sad"]),
    ("bytea[]", r"ARRAY['\x00ff'::bytea, '']", "bytes list", [b"\x00\xff", b""]),
]


@pytest.mark.parametrize(("kind", "value", "column_type", "expected"), TYPES)
def test_types_convert(
    shared: Any, kind: str, value: str, column_type: str, expected: object
) -> None:
    shared.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'glad')",
        "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
        f"CREATE TABLE rides (x {kind})",
        f"INSERT INTO rides VALUES ({value}), (NULL)",
    )
    reader = SqlSource(query("rides")).open(ReadOptions())
    (batch,) = reader.batches(reader.parts[0])
    assert reader.columns == (("x", column_type),)
    assert repr(batch["x"].to_pylist()) == repr([expected, None])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("interval", "'1 day'"), ("time", "'10:00'"), ("point", "'(1,2)'"), ("money", "1")),
        *(("int4range", "'[1,2)'"), ("rides_row", "ROW(1)"), ("date[]", "'{2020-01-01}'")),
    ],
)
def test_other_types_are_refused_and_can_be_read_as_text(
    shared: Any, kind: str, value: str
) -> None:
    shared.execute(
        "CREATE TYPE rides_row AS (a int)",
        f"CREATE TABLE rides (id int, x {kind})",
        f"INSERT INTO rides VALUES (1, {value})",
    )
    with pytest.raises(DataError, match=r"'x' of table 'rides' has a type.*column_types: \{x: str"):
        read(query("rides"))
    declared = "string list" if kind.endswith("[]") else "string"
    (found,) = read(query("rides"), x=declared)["x"].to_pylist()
    assert found
    source = SqlSource(query("rides"))
    assert source.digest()
    source.check_unchanged()


def test_an_empty_list_is_missing_and_a_gap_in_one_is_refused(shared: Any, tmp_path: Path) -> None:
    shared.execute(
        "CREATE TABLE r AS SELECT g AS id, '{}'::int[] AS i, '{}'::text[] AS t, '{}'::bytea[] AS b"
        " FROM generate_series(1, 60) g"
    )
    run(tmp_path, query("r"))
    batches = [b for d in (tmp_path / "out").iterdir() for b in read_batches(d)]
    assert all(b[name].null_count == b.num_rows for b in batches for name in "itb")
    for number, gap in enumerate(("'{1,NULL}'::int[]", "'{a,NULL}'::text[]", "'{NULL}'::bytea[]")):
        asked = query(query=f"SELECT {gap} AS x FROM generate_series(1, 60)")
        with pytest.raises(DataError, match=r"list in column 'x' has a missing value"):
            run(tmp_path, asked, f"gap{number}")


@pytest.mark.parametrize(
    ("kind", "good", "bad", "declared", "message"),
    [
        ("numeric", "1.00", "1.5", "int", r"'1\.5' in the row with id '57'.*reads as int"),
        ("numeric", "1", "1e30", "int", r"'10{30}' in the row with id '57'"),
        ("text", "'1'", "'abc'", "int", r"'abc' in the row"),
        ("text", "'1'", "''", "float", r"'' in the row with id '57'"),
        ("timestamp", "'2020-01-01'", "'infinity'", "", r"'infinity' in the row with id '57'"),
        ("date", "'2020-01-01'", "'-infinity'", "", r"'-infinity' in the row with id '57'"),
        ("int[]", "'{1}'", "'{{1,2},{3,4}}'", "", r"'\{\{1,2},\{3,4}}' in the row with id '57'"),
        ("text[]", "'{a}'", "'{{a},{b}}'", "", r"\[\[\"a\"\],\[\"b\"\]\]' in the row"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    shared: Any, kind: str, good: str, bad: str, declared: str, message: str
) -> None:
    shared.execute(
        f"CREATE TABLE rides (id int PRIMARY KEY, x {kind})",
        f"INSERT INTO rides SELECT g, {good} FROM generate_series(1, 200) g",
        f"UPDATE rides SET x = {bad} WHERE id = 57",
    )
    types = {"x": declared} if declared else {}
    with pytest.raises(DataError, match=rf"'x' of table 'rides' does not fit.*{message}"):
        read(query("rides", key=("id",)), **types)


def test_declared_types_win(shared: Any) -> None:
    shared.execute(
        "CREATE TABLE r AS SELECT 1.50::numeric AS n, 7 AS i, '8' AS t,"
        " timestamp '2020-01-01 10:00' AS at, 'é'::bytea AS b, ARRAY[1, 2] AS l, true AS yes"
    )
    found = read(
        query("r"),
        n="string",
        i="float",
        t="int",
        at="string",
        b="string",
        l="float list",
        yes="string",
    )
    assert found.to_pylist() == [
        {
            **{"n": "1.50", "i": 7.0, "t": 8, "at": "2020-01-01 10:00:00", "b": "é"},
            **{"l": [1.0, 2.0], "yes": "true"},
        }
    ]
    assert read(query("r"), t="bytes", n="float", at="float")["t"].to_pylist() == [b"8"]
    assert read(query("r"), l="string list")["l"].to_pylist() == [["1", "2"]]
    for name, wrong in (("i", "int list"), ("l", "int"), ("b", "int"), ("l", "bytes list")):
        with pytest.raises(ConfigError, match=f"'{name}' of table 'r' cannot be read as {wrong}"):
            read(query("r"), **{name: wrong})


def test_tables_views_schemas_and_odd_names_are_read(shared: Any) -> None:
    shared.execute(
        "CREATE SCHEMA IF NOT EXISTS other",
        "DROP TABLE IF EXISTS other.rides",
        "CREATE TABLE other.rides AS SELECT 1 AS id",
        'CREATE TABLE "Odd :name %s" AS SELECT 2 AS "Group", 3 AS "a:b", 4 AS "50%", 5 AS """"',
        'CREATE VIEW seen AS SELECT "Group" AS id FROM "Odd :name %s"',
        "CREATE MATERIALIZED VIEW kept AS SELECT 6 AS id",
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE parts_1 PARTITION OF parts DEFAULT",
        "INSERT INTO parts VALUES (7)",
    )
    assert read(query("other.rides")).to_pylist() == [{"id": 1}]
    odd = read(query("Odd :name %s", key=("Group", "a:b")))
    assert odd.to_pylist() == [{"Group": 2, "a:b": 3, "50%": 4, '"': 5}]
    assert read(query("seen")).to_pylist() == [{"id": 2}]
    assert read(query("kept")).to_pylist() == [{"id": 6}]
    assert read(query("public.parts", key=("id",))).to_pylist() == [{"id": 7}]
    with pytest.raises(DataError, match=r"no table 'odd :name %s'.*did you mean 'Odd :name %s'"):
        SqlSource(query("odd :name %s"))
    with pytest.raises(DataError, match=r"no table 'other.ride'.*in schema 'other' did you mean"):
        SqlSource(query("other.ride"))
    with pytest.raises(DataError, match=r"no table 'none.rides'"):
        SqlSource(query("none.rides"))


def test_a_query_has_parameters_and_keeps_its_order(shared: Any) -> None:
    shared.execute("CREATE TABLE r AS SELECT g AS id, 'x%' AS s FROM generate_series(1, 9) g")
    asked = query(
        query="SELECT id::int8, s || :tail AS s FROM r\nWHERE id >= :low AND s LIKE 'x%' -- all\n"
        "ORDER BY id DESC;",
        parameters=(("low", 7), ("tail", "%s' \\ :low")),
    )
    assert read(asked)["id"].to_pylist() == [9, 8, 7]
    assert read(asked)["s"].to_pylist()[0] == "x%%s' \\ :low"


def test_two_columns_of_one_name_are_refused(shared: Any) -> None:
    with pytest.raises(DataError, match="'a' stands 2 times in the query"):
        read(query(query="SELECT 1 AS a, 2 AS a"))


@pytest.mark.parametrize(
    "hostile",
    [
        "SELECT 1) q; COMMIT; DROP TABLE r; SELECT * FROM (SELECT 1",
        "WITH gone AS (DELETE FROM r RETURNING id) SELECT * FROM gone",
        "SELECT nextval('s')",
        "SELECT set_config('transaction_read_only', 'off', true) FROM r FOR UPDATE",
    ],
)
def test_nothing_is_ever_written(shared: Any, hostile: str) -> None:
    shared.execute("CREATE TABLE r (id int)", "INSERT INTO r VALUES (1)", "CREATE SEQUENCE s")
    with pytest.raises((ConfigError, DataError)):
        read(query(query=hostile))
    assert shared.execute("SELECT count(*) FROM r") == [(1,)]
    assert shared.execute("SELECT is_called FROM s") == [(False,)]


def secrets_in(error: BaseException | None) -> bool:
    while error is not None:
        if "pa:ss/w@rd" in str(error) or "pa%3Ass" in str(error):
            return True
        error = error.__cause__
    return False


def test_neither_user_nor_password_is_shown(
    shared: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shared.execute("CREATE TABLE r AS SELECT 1 AS id")
    source = SqlSource(query("r"))
    place = f"postgresql://127.0.0.1:{shared.port}/postgres"
    assert source.uris == ((None, f"{place}#r"),)
    assert source.describe() == f"table 'r' of {place}"
    assert source.open(ReadOptions()).parts[0].uri == f"{place}#r"
    wrong = shared.url.replace("/postgres", "/none").replace("127.0.0.1", "localhost")
    for url, message in (
        (shared.url.replace("owner", "nobody"), "password authentication failed"),
        (wrong, 'database "none" does not exist'),
        (shared.url + "?sslmode=require", "does not support SSL"),
        (shared.url + "?nonsense=1", "invalid connection option"),
    ):
        monkeypatch.setenv("DB", url)
        with pytest.raises(DataError, match=message) as caught:
            SqlSource(query("r"))
        assert not secrets_in(caught.value)
    assert "pa:ss" not in caplog.text


def test_a_table_that_may_not_be_read_says_so(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.execute(
        "CREATE TABLE r AS SELECT 1 AS id",
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN PASSWORD 'pw'",
        "GRANT USAGE ON SCHEMA public TO guest",
    )
    monkeypatch.setenv("DB", f"postgresql://guest:pw@127.0.0.1:{shared.port}/postgres")
    with pytest.raises(DataError, match=r"permission denied for table r.*granted") as caught:
        SqlSource(query("r")).digest()
    assert not isinstance(caught.value, Transient)


def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB", "postgresql://me:secret@127.0.0.1:1/db")
    with pytest.raises(DataUnavailable, match=r"refused.*postgresql://127.0.0.1:1/db"):
        SqlSource(query("r"))


def test_rows_keep_their_order_without_a_key(shared: Any) -> None:
    shared.execute("CREATE TABLE r AS SELECT g AS id FROM generate_series(1, 250000) g")
    source = SqlSource(query("r"))
    reader = source.open(ReadOptions())
    batches = list(reader.batches(reader.parts[0]))
    assert [batch.num_rows for batch in batches] == [100_000, 100_000, 50_000]
    assert pa.Table.from_batches(batches)["id"].to_pylist() == list(range(1, 250_001))


def test_the_read_is_one_snapshot(shared: Any) -> None:
    shared.execute("CREATE TABLE r AS SELECT g AS id, 0 AS x FROM generate_series(1, 300000) g")
    reader = SqlSource(query("r", key=("id",))).open(ReadOptions())
    batches = reader.batches(reader.parts[0])
    seen = next(batches).num_rows
    shared.execute("UPDATE r SET x = 1", "DELETE FROM r WHERE id > 290000")
    rest = list(batches)
    assert seen + sum(batch.num_rows for batch in rest) == 300_000
    assert not any(pc.any(pc.not_equal(batch["x"], 0)).as_py() for batch in rest)


@pytest.mark.parametrize("versioned", [False, True])
def test_a_change_during_the_ingest_fails_it(shared: Any, tmp_path: Path, versioned: bool) -> None:
    shared.execute("CREATE TABLE r AS SELECT g AS id, 0 AS x FROM generate_series(1, 250000) g")
    version = "SELECT count(*), sum(x) FROM r" if versioned else ""
    source = SqlSource(query("r", key=("id",), version_query=version))
    before = source.digest()
    reader = source.open(ReadOptions())
    for _ in reader.batches(reader.parts[0]):
        shared.execute("UPDATE r SET x = x + 1 WHERE id = 250000")
    if versioned:
        with pytest.raises(DataError, match=r"changed while it was read.*table 'r'"):
            source.check_unchanged()
    else:  # what was read is what was there at the start: the snapshot is whole
        source.check_unchanged()
    assert SqlSource(query("r", key=("id",), version_query=version)).digest() != before


Breaker = Callable[[Any], None]


def kill_backends(server: Any) -> None:
    """What an administrator, or a proxy that gives up, does to a connection."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND (query LIKE 'COPY%' OR query LIKE 'FETCH%')"
    )


def restart(server: Any) -> None:
    server.stop()
    server.start()


def restart_slowly(server: Any) -> None:
    server.stop()
    threading.Timer(1.0, server.start).start()


def big_table(server: Any) -> None:
    """More rows than the buffers between server and client hold."""
    server.execute(
        "CREATE TABLE r (id bigint, s text)",
        "INSERT INTO r SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, 100000) g",
    )


def broken_read(server: Any, source: SqlSource, action: Breaker) -> list[pa.RecordBatch]:
    """Reads all, and breaks the connection after the first batch."""
    reader = source.open(ReadOptions())
    batches = reader.batches(reader.parts[0])
    found = [next(batches)]
    action(server)
    return [*found, *batches]


@pytest.mark.parametrize("action", [kill_backends, restart, restart_slowly])
def test_a_broken_connection_goes_on_from_the_last_key(
    database: Any, action: Breaker, caplog: pytest.LogCaptureFixture
) -> None:
    big_table(database)
    asked = query("r", key=("id",))
    source = SqlSource(asked, QUICK)
    before = source.digest()
    batches = broken_read(database, source, action)
    ids = pa.Table.from_batches(batches)["id"].to_pylist()
    assert ids == list(range(1, 100_001))
    assert "Going on after the key" in caplog.text
    source.check_unchanged()
    assert source.digest() == before


def test_a_read_through_the_driver_goes_on_too(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As other databases are read, of which none is at hand."""
    monkeypatch.setattr(sql_source, "_row_reader", DriverRows)
    monkeypatch.setattr(driver_rows, "BATCH_ROWS", 5_000)
    big_table(database)
    source = SqlSource(query("r", key=("id",)), QUICK)
    batches = broken_read(database, source, kill_backends)
    assert pa.Table.from_batches(batches)["id"].to_pylist() == list(range(1, 100_001))


@pytest.mark.parametrize(
    "key_type",
    [
        "timestamp",
        "numeric",
        "double precision",
        "text",
        "uuid",
        "date",
        "bytea",
        "real",
        "char(9)",
    ],
)
def test_a_read_goes_on_from_keys_of_every_type(database: Any, key_type: str) -> None:
    expression = {
        "timestamp": "timestamp '2020-01-01' + g * interval '1 microsecond'",
        "numeric": "g / 7.0",
        "double precision": "g / 7.0::float8",
        "real": "(g * 2)::real",
        "text": "'k' || g",
        "char(9)": "'k' || g",
        "uuid": "md5(g::text)::uuid",
        "date": "date '2020-01-01' + g",
        "bytea": "decode(md5(g::text), 'hex')",
    }[key_type]
    database.execute(
        f"CREATE TABLE r (part int, k {key_type}, s text)",
        f"INSERT INTO r SELECT g % 2, {expression}, repeat('x', 400)"
        " FROM generate_series(1, 60000) g",
    )
    source = SqlSource(query("r", key=("part", "k")), QUICK)
    source.digest()
    batches = broken_read(database, source, kill_backends)
    assert sum(batch.num_rows for batch in batches) == 60_000
    source.check_unchanged()


def test_without_a_key_a_broken_read_fails_whole(database: Any) -> None:
    big_table(database)
    with pytest.raises(DataUnavailable, match=r"broke off while table 'r' was read.*sql.key"):
        broken_read(database, SqlSource(query("r"), QUICK), kill_backends)


def test_a_server_that_stays_away_fails_the_read_after_the_last_try(database: Any) -> None:
    big_table(database)
    began = time.monotonic()
    with pytest.raises(DataUnavailable, match=r"cannot be opened.*refused"):
        broken_read(database, SqlSource(query("r", key=("id",)), (0.1, 0.1)), lambda s: s.stop())
    assert time.monotonic() - began < 30


def delete_some(server: Any) -> None:
    server.execute("DELETE FROM r WHERE id = 7")
    kill_backends(server)


def insert_before(server: Any) -> None:
    server.execute("INSERT INTO r VALUES (0, 'new')")
    kill_backends(server)


def update_later(server: Any) -> None:
    server.execute("UPDATE r SET s = 'new' WHERE id = 99999")
    kill_backends(server)


@pytest.mark.parametrize("action", [delete_some, insert_before])
def test_rows_that_changed_before_the_break_fail_the_read(database: Any, action: Breaker) -> None:
    big_table(database)
    with pytest.raises(DataError, match=r"changed while it was read.*rows where \d+,000 were"):
        broken_read(database, SqlSource(query("r", key=("id",)), QUICK), action)


def test_rows_that_changed_after_the_break_fail_it_by_their_digest(database: Any) -> None:
    big_table(database)
    source = SqlSource(query("r", key=("id",)), QUICK)
    source.digest()
    broken_read(database, source, update_later)
    with pytest.raises(DataError, match=r"changed while it was read"):
        source.check_unchanged()


def test_another_version_after_the_break_fails_the_read(database: Any) -> None:
    big_table(database)
    version = "SELECT count(*) FILTER (WHERE s = 'new') FROM r"
    source = SqlSource(query("r", key=("id",), version_query=version), QUICK)
    with pytest.raises(DataError, match=r"changed while it was read.*another version"):
        broken_read(database, source, update_later)


def test_equal_keys_are_refused(shared: Any) -> None:
    shared.execute("CREATE TABLE r AS SELECT g / 2 AS id FROM generate_series(2, 99) g")
    with pytest.raises(DataError, match=r"key of table 'r' does not tell.*id '1' twice"):
        read(query("r", key=("id",)))
    shared.execute("UPDATE r SET id = NULL")
    with pytest.raises(DataError, match=r"key of table 'r' does not tell.*null in 'id'"):
        read(query("r", key=("id",)))


def copies(server: Any) -> int:
    text = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
    return int(server.execute(text)[0][0])


@pytest.mark.parametrize("batches_read", [1, 2, 3])
def test_a_read_that_is_left_half_way_leaves_no_connection(
    database: Any, batches_read: int
) -> None:
    big_table(database)
    reader = SqlSource(query("r")).open(ReadOptions())
    batches = reader.batches(reader.parts[0])
    for _ in range(batches_read):
        next(batches)
    time.sleep(0.2)  # until the buffers between are full
    assert copies(database) == 1
    batches.close()
    assert "copy" not in [thread.name for thread in threading.enumerate()]
    ends = time.monotonic() + 5
    while copies(database) and time.monotonic() < ends:
        time.sleep(0.05)
    assert copies(database) == 0


def test_an_error_of_the_query_is_told(shared: Any) -> None:
    with pytest.raises(DataError, match="division by zero") as caught:
        read(query(query="SELECT 1 / (g - 50000) AS x FROM generate_series(1, 60000) g"))
    assert not isinstance(caught.value, Transient)
    with pytest.raises(DataError, match='column "idd" does not exist'):
        read(query(query="SELECT idd FROM pg_class"))
    with pytest.raises(DataError, match="syntax error"):
        read(query(query="SELECT FROM WHERE"))


def test_a_row_of_great_length_is_read_and_one_beyond_all_measure_refused(
    shared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_rows, "_MAX_ROW_BYTES", 10_000_000)
    monkeypatch.setattr(postgres_csv, "CHUNK_BYTES", 1_000_000)
    table = read(query(query="SELECT repeat('x', 9000000) AS s FROM generate_series(1, 3)"))
    assert pc.binary_length(table["s"]).to_pylist() == [9_000_000] * 3
    with pytest.raises(DataError, match=r"row of the query is too long.*10,100,001 bytes"):
        read(query(query="SELECT repeat('x', 10100000) AS s"))


@pytest.mark.slow
def test_a_million_rows_are_read_in_bounded_memory(shared: Any) -> None:
    shared.execute(
        "CREATE TABLE r AS SELECT g AS id, g / 7.0::float8 AS x, md5(g::text) AS s, g % 5 AS i,"
        " md5(g::text) AS t, now() AS at FROM generate_series(1, 1000000) g"
    )
    code = (
        "import resource, sys\n"
        "from mlproject.examples.formats import ReadOptions\n"
        "from mlproject.examples.request import DatabaseQuery\n"
        "from mlproject.examples.sql.source import SqlSource\n"
        "reader = SqlSource(DatabaseQuery('DB', table='r')).open(ReadOptions())\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "rows = sum(b.num_rows for b in reader.batches(reader.parts[0]))\n"
        "print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert found.returncode == 0, found.stderr
    rows, grown_mib = map(int, found.stdout.split())
    assert rows == 1_000_000
    assert grown_mib < 250


def test_rows_read_through_the_driver_are_the_same(shared: Any) -> None:
    columns = [
        f"({value})::{kind} AS c{i}"
        for i, (kind, value, _, _) in enumerate(TYPES)
        if kind not in ("mood", "positive", "mood[]", "json", "jsonb", "char(4)", "bytea[]", "inet")
        and "BC" not in value
    ]
    shared.execute(
        f"CREATE TABLE r AS SELECT g AS id, {', '.join(columns)} FROM generate_series(1, 3) g"
    )
    source = SqlSource(query("r", key=("id",)))
    rows = DriverRows(source._database, source._selection, ("id",), {})
    expected = read(query("r", key=("id",)))
    with source._database.snapshot() as connection:
        (chunk,) = rows.chunks(connection, None)
    assert chunk.last == (3,)
    assert chunk.batch.schema == expected.schema
    assert repr(chunk.batch.to_pylist()) == repr(expected.to_pylist())


words = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=5)
rows_of_all_kinds = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1) | st.none(),
        st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        words.map(lambda word: f"w{word}") | st.none(),
    ),
    min_size=20,
    max_size=40,
)


@settings(max_examples=10, deadline=None)
@given(rows=rows_of_all_kinds)
def test_the_same_rows_make_the_same_splits_from_postgres_and_sqlite(
    postgres: Any, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("same")
    numbered = [(number, *row) for number, row in enumerate(rows)]
    with sqlite3.connect(folder / "rows.db") as file:
        file.execute("CREATE TABLE r (id INTEGER, i INTEGER, x REAL, s TEXT)")
        file.executemany("INSERT INTO r VALUES (?, ?, ?, ?)", numbered)
    file.close()
    connection = postgres.connect()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS r; CREATE TABLE r (id int, i int8, x float8, s text)")
        for row in numbered:
            cursor.execute("INSERT INTO r VALUES (%s, %s, %s, %s)", row)
    connection.close()
    asked = (query("r", key=("id",)), DatabaseQuery(file=str(folder / "rows.db"), table="r"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DB", postgres.url)
        found = [
            run(folder, one, str(number), shares=(("all", 1.0),))
            for number, one in enumerate(asked)
        ]
    assert found[0].columns == found[1].columns
    assert found[0].split_digests == found[1].split_digests
    assert found[0].source_digest == found[1].source_digest
