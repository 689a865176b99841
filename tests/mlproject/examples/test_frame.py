"""A DataFrame in, Examples out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.errors import ConfigError, DataError
from mlproject.examples.formats import ReadOptions
from mlproject.examples.frame_source import FrameSource
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import IngestRequest

ROWS = 60


def run(tmp_path: Path, frame: pd.DataFrame, **request: object) -> Examples:
    (tmp_path / "out").mkdir()
    return ingest(IngestRequest(frame=frame, **request), tmp_path / "out")  # type: ignore[arg-type]


def values(tmp_path: Path, name: str) -> list[object]:
    batches = [b for d in (tmp_path / "out").iterdir() for b in read_batches(d)]
    return pa.Table.from_batches(batches).sort_by("id")[name].to_pylist()


def column(found: object) -> pd.DataFrame:
    return pd.DataFrame({"id": range(ROWS), "x": found})


@pytest.mark.parametrize(
    ("found", "column_type", "first"),
    [
        (["a", None] * 30, "string", ["a", None]),
        ([1, None] * 30, "float", [1.0, None]),  # pandas makes these floats
        (pd.array([1, None] * 30, dtype="Int64"), "int", [1, None]),
        (pd.array([0.5, None] * 30, dtype="Float64"), "float", [0.5, None]),
        (pd.array([True, None] * 30, dtype="boolean"), "int", [1, None]),
        (pd.array(["a", None] * 30, dtype="string"), "string", ["a", None]),
        (pd.Categorical(["a", None] * 30), "string", ["a", None]),
        (pd.Categorical([7, None] * 30), "int", [7, None]),
        ([True, False] * 30, "int", [1, 0]),
        ([True, None] * 30, "int", [1, None]),
        (np.arange(ROWS, dtype=np.uint8), "int", [0, 1]),
        (np.full(ROWS, 0.5, np.float32), "float", [0.5, 0.5]),
        (np.array([np.inf, -np.inf] * 30), "float", [np.inf, -np.inf]),
        ([b"\xff", None] * 30, "bytes", [b"\xff", None]),
        ([[1, 2], None] * 30, "int list", [[1, 2], None]),
        ([["a"], []] * 30, "string list", [["a"], None]),
        ([np.array([0.5, 1.5]), None] * 30, "float list", [[0.5, 1.5], None]),
        ([None] * ROWS, "float", [None, None]),
        ([[]] * ROWS, "float", [None, None]),
        ([Decimal("1.25"), None] * 30, "float", [1.25, None]),
        ([1, 0.5] * 30, "float", [1.0, 0.5]),
        (pd.to_datetime(["1969-12-31 23:59:58.5", None] * 30), "int", [-2, None]),
        (
            pd.to_datetime(["2020-01-01 02:00"] * ROWS).tz_localize("+02:00"),
            "int",
            [1577836800] * 2,
        ),
        ([dt.date(1970, 1, 2), None] * 30, "int", [86_400, None]),
    ],
    ids=range(24),
)
def test_types_convert(tmp_path: Path, found: object, column_type: str, first: object) -> None:
    assert run(tmp_path, column(found)).columns[1] == ("x", column_type)
    assert values(tmp_path, "x")[:2] == first


@pytest.mark.parametrize(
    "found",
    [
        [1, "a"] * 30,
        ["a", b"a", 1.5] * 20,
        [{"a": 1}] * ROWS,
        [[[1]]] * ROWS,
        [dt.time(1)] * ROWS,
        pd.to_timedelta(range(ROWS)),
        pd.period_range("2020", periods=ROWS),
        pd.interval_range(0, ROWS),
        [1j] * ROWS,
        [2**70] * ROWS,
        [object()] * ROWS,
    ],
    ids=range(11),
)
def test_other_values_are_refused(tmp_path: Path, found: object) -> None:
    with pytest.raises(DataError, match=r"Column 'x' of the DataFrame.*dtype"):
        run(tmp_path, column(found))
    assert not list((tmp_path / "out").iterdir())


def test_a_list_with_a_gap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="list in column 'x' has a missing value"):
        run(tmp_path, column([[1, None]] * ROWS))


def test_an_unsigned_value_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'x'.*does not convert to int"):
        run(tmp_path, column(np.full(ROWS, 2**64 - 1, np.uint64)))


def test_declared_types_win(tmp_path: Path) -> None:
    types = (("id", "string"), ("x", "float"))
    assert run(tmp_path, column(["1"] * ROWS), column_types=types).columns == types
    assert values(tmp_path, "x")[0] == 1.0
    with pytest.raises(DataError, match=r"'x' of the DataFrame does not convert to int"):
        list(
            FrameSource(column(["a"] * ROWS))
            .open(ReadOptions(column_types={"x": "int"}))
            .batches(FrameSource(column(0)).open(ReadOptions()).parts[0])
        )
    with pytest.raises(ConfigError, match="did you mean 'x'"):
        FrameSource(column(0)).open(ReadOptions(column_types={"xx": "int"}))


@pytest.mark.parametrize(
    ("columns", "message"),
    [([1, "a"], "no text: 1"), (["a", "a"], "used twice: 'a'"), ([" ", "a"], "no text: ' '")],
)
def test_names_must_tell_columns_apart(columns: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        FrameSource(pd.DataFrame([[1, 2]], columns=columns))


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no pandas DataFrame.*Series"):
        FrameSource(pd.Series([1]))
    with pytest.raises(DataError, match="no columns"):
        FrameSource(pd.DataFrame())


def test_the_index_does_not_count_and_values_do() -> None:
    frame = column(range(ROWS))
    before = FrameSource(frame).digest()
    assert FrameSource(frame.set_index(frame["id"] + 5)).digest() == before
    assert FrameSource(frame[::-1]).digest() != before
    assert FrameSource(frame.rename(columns={"x": "y"})).digest() != before
    assert FrameSource(frame.assign(x=0)).digest() != before


def test_a_frame_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    frame = column(range(ROWS))
    source = FrameSource(frame)
    source.digest()
    source.check_unchanged()
    frame.loc[3, "x"] = 7
    with pytest.raises(DataError, match="changed while it was read"):
        source.check_unchanged()


def test_a_frame_and_its_parquet_file_make_the_same_splits(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "id": range(250_000),
            "x": random.normal(size=250_000),
            "s": pd.Series(random.choice(["a", "b", "ü"], 250_000)).where(
                random.random(250_000) > 0.1
            ),
        }
    )
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "data.parquet")
    (tmp_path / "two").mkdir()
    other = ingest(IngestRequest(source=str(tmp_path / "data.parquet")), tmp_path / "two")
    assert run(tmp_path, frame).split_digests == other.split_digests


def test_a_late_value_widens_a_column_of_objects(tmp_path: Path) -> None:
    late = pd.Series([None] * 150_000 + [1] * 100_000 + [0.5], dtype=object)
    frame = pd.DataFrame({"x": late})
    assert dict(run(tmp_path, frame).columns) == {"x": "float"}
