"""Statistics: TFDV's own numbers, whatever the batches, for every split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_data_validation as tfdv

from mlproject.engine import read_record_batches, run_pipeline
from mlproject.errors import DataError
from mlproject.examples.reader import read_batches, to_example_batch
from mlproject.statistics import compute_statistics, read_statistics, statistics_of_batches

SPLITS = ("train", "eval")


@pytest.fixture(scope="module")
def computed(taxi_examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("statistics")
    compute_statistics(taxi_examples, SPLITS, out)
    return out


@pytest.fixture(scope="module")
def own(taxi_examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """TFDV's public Beam transform over the train split."""
    file = tmp_path_factory.mktemp("tfdv") / "stats.tfrecord"
    split_dir = taxi_examples / "Split-train"

    def build(pipeline: Any) -> None:
        rows = read_record_batches(
            pipeline, lambda: map(to_example_batch, read_batches(split_dir)), "Read"
        )
        statistics = rows | tfdv.GenerateStatistics()
        statistics | tfdv.WriteStatisticsToTFRecord(str(file))

    run_pipeline(build)
    return tfdv.load_statistics(str(file))


def features(statistics: Any) -> dict[str, Any]:
    return {feature.path.step[0]: feature for feature in statistics.datasets[0].features}


def exact(feature: Any) -> dict[str, Any]:
    """What must be equal to the last digit: everything but quantiles and floating sums."""
    kind = feature.WhichOneof("stats")
    common = getattr(feature, kind).common_stats
    values: dict[str, Any] = {
        "type": feature.type,
        "kind": kind,
        "present": common.num_non_missing,
        "missing": common.num_missing,
        "values": (common.min_num_values, common.max_num_values, common.tot_num_values),
    }
    if kind == "num_stats":
        numbers = feature.num_stats
        values |= {"zeros": numbers.num_zeros, "min": numbers.min, "max": numbers.max}
    else:
        strings = feature.string_stats
        values |= {
            "unique": strings.unique,
            "top": [(top.value, top.frequency) for top in strings.top_values],
            "ranks": [(b.label, b.sample_count) for b in strings.rank_histogram.buckets],
        }
    return values


def near(feature: Any) -> list[float]:
    """What is a sum of floating numbers, whose order may change the last digits."""
    if feature.WhichOneof("stats") == "num_stats":
        return [feature.num_stats.mean, feature.num_stats.std_dev]
    return [feature.string_stats.avg_length]


def quantile_bounds(feature: Any) -> list[float]:
    histograms = feature.num_stats.histograms
    (quantiles,) = [h for h in histograms if h.type == h.QUANTILES]
    return [b.low_value for b in quantiles.buckets] + [quantiles.buckets[-1].high_value]


def test_statistics_are_those_of_tfdvs_own_pipeline(computed: Path, own: Any) -> None:
    ours, theirs = features(read_statistics(computed, "train")), features(own)
    assert list(ours) == list(theirs)
    assert len(ours) == 18
    for name, feature in ours.items():
        assert exact(feature) == exact(theirs[name]), name
        np.testing.assert_allclose(near(feature), near(theirs[name]), rtol=1e-9, err_msg=name)


def test_counts_mean_and_bounds_are_those_of_the_rows(taxi_examples: Path, computed: Path) -> None:
    train = read_statistics(computed, "train")
    table = pq.read_table(taxi_examples / "Split-train")
    assert train.datasets[0].num_examples == table.num_rows
    by_name = features(train)
    for name in ("fare", "trip_seconds", "pickup_latitude", "dropoff_community_area"):
        column = table[name].drop_null().to_numpy().astype("float32").astype("float64")
        numbers = by_name[name].num_stats
        assert numbers.common_stats.num_missing == table[name].null_count, name
        assert numbers.common_stats.num_non_missing == len(column), name
        assert (numbers.min, numbers.max) == (column.min(), column.max()), name
        assert numbers.mean == pytest.approx(column.mean(), rel=1e-6), name
        assert numbers.std_dev == pytest.approx(column.std(), rel=1e-5), name
    assert by_name["company"].string_stats.common_stats.num_missing == table["company"].null_count


