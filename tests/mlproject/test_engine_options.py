"""Runners and their options are checked before anything runs; jobs for clusters are built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlproject.engine import LOCAL, EngineSettings, check_engine, read_partitions
from mlproject.engines.beam_options import DASK_RUNNER, runner_name
from mlproject.engines.settings import read_engine_settings
from mlproject.errors import ConfigError
from mlproject.partitions import Partition

DATAFLOW = "--project=a-project --region=europe-west1 --temp_location=gs://a-bucket/temp"
GOOD = {
    "dask": "--runner=DaskRunner --dask_client_address=tcp://h:8786",
    "dask by file": "--runner=dask --dask_scheduler_file=s.json --dask_npartitions=8",
    "dask by class": "--runner=apache_beam.runners.dask.dask_runner.DaskRunner "
    "--dask_client_address=tcp://h:8786",
    "flink": "--runner=FlinkRunner --flink_master=h:8081 --parallelism=8",
    "flink, short": "--runner flink --flink_master h:8081",
    "spark": "--runner=SparkRunner --spark_master_url=spark://h:7077",
    "dataflow": f"--runner=DataflowRunner {DATAFLOW} --num_workers=4",
    "portable": "--runner=PortableRunner --job_endpoint=h:8099 --environment_type=EXTERNAL "
    "--environment_config=h:50000",
    "in process": "--runner=FnApiRunner",
    "by class": "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
}


def beam(options: str) -> EngineSettings:
    return read_engine_settings({"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": options}, "/t")


@pytest.mark.parametrize("name", GOOD)
def test_options_that_a_runner_can_start_with_pass(name: str) -> None:
    check_engine(beam(GOOD[name]))


def test_beams_own_dask_runner_is_not_to_be_had_by_its_path() -> None:
    assert runner_name(beam(GOOD["dask by class"])) == DASK_RUNNER


def test_the_local_engine_has_nothing_to_check() -> None:
    check_engine(LOCAL)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--runner=FlinkRuner", "did you mean 'FlinkRunner'?"),
        ("--runner=Slurm", "DaskRunner, DataflowRunner"),
        ("--runner=no.such.Runner", "ModuleNotFoundError"),
        ("--runner=pathlib.NoRunner", "AttributeError"),
        ("--runner=FlinkRunner --flink_mastre=hunter2", "did you mean '--flink_master'?"),
        ("--runner=FlinkRunner --flink_master=h:1 hunter2", "belongs to no option"),
        ("--runner=FlinkRunner", "Expected: --flink_master"),
        ("--runner=SparkRunner", "Expected: --spark_master_url"),
        ("--runner=PortableRunner", "Expected: --job_endpoint"),
        ("--runner=DaskRunner", "--dask_client_address or --dask_scheduler_file"),
        ("--runner=DaskRunner --dask_client_address=h --dask_npartitions=hunter2", "npartitions"),
        ("--runner=FlinkRunner --flink_master=h:1 --flink_version=hunter2", "invalid choice"),
        ("--runner=DataflowRunner --region=r --temp_location=gs://bucket/x", "--project"),
        ("--runner=DataflowRunner --project=a-project --temp_location=gs://bucket/x", "--region"),
        ("--runner=DataflowRunner --project=a-project --region=r", "--temp_location"),
        (
            "--runner=DataflowRunner --project=a-project --region=r --temp_location=/hunter2",
            "Invalid GCS path, given for the option: temp_location",
        ),
        (
            "--runner=DataflowRunner --project=HUNTER2 --region=r --temp_location=gs://bucket/x",
            "Invalid Project ID",
        ),
        (
            "--runner=PortableRunner --job_endpoint=hunter2 --environment_type=EXTERNAL",
            "external_service_address is required",
        ),
    ],
)
def test_options_that_no_runner_can_start_with_are_named_without_their_value(
    options: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_engine(beam(options))
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value).lower()


def test_a_dataflow_check_asks_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from apache_beam.io.gcp import gcsio

    def connect(*_args: Any, **_named: Any) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(gcsio.GcsIO, "__init__", connect)
    check_engine(beam(GOOD["dataflow"]))


@pytest.mark.parametrize("name", ["flink", "spark", "dataflow", "portable"])
def test_the_statistics_job_of_a_cluster_is_built_with_its_options(name: str) -> None:
    import apache_beam as beam_api
    import tensorflow_data_validation as tfdv
    from apache_beam.options.pipeline_options import PipelineOptions

    settings = beam(GOOD[name])
    options = PipelineOptions([*settings.runner_options, "--dry_run=True"])
    pipeline = beam_api.Pipeline(options=options)
    partitions = [Partition(Path("/shared"), "x.parquet", i, i + 1, 9, i) for i in (0, 1)]
    batches = read_partitions(pipeline, partitions, lambda _partition: iter(()), "Read")
    batches | tfdv.GenerateStatistics(tfdv.StatsOptions())
    names = [step.unique_name for step in pipeline.to_runner_api().components.transforms.values()]
    assert {"ReadPartitions", "ReadSpread", "Read"} <= set(names)
    assert any("RunStatsGenerators" in name for name in names)
