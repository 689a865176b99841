"""Options of the statistics: checked, weighed, and changed by the module file."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from mlproject.errors import ConfigError, DataError, UserModuleError
from mlproject.statistics import (
    StatisticsOptions,
    StatsType,
    compute_statistics,
    read_statistics,
    user_updater,
)

Load = Callable[[str], ModuleType]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 0.5, "sample_rows": 5}, "both"),
        ({"sample_rate": 0.0}, "sample_rate: 0.0"),
        ({"sample_rate": 1.01}, "sample_rate: 1.01"),
        ({"sample_rate": math.nan}, "sample_rate: nan"),
        ({"sample_rows": 0}, "sample_rows: 0"),
        ({"num_top_values": 0}, "num_top_values: 0"),
        ({"num_histogram_buckets": 1}, "num_histogram_buckets: 1"),
        ({"slices": ("a,a",)}, "'a,a'"),
        ({"slices": ("a,",)}, "'a,'"),
        ({"slices": ("a,b", "b, a")}, "every column or cross once"),
    ],
)
def test_options_that_contradict_themselves_are_refused(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        StatisticsOptions(**values)


@pytest.fixture
def examples(tmp_path: Path, write_split: Callable[..., Path]) -> Path:
    columns = {
        "x": pa.array([float(n) for n in range(100)]),
        "word": pa.array([f"w{n % 30:02d}" for n in range(100)]),
        "weight": pa.array([1.0] * 50 + [3.0] * 50),
    }
    write_split(tmp_path / "in" / "Split-train", columns)
    return tmp_path / "in"


def computed(examples: Path, out: Path, *args: Any) -> dict[str, Any]:
    compute_statistics(examples, ["train"], out, None, *args)
    (dataset,) = read_statistics(out, "train").datasets
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_sizes_are_those_asked_for(examples: Path, tmp_path: Path) -> None:
    options = StatisticsOptions(
        num_top_values=7, num_histogram_buckets=25, num_quantiles_histogram_buckets=4
    )
    found = computed(examples, tmp_path / "out", options)
    assert len(found["word"].string_stats.top_values) == 7
    histograms = found["x"].num_stats.histograms
    assert [len(histogram.buckets) for histogram in histograms] == [25, 4]


def test_rows_count_by_their_weight(examples: Path, tmp_path: Path) -> None:
    found = computed(examples, tmp_path / "out", StatisticsOptions(weight="weight"))
    weighted = found["x"].num_stats.weighted_numeric_stats
    assert weighted.mean == pytest.approx((24.5 * 1 + 74.5 * 3) / 4)
    assert found["x"].num_stats.mean == pytest.approx(49.5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (pa.array(["1", "2"]), "values of type string"),
        (pa.array([[1], [2]]), "values of type list"),
        (pa.array([1.0, None]), "1 missing weights"),
        (pa.array([1.0, -0.5]), r"1 such weights, first -0\.5"),
        (pa.array([math.nan, 1.0]), "first nan"),
        (pa.array([1.0, 1e39]), r"first 1e\+39"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(
    weights: pa.Array, message: str, tmp_path: Path, write_split: Callable[..., Path]
) -> None:
    write_split(tmp_path / "in" / "Split-train", {"x": pa.array([1, 2]), "w": weights})
    with pytest.raises(DataError, match=f"'w' cannot weigh rows.*{message}"):
        computed(tmp_path / "in", tmp_path / "out", StatisticsOptions(weight="w"))


def test_an_unknown_weight_is_named_with_the_closest(examples: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'wieght'.*did you mean 'weight'\?"):
        computed(examples, tmp_path / "out", StatisticsOptions(weight="wieght"))


def test_the_module_file_updates_tfdvs_options(
    examples: Path, tmp_path: Path, load_code: Load
) -> None:
    module = load_code(
        "def stats_options_updater_fn(stats_type, stats_options):\n"
        "    assert stats_type.name == 'PRE_TRANSFORM', stats_type\n"
        "    assert stats_options.num_top_values == 9\n"
        "    stats_options.num_top_values = 3\n"
        "    stats_options.feature_allowlist = ['word']\n"
        "    stats_options.sample_rate = 0.5\n"
        "    return stats_options\n"
    )
    updater = user_updater(module, tmp_path / "project.py")
    found = computed(examples, tmp_path / "out", StatisticsOptions(num_top_values=9), updater)
    assert list(found) == ["word"]
    assert len(found["word"].string_stats.top_values) == 3
    common = found["word"].string_stats.common_stats
    assert 30 < common.num_non_missing < 70


def test_a_generator_of_the_module_file_sees_every_column(
    examples: Path, tmp_path: Path, load_code: Load
) -> None:
    module = load_code(
        "from tensorflow_data_validation.statistics.generators import stats_generator\n"
        "from tensorflow_metadata.proto.v0 import statistics_pb2\n"
        "class Columns(stats_generator.CombinerStatsGenerator):\n"
        "    def __init__(self): super().__init__('Columns', None)\n"
        "    def create_accumulator(self): return set()\n"
        "    def add_input(self, seen, batch): return seen | set(batch.schema.names)\n"
        "    def merge_accumulators(self, many): return set().union(*many)\n"
        "    def extract_output(self, seen):\n"
        "        result = statistics_pb2.DatasetFeatureStatistics()\n"
        "        feature = result.features.add()\n"
        "        feature.path.step.append('x')\n"
        "        feature.custom_stats.add(name='columns', str=','.join(sorted(seen)))\n"
        "        return result\n"
        "def stats_options_updater_fn(stats_type, stats_options):\n"
        "    stats_options.generators = [Columns()]\n"
        "    return stats_options\n"
    )
    found = computed(
        examples,
        tmp_path / "out",
        StatisticsOptions(),
        user_updater(module, tmp_path / "project.py"),
    )
    (custom,) = found["x"].custom_stats
    assert custom.str == "weight,word,x"
    assert found["x"].num_stats.max == 99.0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "did not return the options.*NoneType"),
        ("return stats_options.nothing", "stats_options_updater_fn.*line 2.*nothing"),
        ("stats_options.sample_rate = 7\n    return stats_options", "line 2"),
        (
            "stats_options.experimental_slice_functions = [lambda batch: []]\n"
            "    return stats_options",
            "sets slices.*statistics.slices",
        ),
        (
            "from tensorflow_data_validation.statistics.generators import stats_generator as g\n"
            "    stats_options.generators = [g.TransformStatsGenerator('mine', None)]\n"
            "    return stats_options",
            "needs a Beam pipeline of its own.*TransformStatsGenerator",
        ),
        (
            "from tensorflow_data_validation.statistics.generators import stats_generator as g\n"
            "    class Mine(g.CombinerStatsGenerator):\n"
            "        def create_accumulator(self): return 0\n"
            "        def add_input(self, done, batch): return batch.no_such_thing\n"
            "    stats_options.generators = [Mine('mine', None)]\n"
            "    return stats_options",
            "project.py line 5.*no_such_thing",
        ),
    ],
)
def test_an_updater_that_fails_is_named_with_its_line(
    body: str, message: str, examples: Path, tmp_path: Path, load_code: Load
) -> None:
    module = load_code(f"def stats_options_updater_fn(stats_type, stats_options):\n    {body}\n")
    updater = user_updater(module, tmp_path / "project.py")
    with pytest.raises(UserModuleError, match=message):
        computed(examples, tmp_path / "out", StatisticsOptions(), updater)


def test_a_module_file_without_an_updater_has_none(load_code: Load) -> None:
    assert user_updater(load_code("x = 1\n"), Path("project.py")) is None


def test_the_types_of_statistics_are_tfxs() -> None:
    assert {kind.name: kind.value for kind in StatsType} == {
        "UNKNOWN": 0,
        "PRE_TRANSFORM": 1,
        "POST_TRANSFORM": 2,
    }
