"""Rows of a SQLite database in, Examples out; and what is refused before any database is asked."""

from __future__ import annotations

import csv
import math
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.errors import ConfigError, DataError, DataUnavailable
from mlproject.examples.formats import ReadOptions
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import DatabaseQuery, IngestRequest
from mlproject.examples.sql.source import SqlSource

ROWS = 60
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a SQLite file from statements; a list after a statement is its rows."""

    def make(*statements: str, **rows: list[tuple[Any, ...]]) -> Path:
        path = tmp_path / "data.db"
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
            for table, values in rows.items():
                marks = ", ".join("?" * len(values[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
        connection.close()
        return path

    return make


def run(tmp_path: Path, query: DatabaseQuery, out: str = "out", **request: Any) -> Examples:
    (tmp_path / out).mkdir()
    return ingest(IngestRequest(database=query, **request), tmp_path / out)


def values(tmp_path: Path, name: str) -> list[Any]:
    batches = [b for d in (tmp_path / "out").iterdir() for b in read_batches(d)]
    return pa.Table.from_batches(batches).sort_by("id")[name].to_pylist()


@pytest.mark.parametrize(
    ("declared", "found", "column_type", "first"),
    [
        ("INTEGER", [1, None], "int", [1, None]),
        ("BIGINT", [2**63 - 1, -(2**63)], "int", [2**63 - 1, -(2**63)]),
        ("BOOLEAN", [True, None], "int", [1, None]),
        ("INT", [1, 2.5], "float", [1.0, 2.5]),  # the values tell more than the declaration
        ("REAL", [1, None], "float", [1.0, None]),
        ("REAL", [math.inf, -math.inf], "float", [math.inf, -math.inf]),
        ("DOUBLE PRECISION", [0.1, 1e-320], "float", [0.1, 1e-320]),
        ("DECIMAL(10, 2)", [1, 2.25], "float", [1.0, 2.25]),
        ("VARCHAR(10)", ["a", None], "string", ["a", None]),
        ("TEXT", ["", "é\n,\"'"], "string", ["", "é\n,\"'"]),
        ("TEXT", [1, "a"], "string", ["1", "a"]),  # SQLite itself makes a text of it
        ("UUID", ["00000000-0000", None], "string", ["00000000-0000", None]),
        ("JSON", ['{"a": 1}', None], "string", ['{"a": 1}', None]),
        ("BLOB", [b"\x00\xff", None], "bytes", [b"\x00\xff", None]),
        ("DATE", ["1970-01-02", None], "int", [86_400, None]),
        ("DATETIME", ["1969-12-31 23:59:58.5", "1970-01-01T00:01Z"], "int", [-2, 60]),
        ("TIMESTAMP", [7, 8], "int", [7, 8]),
        ("", [1, None], "int", [1, None]),
        ("", ["a", None], "string", ["a", None]),
        ("", [b"a", None], "bytes", [b"a", None]),
        ("", [1, 2.5], "float", [1.0, 2.5]),
        ("", [None, None], "float", [None, None]),
        ("INTEGER", [None, None], "int", [None, None]),
        ("TEXT", [None, None], "string", [None, None]),
    ],
)
def test_types_convert(
    tmp_path: Path, make: Make, declared: str, found: list[Any], column_type: str, first: list[Any]
) -> None:
    path = make(
        f"CREATE TABLE rides (id INTEGER PRIMARY KEY, x {declared})",
        rides=[(i, found[i % 2]) for i in range(ROWS)],
    )
    examples = run(tmp_path, DatabaseQuery(file=str(path), table="rides"))
    assert examples.columns == (("id", "int"), ("x", column_type))
    assert values(tmp_path, "x")[:2] == first


def test_types_of_a_query_are_those_of_its_columns(tmp_path: Path, make: Make) -> None:
    path = make(
        "CREATE TABLE rides (id INTEGER, day DATE, note TEXT)",
        rides=[(i, f"1970-01-{i % 9 + 1:02}", None) for i in range(ROWS)],
    )
    query = DatabaseQuery(
        file=str(path),
        query="WITH r AS (SELECT * FROM rides)\nSELECT id, day AS d, note, id / 2.0 AS half FROM r "
        "WHERE id >= :low AND '12:30' <> \"note\" OR note IS NULL -- that is all;\n",
        parameters=(("low", 10),),
    )
    examples = run(tmp_path, query)
    assert dict(examples.columns) == {"id": "int", "d": "int", "note": "string", "half": "float"}
    assert values(tmp_path, "d")[1] == 86_400


def test_a_late_float_widens_a_column(tmp_path: Path, make: Make) -> None:
    rows = [(i, 1) for i in range(120_000)] + [(120_000, 0.5)]
    path = make("CREATE TABLE rides (id INTEGER, x)", rides=rows)
    told: list[int] = []
    query = DatabaseQuery(file=str(path), table="rides")
    (tmp_path / "out").mkdir()
    examples = ingest(IngestRequest(database=query), tmp_path / "out", told.append)
    assert dict(examples.columns)["x"] == "float"
    assert sum(n for _, n in examples.splits) == 120_001
    assert told[0] == told[1] < told[2] == 120_001  # begun anew


@pytest.mark.parametrize(
    ("declared", "good", "bad", "message"),
    [
        ("INTEGER", 1, "abc", r"'abc' in the row with id 57.*of type int"),
        ("INTEGER", 1, b"abc", r"b'abc' in the row with id 57"),
        ("REAL", 1.5, "abc", r"'abc' in the row with id 57"),
        ("TEXT", "a", b"\xff", r"b'\\xff' in the row with id 57"),
        ("BLOB", b"a", 1, r"1 in the row with id 57"),
        ("DATE", "2020-01-01", "soon", r"'soon' in the row with id 57.*YYYY-MM-DD"),
        ("DATE", "2020-01-01", "2020-02-30", r"'2020-02-30' in the row with id 57"),
        ("DATE", "2020-01-01", 1.5, r"1.5 in the row with id 57.*YYYY-MM-DD"),
        ("", 1, "abc", r"'abc' in the row with id 57"),
        ("", "abc", 1, r"1 in the row with id 57"),
        pytest.param("TEXT", "a", "x" * 5000, "", id="long"),
    ],
)
@pytest.mark.parametrize("at", [57, 1500])
def test_a_value_of_another_type_is_named(
    tmp_path: Path, make: Make, declared: str, good: Any, bad: Any, message: str, at: int
) -> None:
    path = make(
        f"CREATE TABLE rides (id INTEGER PRIMARY KEY, x {declared})",
        rides=[(i, bad if i == at else good) for i in range(2000)],
    )
    query = DatabaseQuery(file=str(path), table="rides", key=("id",))
    if not message:
        assert run(tmp_path, query).columns[1] == ("x", "string")
        return
    message = message.replace("57", str(at))
    with pytest.raises(DataError, match=rf"column 'x' of table 'rides' does not fit.*{message}"):
        run(tmp_path, query)


def test_without_a_key_the_row_is_named_by_its_number(tmp_path: Path, make: Make) -> None:
    path = make("CREATE TABLE rides (x INTEGER)", rides=[(1,), (2,), ("abc",)])
    with pytest.raises(DataError, match=r"'abc' in row 3 "):
        run(tmp_path, DatabaseQuery(file=str(path), table="rides"))


def test_declared_types_win(tmp_path: Path, make: Make) -> None:
    path = make(
        "CREATE TABLE rides (id INTEGER, x INTEGER, y TEXT, day DATE)",
        rides=[(i, 1 if i % 2 else "abc", "7", "1970-01-02") for i in range(ROWS)],
    )
    types = (("day", "string"), ("id", "float"), ("x", "string"), ("y", "int"))
    examples = run(tmp_path, DatabaseQuery(file=str(path), table="rides"), column_types=types)
    assert tuple(sorted(examples.columns)) == types
    assert values(tmp_path, "x")[:2] == ["abc", "1"]
    assert values(tmp_path, "y")[0] == 7
    assert values(tmp_path, "day")[0] == "1970-01-02"
    with pytest.raises(DataError, match=r"'x' of table 'rides' does not fit.*'abc' in row 1"):
        run(
            tmp_path,
            DatabaseQuery(file=str(path), table="rides"),
            "other",
            column_types=(("x", "int"),),
        )


def test_a_view_and_a_name_that_needs_quotes_are_read(tmp_path: Path, make: Make) -> None:
    path = make(
        'CREATE TABLE "Odd :name %s" ("group" INTEGER, "a:b" TEXT, "50%" REAL, """" TEXT)',
        'CREATE VIEW seen AS SELECT "group" AS id, "a:b" FROM "Odd :name %s"',
        **{'"Odd :name %s"': [(i, "x", 0.5, "q") for i in range(ROWS)]},
    )
    for number, table in enumerate(("Odd :name %s", "main.Odd :name %s", "seen")):
        key = ("id",) if table == "seen" else ("group", "a:b")
        examples = run(
            tmp_path, DatabaseQuery(file=str(path), table=table, key=key), f"out{number}"
        )
        assert sum(n for _, n in examples.splits) == ROWS


