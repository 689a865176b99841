"""Statistics equal TFDV's own on the same rows: plain, weighted, sliced, merged, of every type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf.json_format import MessageToDict
from tensorflow_data_validation.utils import slicing_util
from tensorflow_metadata.proto.v0 import schema_pb2

from mlproject.engine import read_record_batches, run_pipeline
from mlproject.examples.reader import to_example_batch
from mlproject.statistics import (
    StatisticsOptions,
    compute_statistics,
    read_statistics,
    statistics_of_batches,
)
from mlproject.statistics.combiner import Combiner
from mlproject.statistics.options import tfdv_options
from mlproject.statistics.slices import ColumnSlicer

ROWS = 4_000
WEIGHT = "weight"


def some(rng: np.random.Generator, values: Iterable[Any], missing: float) -> list[Any]:
    return [None if rng.random() < missing else value for value in values]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Every type that Examples hold, with missing values; more values than a sketch counts."""
    rng = np.random.default_rng(11)
    words = [f"word {int(n)}" for n in rng.pareto(0.5, ROWS).clip(max=1e4) * 50]
    lists = [list(range(int(n))) or None for n in rng.integers(0, 5, ROWS)]
    return pa.table(
        {
            "int": pa.array(some(rng, rng.integers(-5, 50, ROWS).tolist(), 0.1), pa.int64()),
            "float": pa.array(some(rng, rng.normal(3, 50, ROWS).tolist(), 0.2), pa.float64()),
            "skewed": pa.array(rng.lognormal(0, 3, ROWS)),
            "word": pa.array(some(rng, words, 0.05)),
            "kind": pa.array(some(rng, rng.choice(["a", "b", "é", ""], ROWS).tolist(), 0.1)),
            "id": pa.array([f"row {n}" for n in range(ROWS)]),
            "image": pa.array(some(rng, [bytes([255, n % 256]) for n in range(ROWS)], 0.1)),
            "ints": pa.array(lists, pa.list_(pa.int64())),
            "vector": pa.array(rng.normal(size=(ROWS, 3)).tolist(), pa.list_(pa.float64())),
            "tags": pa.array(
                [None if row is None else [f"t{n}" for n in row] for row in lists],
                pa.list_(pa.string()),
            ),
            WEIGHT: pa.array(rng.integers(0, 5, ROWS).astype("float64")),
            "empty": pa.array([None] * ROWS, pa.int64()),
        }
    )


def batches(table: pa.Table, rows: int = ROWS) -> list[pa.RecordBatch]:
    return [to_example_batch(b) for b in table.combine_chunks().to_batches(max_chunksize=rows)]


def image_schema() -> Any:
    schema = schema_pb2.Schema()
    schema.feature.add(name="image", type=schema_pb2.BYTES).image_domain.SetInParent()
    return schema


def beam_statistics(rows: Sequence[pa.RecordBatch], folder: Path, **options: Any) -> Any:
    """What TFDV's own Beam transform makes of the rows."""
    file = folder / "stats.tfrecord"
    made = tfdv.StatsOptions(schema=image_schema(), **options)

    def build(pipeline: Any) -> None:
        statistics = read_record_batches(pipeline, lambda: iter(rows), "Read")
        statistics = statistics | tfdv.GenerateStatistics(made)
        statistics | tfdv.WriteStatisticsToTFRecord(str(file))

    run_pipeline(build)
    return tfdv.load_statistics(str(file))


def plain(feature: Any) -> dict[str, Any]:
    """A feature's statistics without those that are made of quantiles."""
    copy = type(feature)()
    copy.CopyFrom(feature)
    kind = copy.WhichOneof("stats")
    getattr(copy, kind).common_stats.ClearField("num_values_histogram")
    if kind == "num_stats":
        for numbers in (copy.num_stats, copy.num_stats.weighted_numeric_stats):
            numbers.ClearField("histograms")
            numbers.ClearField("median")
    return dict(MessageToDict(copy))


