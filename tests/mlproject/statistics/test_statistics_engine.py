"""Statistics on another engine than the local one: the same, from partial sums that travelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.engine import EngineSettings
from mlproject.engines.settings import read_engine_settings
from mlproject.statistics import StatisticsOptions, compute_statistics, read_statistics
from mlproject.statistics import compute as module

ROWS = 3_000
OPTIONS = [
    StatisticsOptions(),
    StatisticsOptions(slices=("city",), weight="weight"),
    StatisticsOptions(sample_rate=0.4),
    StatisticsOptions(sample_rows=700),
]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    table = pa.table(
        {
            "fare": np.where(rng.random(ROWS) < 0.1, np.nan, rng.gamma(2, 5, ROWS)),
            "hour": rng.integers(0, 24, ROWS),
            "city": rng.choice(["Oslo", "Bern", "Rome"], ROWS),
            "weight": rng.random(ROWS),
            "pair": [[float(i), 1.0] if i % 3 else None for i in range(ROWS)],
            "raw": [b"\xff\x00" * (i % 3 + 1) for i in range(ROWS)],
        }
    )
    for number in (1, 2):
        file = tmp_path / "examples" / "Split-train" / f"span-{number:010d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice((number - 1) * 1_000, number * 1_000), file, row_group_size=300)
    return tmp_path / "examples"


@pytest.fixture
def engine(tmp_path: Path) -> EngineSettings:
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    variables = {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": f"--runner={runner}"}
    return read_engine_settings(variables, str(tmp_path / "temp"))


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "slices", "rate", "rows"])
def test_they_are_those_of_the_local_engine(
    options: StatisticsOptions,
    examples: Path,
    engine: EngineSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PARTITION_ROWS", 300)
    told: list[int] = []
    compute_statistics(examples, ["train"], tmp_path / "here", None, options)
    compute_statistics(examples, ["train"], tmp_path / "there", told.append, options, engine=engine)
    assert told[-1] == ROWS
    for span in (None, 1, 2):
        ours, other = (
            read_statistics(tmp_path / name, "train", span) for name in ("here", "there")
        )
        assert [d.name for d in other.datasets] == [d.name for d in ours.datasets]
        for one, two in zip(ours.datasets, other.datasets, strict=True):
            assert two.num_examples == one.num_examples
            assert two.weighted_num_examples == pytest.approx(one.weighted_num_examples)
            features = {f.path.step[0]: f for f in two.features}
            assert set(features) == {f.path.step[0] for f in one.features}
            for feature in one.features:
                same = features[feature.path.step[0]]
                assert same.string_stats.top_values == feature.string_stats.top_values
                for name in ("mean", "std_dev", "min", "max", "num_zeros"):
                    assert getattr(same.num_stats, name) == pytest.approx(
                        getattr(feature.num_stats, name), nan_ok=True
                    ), (feature.path, name)