def test_missing_tables_files_and_columns_have_hints(tmp_path: Path, make: Make) -> None:
    path = str(make("CREATE TABLE rides (id INTEGER)", rides=[(1,)]))
    (tmp_path / "text.db").write_text("no database at all, but long enough to be read as one")
    with pytest.raises(DataError, match=r"no table 'ridse'.*did you mean 'rides'"):
        SqlSource(DatabaseQuery(file=path, table="ridse"))
    with pytest.raises(DataError, match="no SQLite database at"):
        SqlSource(DatabaseQuery(file=str(tmp_path / "none.db"), table="rides"))
    with pytest.raises(DataError, match=r"no SQLite database at.*a folder"):
        SqlSource(DatabaseQuery(file=str(tmp_path), table="rides"))
    with pytest.raises(DataError, match="file is not a database"):
        SqlSource(DatabaseQuery(file=str(tmp_path / "text.db"), table="rides"))
    with pytest.raises(DataError, match="no such column: idd"):
        SqlSource(DatabaseQuery(file=path, query="SELECT idd FROM rides")).open(ReadOptions())
    with pytest.raises(ConfigError, match=r"key names a column.*'idd'.*did you mean 'id'"):
        SqlSource(DatabaseQuery(file=path, table="rides", key=("idd",))).open(ReadOptions())
    with pytest.raises(ConfigError, match=r"column_types names a column.*did you mean 'id'"):
        SqlSource(DatabaseQuery(file=path, table="rides")).open(
            ReadOptions(column_types={"idd": "int"})
        )