def test_top_values_are_the_most_frequent_ones(taxi_examples: Path, computed: Path) -> None:
    names = pq.read_table(taxi_examples / "Split-train")["payment_type"].to_pylist()
    counts = sorted(((names.count(n), n) for n in set(names)), reverse=True)
    top = features(read_statistics(computed, "train"))["payment_type"].string_stats.top_values
    assert [(t.frequency, t.value) for t in top] == counts


def test_quantiles_cut_the_rows_into_equal_parts(taxi_examples: Path, computed: Path) -> None:
    by_name = features(read_statistics(computed, "train"))
    table = pq.read_table(taxi_examples / "Split-train")
    for name in ("pickup_latitude", "trip_start_timestamp", "fare"):
        column = np.sort(table[name].drop_null().to_numpy().astype("float32"))
        bounds = quantile_bounds(by_name[name])
        assert len(bounds) == 11
        # A value that stands in many rows is a bound of more than one part: its ranks are a range.
        low = np.searchsorted(column, np.float32(bounds), side="left") / len(column)
        high = np.searchsorted(column, np.float32(bounds), side="right") / len(column)
        wanted = np.linspace(0, 1, 11)
        assert (low <= wanted + 0.02).all(), name
        assert (high >= wanted - 0.02).all(), name


@pytest.mark.parametrize("batch_rows", [1, 97, 100_000])
def test_the_size_of_the_batches_does_not_matter(
    taxi_examples: Path, computed: Path, batch_rows: int
) -> None:
    columns = ["fare", "company", "trip_seconds", "pickup_census_tract"]
    batches = read_batches(taxi_examples / "Split-eval", columns, batch_rows)
    cut = features(statistics_of_batches(map(to_example_batch, batches)))
    whole = features(read_statistics(computed, "eval"))
    assert set(cut) == set(columns)
    for name in columns:
        assert exact(cut[name]) == exact(whole[name]), name
        np.testing.assert_allclose(near(cut[name]), near(whole[name]), rtol=1e-9, atol=1e-12)


def test_each_split_has_statistics_of_its_own_rows(taxi_examples: Path, tmp_path: Path) -> None:
    told: list[int] = []
    compute_statistics(taxi_examples, ("eval", "train"), tmp_path, told.append)
    rows = {s: pq.read_table(taxi_examples / f"Split-{s}").num_rows for s in SPLITS}
    assert rows["train"] != rows["eval"]
    for split in SPLITS:
        assert read_statistics(tmp_path, split).datasets[0].num_examples == rows[split]
    assert told == [rows["eval"], rows["eval"] + rows["train"]]


def test_a_column_without_a_value_is_counted_as_missing(
    tmp_path: Path, write_split: Callable[..., Path]
) -> None:
    empty = pa.array([None] * 4, pa.int64())
    write_split(tmp_path / "in" / "Split-train", {"x": pa.array([1.5, None, 0.0, 2.0]), "n": empty})
    compute_statistics(tmp_path / "in", ["train"], tmp_path / "out")
    by_name = features(read_statistics(tmp_path / "out", "train"))
    assert exact(by_name["x"]) == {
        "type": 1,
        "kind": "num_stats",
        "present": 3,
        "missing": 1,
        "values": (1, 1, 3),
        "zeros": 1,
        "min": 0.0,
        "max": 2.0,
    }
    kind = by_name["n"].WhichOneof("stats")
    assert getattr(by_name["n"], kind).common_stats.num_missing == 4


def test_a_split_that_is_not_there_is_a_data_error(taxi_examples: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Split-test"):
        compute_statistics(taxi_examples, ["test"], tmp_path)