def assert_close(ours: Any, theirs: Any, where: str) -> None:
    """Equal in form, texts and counts; floating sums to 1e-6 of their size."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert sorted(ours) == sorted(theirs), where
        for key in ours:
            assert_close(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_close(*pair, f"{where}[{place}]")
    elif isinstance(ours, float) and not ours.is_integer():
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9), where
    else:
        assert ours == theirs, where


def assert_equal_statistics(ours: Any, theirs: Any) -> None:
    names = {dataset.name for dataset in theirs.datasets}
    by_name = {dataset.name: dataset for dataset in ours.datasets}
    assert names <= set(by_name)
    for dataset in theirs.datasets:
        own = by_name[dataset.name]
        assert own.num_examples == dataset.num_examples
        assert own.weighted_num_examples == pytest.approx(dataset.weighted_num_examples)
        # The Beam pipeline has no feature of a column without a value in a small slice's place.
        mine = {f.path.step[0]: f for f in own.features}
        yours = {f.path.step[0]: f for f in dataset.features}
        assert set(mine) == set(yours)
        for name, feature in mine.items():
            assert_close(plain(feature), plain(yours[name]), f"{dataset.name}/{name}")


def test_every_type_has_the_statistics_of_tfdvs_own_pipeline(
    table: pa.Table, tmp_path: Path
) -> None:
    ours = statistics_of_batches(batches(table, 700), bytes_columns=["image"])
    assert_equal_statistics(ours, beam_statistics(batches(table), tmp_path))
    by_name = {f.path.step[0]: f for f in ours.datasets[0].features}
    assert by_name["word"].string_stats.unique > 1_024  # beyond what a sketch counts exactly
    assert by_name["id"].string_stats.unique == ROWS
    assert by_name["image"].WhichOneof("stats") == "bytes_stats"


def test_weighted_statistics_are_those_of_tfdvs_own_pipeline(
    table: pa.Table, tmp_path: Path
) -> None:
    ours = statistics_of_batches(
        batches(table, 900), StatisticsOptions(weight=WEIGHT), bytes_columns=["image"]
    )
    theirs = beam_statistics(batches(table), tmp_path, weight_feature=WEIGHT)
    assert_equal_statistics(ours, theirs)
    weights = table[WEIGHT].to_numpy()
    (dataset,) = ours.datasets
    assert dataset.weighted_num_examples == weights.sum()
    skewed = next(f for f in dataset.features if f.path.step[0] == "skewed")
    values = table["skewed"].to_numpy().astype("float32")
    mean = skewed.num_stats.weighted_numeric_stats.mean
    assert mean == pytest.approx(np.average(values, weights=weights), rel=1e-6)


def test_sliced_statistics_are_those_of_tfdvs_own_pipeline(table: pa.Table, tmp_path: Path) -> None:
    options = StatisticsOptions(slices=("kind", "kind,ints", "tags"))
    ours = statistics_of_batches(batches(table, 1_500), options, bytes_columns=["image"])
    slicers = [
        slicing_util.get_feature_value_slicer(dict.fromkeys(columns))
        for columns in (["kind"], ["kind", "ints"], ["tags"])
    ]
    theirs = beam_statistics(batches(table), tmp_path, experimental_slice_functions=slicers)
    assert_equal_statistics(ours, theirs)
    own = {dataset.name: dataset.num_examples for dataset in ours.datasets}
    assert next(iter(own)) == "All Examples"
    # TFDV leaves these rows out of every slice.
    missing = set(own) - {dataset.name for dataset in theirs.datasets}
    assert own["kind (missing)"] == table["kind"].null_count
    assert own["tags (missing)"] == table["tags"].null_count
    assert all("(missing)" in name for name in missing)
    assert sum(n for name, n in own.items() if name.startswith("kind")) == ROWS


def test_sliced_and_weighted_statistics_are_tfdvs_own(table: pa.Table, tmp_path: Path) -> None:
    columns = ["kind", "float", WEIGHT]
    small = batches(table.select(columns), 333)
    ours = statistics_of_batches(small, StatisticsOptions(slices=("kind",), weight=WEIGHT))
    slicer = slicing_util.get_feature_value_slicer({"kind": None})
    theirs = beam_statistics(
        small, tmp_path, weight_feature=WEIGHT, experimental_slice_functions=[slicer]
    )
    assert_equal_statistics(ours, theirs)


def test_statistics_are_those_of_tfdv_on_a_dataframe(table: pa.Table) -> None:
    frame: pd.DataFrame = table.select(["skewed", "id", "word", WEIGHT]).to_pandas()
    frame = frame.astype({"skewed": "float32", WEIGHT: "float32"})
    theirs = tfdv.generate_statistics_from_dataframe(frame)
    ours = statistics_of_batches(batches(table.select(list(frame.columns))))
    for mine, yours in zip(ours.datasets[0].features, theirs.datasets[0].features, strict=True):
        left, right = plain(mine), plain(yours)
        if "stringStats" in left:  # a sketch there: counts of the many values are estimates
            for side in (left["stringStats"], right["stringStats"]):
                del side["unique"], side["rankHistogram"], side["topValues"]
        assert_close(left, right, str(mine.path))


def ranks(values: np.ndarray[Any, Any], bound: float) -> tuple[float, float]:
    ordered = np.sort(values)
    low = np.searchsorted(ordered, bound, side="left") / len(ordered)
    return float(low), float(np.searchsorted(ordered, bound, side="right") / len(ordered))


@pytest.mark.parametrize("rows", [50, 1_111, ROWS])
def test_quantiles_are_within_the_sketchs_error(table: pa.Table, rows: int) -> None:
    made = statistics_of_batches(batches(table.select(["float", "skewed", "int"]), rows))
    for feature in made.datasets[0].features:
        values = table[feature.path.step[0]].drop_null().to_numpy().astype("float32")
        histograms = {h.type: h for h in feature.num_stats.histograms}
        buckets = histograms[1].buckets
        bounds = [b.low_value for b in buckets] + [buckets[-1].high_value]
        for place, bound in enumerate(np.float32(bounds)):
            low, high = ranks(values, bound)
            assert low - 0.01 <= place / 10 <= high + 0.01
        low, high = ranks(values, np.float32(feature.num_stats.median))
        assert low - 0.01 <= 0.5 <= high + 0.01
        standard = histograms[0].buckets
        assert sum(b.sample_count for b in standard) == pytest.approx(len(values))


def combined(parts: Sequence[Sequence[pa.RecordBatch]], options: StatisticsOptions) -> Any:
    """Statistics of parts that are accumulated apart and merged in the given order."""
    slicers = [ColumnSlicer(columns) for columns in options.slice_columns]
    with ThreadPoolExecutor(2) as pool:
        combiners = []
        for part in parts:
            combiners.append(Combiner(tfdv_options(options, ["image"]), slicers, pool))
            for batch in part:
                combiners[-1].add(batch)
        first, *others = combiners
        for other in others:
            first.merge(other)
        return first.extract()


def test_neither_batch_size_nor_the_order_of_merging_matters(table: pa.Table) -> None:
    options = StatisticsOptions(slices=("kind",), weight=WEIGHT)
    whole = combined([batches(table)], options)
    cut = [batches(table.slice(at, 1_000), 128) for at in range(0, ROWS, 1_000)]
    for parts in (cut, cut[::-1], [cut[2], [], cut[0] + cut[3], cut[1]]):
        assert_equal_statistics(combined(parts, options), whole)


def test_the_same_rows_give_the_same_bytes_on_one_thread_and_on_many(table: pa.Table) -> None:
    made = []
    for threads in (1, 4):
        with ThreadPoolExecutor(threads) as pool:
            combiner = Combiner(
                tfdv_options(StatisticsOptions(slices=("kind",))), [ColumnSlicer(("kind",))], pool
            )
            for batch in batches(table, 500):
                combiner.add(batch)
            made.append(combiner.extract().SerializeToString(deterministic=True))
    assert made[0] == made[1]


def test_a_split_with_spans_has_statistics_of_each_and_of_all(
    table: pa.Table, tmp_path: Path
) -> None:
    folder = tmp_path / "in" / "Split-train"
    folder.mkdir(parents=True)
    cuts = {7: (0, 1_000), 8: (1_000, 500), 10: (1_500, 2_500)}
    for span, (start, rows) in cuts.items():
        pq.write_table(table.slice(start, rows), folder / f"span-{span:010d}.parquet")
    options = StatisticsOptions(slices=("kind",))
    told: list[int] = []
    compute_statistics(tmp_path / "in", ["train"], tmp_path / "out", told.append, options)
    assert told[-1] == ROWS
    one = statistics_of_batches(batches(table), options, ["image"])
    assert_equal_statistics(read_statistics(tmp_path / "out", "train"), one)
    for span, (start, rows) in cuts.items():
        own = statistics_of_batches(batches(table.slice(start, rows)), options, ["image"])
        assert_equal_statistics(read_statistics(tmp_path / "out", "train", span), own)


def test_values_that_are_no_finite_numbers_spoil_no_other_feature(tmp_path: Path) -> None:
    odd = {
        "nan": [1.0, math.nan, 3.0, None],
        "infinite": [1.0, math.inf, -math.inf, math.nan],
        "only infinite": [math.inf, math.inf, None, None],
        "only nan": [math.nan, math.nan, None, None],
        "beyond float32": [1e39, 2.0, None, None],
        "at its end": [3e38, -3e38, 1.0, None],
        "even": [1.0, 1.0, 1.0, 1.0],
    }
    table = pa.table({name: pa.array(values, pa.float64()) for name, values in odd.items()})
    made = statistics_of_batches(batches(table, 1))
    found = {f.path.step[0]: f.num_stats for f in made.datasets[0].features}
    ends = {name: (numbers.min, numbers.max) for name, numbers in found.items()}
    assert ends["nan"] == (1.0, 3.0)
    assert ends["infinite"] == (-math.inf, math.inf)
    assert ends["beyond float32"] == (2.0, math.inf)
    assert {name: numbers.histograms[0].num_nan for name, numbers in found.items()} == {
        **dict.fromkeys(odd, 0),
        **{"nan": 1, "infinite": 1, "only nan": 2},
    }
    assert (found["even"].mean, found["even"].std_dev, found["nan"].mean) == (1.0, 0.0, 2.0)
    assert math.isnan(found["infinite"].mean)
    assert len(tfdv.infer_schema(made).feature) == len(odd)
    assert_equal_statistics(made, beam_statistics(batches(table), tmp_path))