def test_a_damaged_file_is_a_data_error(tmp_path: Path, make: Make) -> None:
    path = make("CREATE TABLE rides (id INTEGER)", rides=[(i,) for i in range(50_000)])
    content = bytearray(path.read_bytes())
    content[20_000:60_000] = b"\xff" * 40_000
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"Reading table 'rides' failed.*malformed"):
        run(tmp_path, DatabaseQuery(file=str(path), table="rides"))


def test_text_that_is_no_utf8_is_a_data_error(tmp_path: Path, make: Make) -> None:
    path = make("CREATE TABLE r (x TEXT)", "INSERT INTO r VALUES (CAST(x'ff' AS TEXT))")
    with pytest.raises(DataError, match="Could not decode to UTF-8 column 'x'"):
        run(tmp_path, DatabaseQuery(file=str(path), table="r"))


def test_a_cell_beyond_all_measure_is_refused(tmp_path: Path, make: Make) -> None:
    path = make("CREATE TABLE r (x BLOB)", "INSERT INTO r VALUES (zeroblob(70000000))")
    with pytest.raises(DataError, match="string or blob too big"):
        run(tmp_path, DatabaseQuery(file=str(path), table="r"))


def test_long_cells_come_in_small_batches(tmp_path: Path, make: Make) -> None:
    path = make(
        "CREATE TABLE r (id INTEGER, x BLOB)",
        r=[(i, b"x" * (2 << 20 if i > 500 else 1)) for i in range(560)],
    )
    reader = SqlSource(DatabaseQuery(file=str(path), table="r")).open(ReadOptions())
    batches = list(reader.batches(reader.parts[0]))
    assert sum(batch.num_rows for batch in batches) == 560
    assert max(batch.nbytes for batch in batches) < 400 << 20


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, "a"), (1, "b"), (1, "b")], "k 1, j 'b' twice"),
        ([(1, "a"), (2, None)], "null in 'j'"),
        ([(i, "a") for i in range(999)] + [(998, "a")], "k 998, j 'a' twice"),
    ],
)
def test_a_key_must_tell_rows_apart(
    tmp_path: Path, make: Make, rows: list[tuple[Any, ...]], message: str
) -> None:
    path = make("CREATE TABLE r (k INTEGER, j TEXT)", r=rows)
    with pytest.raises(DataError, match=rf"key of table 'r' does not tell its rows.*{message}"):
        run(tmp_path, DatabaseQuery(file=str(path), table="r", key=("k", "j")))


