"""Categories: counted by pandas, looked up in the graph, seen, unseen and missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow_transform as tft


def counted(column: pa.Array) -> pd.Series:
    """Rows of each value that a vocabulary can hold."""
    values = pd.Series(column.to_pylist(), dtype=object).dropna()
    return values[[v != "" and "\n" not in str(v) for v in values]].value_counts()


def ranked(series: pd.Series) -> list[str]:
    """The values in tf.Transform's order: by count, then the last in the order of bytes."""
    counts = series.to_dict()
    return sorted(counts, key=lambda v: (counts[v], str(v).encode()), reverse=True)


def test_a_count_is_that_of_pandas_for_the_most_frequent(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    counts = counted(columns["area"]).head(2)
    assert outputs["area_count"].dtype == np.int64
    assert outputs["area_count"].tolist() == [
        counts.get(value, 0) for value in columns["area"].to_pylist()
    ]
    assert len(set(outputs["area_count"])) == 3


def test_ids_go_by_frequency_after_missing_and_unknown(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    names = ranked(counted(columns["dense_city"]))[:4]
    ids = {name: i + 2 for i, name in enumerate(names)} | {"": 0}
    got = outputs["city_id"]
    assert got.dtype == np.int64
    assert got.tolist() == [ids.get(value, 1) for value in columns["dense_city"].to_pylist()]
    assert set(got) == {0, 1, 2, 3, 4, 5}


def test_values_that_a_file_could_trip_over_are_told_apart(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    # Bytes that are no UTF-8 are taken as Python's decoder takes them.
    values = [value.decode("utf-8", "replace") for value in columns["raw"].to_pylist()]
    counts = pd.Series([v for v in values if not set(v) & set("\r\n")]).value_counts().to_dict()
    shares = [counts.get(value, 0) / len(values) for value in values]
    assert outputs["raw_share"].dtype == np.float32
    np.testing.assert_allclose(outputs["raw_share"], shares, rtol=1e-6)
    ids = {value: i + 2 for i, value in enumerate(ranked(pd.Series(counts)))}
    assert outputs["raw_id"].tolist() == [ids.get(value, 1) for value in values]
    assert len(ids) == len(set(columns["raw"].to_pylist())) - 3  # the ones with a line break


def test_a_vocabulary_is_found_by_its_name(transformed: Any) -> None:
    output = tft.TFTransformOutput(str(transformed.folder / "graph"))
    names = ranked(counted(transformed.columns["dense_city"]))[:4]
    assert [n.decode() for n in output.vocabulary_by_name("city")] == names


def test_rare_values_get_one_name(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    counts = counted(columns["city"])
    common = set(counts[counts / len(columns["city"]) >= 0.03].index) | {""}
    expected = [v if v in common else "other" for v in columns["city"].to_pylist() if v is not None]
    got = [v.decode() for v in outputs["city_common"]]
    present = [v is not None for v in columns["city"].to_pylist()]
    assert [v for v, there in zip(got, present, strict=True) if there] == expected
    assert {v for v, there in zip(got, present, strict=True) if not there} == {""}
    assert {"x\ny", "Rare one", "Rare two"}.isdisjoint(got)


def test_values_that_were_not_there_are_unseen(
    transformed: Any, columns: Mapping[str, pa.Array]
) -> None:
    rows = {name: column.slice(0, 4) for name, column in columns.items()}
    # The last one is what tf.Transform writes for an empty vocabulary.
    names = ["New York", "New\u00a0Yorkshire", "x\ny", "49d0cd50-04bb-48c0-bc6f-5b575dce351a"]
    rows |= {"city": pa.array(names), "dense_city": pa.array(names)}
    rows["raw"] = pa.array([b"a b", b"A B", b"", b"a\nb"])
    rows["area"] = pa.array([99, None, 10**18, -(2**62)])
    got = transformed.apply(rows)
    assert (got["raw_share"] > 0).tolist() == [True, False, False, False]
    assert got["city_id"].tolist() == [2, 1, 1, 1]
    assert got["city_common"].tolist() == [b"New York", b"other", b"other", b"other"]
    assert got["area_count"].tolist() == [0, 0, 0, 0]
    assert got["area_mode"].tolist()[2:] == [10**18, -(2**62)]