def test_rows_come_in_the_order_of_the_key_or_of_the_query(tmp_path: Path, make: Make) -> None:
    path = str(make("CREATE TABLE r (id INTEGER)", r=[(i * 7 % 60,) for i in range(60)]))

    def read(**query: Any) -> list[int]:
        reader = SqlSource(DatabaseQuery(file=path, **query)).open(ReadOptions())
        (batch,) = reader.batches(reader.parts[0])
        return batch["id"].to_pylist()

    assert read(table="r", key=("id",)) == list(range(60))
    assert read(query="SELECT id FROM r ORDER BY id DESC;") == list(range(59, -1, -1))
    assert read(query="SELECT id FROM r ORDER BY id DESC", key=("id",)) == list(range(60))


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM rides",
        "SELECT 1; DELETE FROM rides",
        "SELECT ';' ; SELECT 2",
        "PRAGMA user_version = 7",
        "INSERT INTO rides VALUES (1) RETURNING id",
        "/* SELECT */ DROP TABLE rides",
        "",
    ],
)
def test_what_is_not_one_select_is_refused(make: Make, query: str) -> None:
    path = str(make("CREATE TABLE rides (id INTEGER)", rides=[(1,)]))
    with pytest.raises(ConfigError, match=r"is not one SELECT|not clear"):
        SqlSource(DatabaseQuery(file=path, query=query))
    with pytest.raises(ConfigError, match=r"version_query is not one SELECT|not clear"):
        SqlSource(DatabaseQuery(file=path, query="SELECT 1", version_query=query or "x", table=""))


def test_nothing_is_ever_written(tmp_path: Path, make: Make) -> None:
    path = make("CREATE TABLE rides (id INTEGER)", rides=[(i,) for i in range(ROWS)])
    before = path.read_bytes()
    for hidden in ("WITH x AS (SELECT 1) DELETE FROM rides", "WITH x AS (SELECT 1) INSERT INTO "):
        with pytest.raises(DataError, match="syntax error"):
            run(tmp_path, DatabaseQuery(file=str(path), query=hidden), hidden[20:26])
    run(tmp_path, DatabaseQuery(file=str(path), table="rides"))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["data.db"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "without a value: high, low"),
        ({"low": 1}, "without a value: high.*values for: low"),
        ({"low": 1, "high": 2, "hihg": 3}, "no parameter named hihg.*did you mean 'high'"),
    ],
)
def test_parameters_are_checked(make: Make, parameters: dict[str, int], message: str) -> None:
    path = str(make("CREATE TABLE r (id INTEGER)"))
    query = "SELECT id FROM r WHERE id > :low"
    version = "SELECT count(*) FROM r WHERE id < :high"
    with pytest.raises(ConfigError, match=message):
        SqlSource(
            DatabaseQuery(path and "", path, "", query, tuple(parameters.items()), (), version)
        )


@pytest.mark.parametrize("value", ["x' OR '1'='1", "%s", ":low", "\\", None, 1.5, True])
def test_parameters_are_bound_and_never_pasted(make: Make, value: Any) -> None:
    path = make("CREATE TABLE r (x)", r=[(value,), ("other",)])
    query = "SELECT x FROM r WHERE x IS :low"
    reader = SqlSource(
        DatabaseQuery(file=str(path), query=query, parameters=(("low", value),))
    ).open(ReadOptions())
    (batch,) = reader.batches(reader.parts[0])
    assert batch["x"].to_pylist() == [value]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (DatabaseQuery(table="r"), "database is not clear.*neither"),
        (DatabaseQuery("DB", "data.db", "r"), "database is not clear.*a connection and a file"),
        (DatabaseQuery("BENISON_TEST_NONE", table="r"), "variable BENISON_TEST_NONE is not set"),
        (DatabaseQuery("DB"), "What to read.*not clear.*neither"),
        (DatabaseQuery("DB", table="r", query="SELECT 1"), "What to read.*a table and a query"),
    ],
)
def test_half_a_request_is_refused(
    query: DatabaseQuery, message: str, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    monkeypatch.setenv("DB", f"sqlite:///{make('CREATE TABLE r (id INTEGER)')}")
    monkeypatch.delenv("BENISON_TEST_NONE", raising=False)
    with pytest.raises(ConfigError, match=message):
        SqlSource(query)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:topsecret@host:port/db",
        "me:topsecret@host",
        "topsecret",
        "nosuchdb://me:topsecret@host/db",
        "oracle://me:topsecret@host/db",
    ],
)
def test_a_url_that_cannot_be_used_is_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB", url)
    with pytest.raises(ConfigError, match=r"\bDB\b") as caught:
        SqlSource(DatabaseQuery("DB", table="r"))
    error: BaseException | None = caught.value
    while error is not None:
        assert "topsecret" not in str(error)
        error = error.__cause__


def test_a_sqlite_url_is_read_only_too(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("CREATE TABLE rides (id INTEGER)", rides=[(i,) for i in range(ROWS)])
    monkeypatch.setenv("DB", f"sqlite:///{path}")
    source = SqlSource(DatabaseQuery("DB", table="rides"))
    assert source.uris == ((None, f"sqlite:///{path}#rides"),)
    assert source.describe() == f"table 'rides' of sqlite:///{path}"
    assert source.digest() == SqlSource(DatabaseQuery(file=str(path), table="rides")).digest()
    monkeypatch.setenv("DB", "sqlite://")
    with pytest.raises(DataError, match="no SQLite database"):
        SqlSource(DatabaseQuery("DB", table="rides"))


def test_a_locked_file_is_unavailable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("CREATE TABLE r (id INTEGER)", r=[(1,)])
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.1))  # of 5 s
    with pytest.raises(DataUnavailable, match="database is locked"):
        SqlSource(DatabaseQuery(file=str(path), table="r"))
    writer.close()


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE r SET x = 'changed' WHERE id = 7",
        "DELETE FROM r WHERE id = 7",
        "INSERT INTO r VALUES (99, 'x')",
        "ALTER TABLE r RENAME COLUMN x TO y",
    ],
)
@pytest.mark.parametrize("versioned", [False, True])
def test_the_digest_tells_changes(make: Make, statement: str, versioned: bool) -> None:
    path = make("CREATE TABLE r (id INTEGER, x TEXT)", r=[(i, "x") for i in range(ROWS)])
    version = "SELECT count(*), group_concat(x) FROM r" if versioned else ""
    query = DatabaseQuery(file=str(path), table="r", version_query=version)
    source = SqlSource(query)
    before = source.digest()
    assert SqlSource(query).digest() == before
    source.check_unchanged()
    change(path, statement)
    if versioned and "RENAME" in statement:
        with pytest.raises(DataError, match="no such column"):
            source.check_unchanged()
        return
    assert SqlSource(query).digest() != before
    with pytest.raises(DataError, match=r"changed while it was read.*table 'r'"):
        source.check_unchanged()


@pytest.mark.parametrize("types", [(), (("x", "string"),), (("x", "bytes"),)])
def test_a_change_between_digest_and_read_fails_the_ingest(
    tmp_path: Path, make: Make, types: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("CREATE TABLE r (id INTEGER, x TEXT)", r=[(i, "x") for i in range(ROWS)])
    opened = SqlSource.open

    def change_first(source: SqlSource, options: ReadOptions) -> Any:
        change(path, "UPDATE r SET x = 'changed' WHERE id = 7")
        return opened(source, options)

    monkeypatch.setattr(SqlSource, "open", change_first)
    with pytest.raises(DataError, match=r"changed while it was read.*table 'r'"):
        run(tmp_path, DatabaseQuery(file=str(path), table="r"), column_types=types)


def test_a_digest_tells_databases_apart_by_place_only_with_a_version(
    tmp_path: Path, make: Make
) -> None:
    path = make("CREATE TABLE r (id INTEGER)", r=[(i,) for i in range(ROWS)])
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    for version, same in (("", True), ("SELECT count(*) FROM r", False)):
        digests = {
            SqlSource(DatabaseQuery(file=str(f), table="r", version_query=version)).digest()
            for f in (path, copy)
        }
        assert (len(digests) == 1) is same


@pytest.mark.parametrize("version", ["SELECT 1 WHERE 1 = 0", "SELECT id FROM r"])
def test_a_version_query_must_tell_a_version(make: Make, version: str) -> None:
    path = make("CREATE TABLE r (id INTEGER)", r=[(i,) for i in range(1001)])
    with pytest.raises(ConfigError, match="tells no version"):
        SqlSource(DatabaseQuery(file=str(path), table="r", version_query=version)).digest()


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
TYPES = (("i", "int"), ("id", "int"), ("s", "string"), ("x", "float"))


def write_files(folder: Path, rows: list[tuple[Any, ...]]) -> None:
    """The rows, numbered, as CSV, Parquet and SQLite."""
    numbered = [(number, *row) for number, row in enumerate(rows)]
    names = ("id", "i", "x", "s")
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *numbered])
    columns = dict(zip(names, map(list, zip(*numbered, strict=True)), strict=True))
    kinds = (pa.int64(), pa.int64(), pa.float64(), pa.string())
    table = pa.table({n: pa.array(columns[n], k) for n, k in zip(names, kinds, strict=True)})
    pq.write_table(table, folder / "rows.parquet")
    (folder / "rows.db").unlink(missing_ok=True)
    with sqlite3.connect(folder / "rows.db") as connection:
        connection.execute("CREATE TABLE r (id INTEGER, i INTEGER, x REAL, s TEXT)")
        connection.executemany("INSERT INTO r VALUES (?, ?, ?, ?)", numbered)
    connection.close()


@settings(max_examples=15, deadline=None)
@given(rows_of_all_kinds)
def test_the_same_rows_make_the_same_splits_from_any_source(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("same")
    write_files(folder, rows)
    found = set()
    for number, source in enumerate(
        (
            {"source": str(folder / "rows.csv")},
            {"source": str(folder / "rows.parquet")},
            {"database": DatabaseQuery(file=str(folder / "rows.db"), table="r", key=("id",))},
        )
    ):
        (folder / str(number)).mkdir()
        request = IngestRequest(**source, column_types=TYPES, shares=(("all", 1.0),))  # type: ignore[arg-type]
        found.add(ingest(request, folder / str(number)).split_digests)
    assert len(found) == 1
