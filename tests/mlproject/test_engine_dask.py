"""Beam pipelines on a real Dask cluster: a scheduler and worker processes, some of them killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.engine import LOCAL, EngineSettings, map_partitions, read_partitions, run_pipeline
from mlproject.engines.cluster import Cluster, connect, look_around
from mlproject.engines.settings import read_engine_settings
from mlproject.errors import ConfigError, DataError, EngineError, EngineUnavailable
from mlproject.partitions import (
    Partition,
    partitions_of,
    read_partition,
    sweep_unfinished,
    written_aside,
)

pytest.importorskip("distributed", reason="uv pip install dask distributed")
pytestmark = pytest.mark.slow
TAXI = Path(__file__).parents[2] / "examples" / "taxi"


class DaskProcesses:
    """A Dask scheduler and its workers, each a process of one thread."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.address_file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.workers = [self.add_worker() for _ in range(workers)]

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Starts one more worker."""
        return self._start("worker", "--no-nanny", "--nthreads", "1", "--memory-limit", "0")

    def settings(self, workers: int = 1) -> EngineSettings:
        """The engine's settings for this cluster."""
        options = f"--runner=DaskRunner --dask_scheduler_file={self.address_file}"
        return read_engine_settings(
            {
                "BENISON_ENGINE": "beam",
                "BENISON_BEAM_OPTIONS": f"{options} --num_workers={workers}",
            },
            str(self.folder / "temp"),
        )

    def stop(self) -> None:
        """Ends every process."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard"]
        with (self.folder / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--scheduler-file", str(self.address_file), *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """Two workers that live for all tests of this file that kill none."""
    processes = DaskProcesses(tmp_path_factory.mktemp("dask"), 2)
    yield processes
    processes.stop()


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Callable[[int], DaskProcesses]]:
    """Starts a cluster whose processes the test may kill."""
    started: list[DaskProcesses] = []

    def start(workers: int) -> DaskProcesses:
        started.append(DaskProcesses(tmp_path, workers))
        return started[-1]

    yield start
    for processes in started:
        processes.stop()


@pytest.fixture(scope="module")
def split(taxi_examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The taxi train split in row groups of 100 rows."""
    table = pq.read_table(taxi_examples / "Split-train" / "examples-00000.parquet")
    folder = tmp_path_factory.mktemp("small") / "Split-train"
    folder.mkdir()
    pq.write_table(table, folder / "examples-00000.parquet", row_group_size=100)
    return folder


def parts(count: int) -> list[Partition]:
    """Partitions of nothing, for functions that read none."""
    return [Partition(Path("none"), "none", 0, 1, 1, index) for index in range(count)]


def collect(folder: Path, name: str) -> Any:
    """A transform that leaves each element as a file of a worker."""
    import apache_beam as beam

    def leave(element: Any) -> None:
        import uuid

        (folder / f"{name}-{uuid.uuid4().hex}").write_text(json.dumps(element))

    return f"Leave{name}" >> beam.Map(leave)


def everything_of_beam(folder: Path) -> Callable[[Any], None]:
    """A pipeline of what TFDV and tf.Transform use of Beam, and what they do not yet."""

    def build(pipeline: Any) -> None:
        import apache_beam as beam
        from apache_beam.transforms.window import GlobalWindows

        class Tagged(beam.DoFn):
            def process(self, number: int) -> Iterator[Any]:
                yield number
                yield beam.pvalue.TaggedOutput("negative", -number)

        class CountedBundle(beam.DoFn):
            def start_bundle(self) -> None:
                self.count = 0

            def process(self, _number: int) -> None:
                self.count += 1

            def finish_bundle(self) -> Iterator[Any]:
                yield GlobalWindows.windowed_value(self.count)

        numbers = pipeline | "Numbers" >> beam.Create(list(range(20)))
        tagged = numbers | beam.ParDo(Tagged()).with_outputs("negative", main="same")
        tagged.same | collect(folder, "Main")
        tagged.negative | collect(folder, "Negative")
        total = numbers | "Total" >> beam.CombineGlobally(sum)
        share = numbers | beam.Map(lambda n, t: round(n / t, 3), beam.pvalue.AsSingleton(total))
        share | collect(folder, "Singleton")
        with_all = numbers | "All" >> beam.Map(lambda n, a: n * len(a), beam.pvalue.AsList(numbers))
        with_all | collect(folder, "List")
        names = pipeline | "Names" >> beam.Create([(n, str(n)) for n in range(20)])
        named = numbers | "Named" >> beam.Map(lambda n, d: d[n], beam.pvalue.AsDict(names))
        named | collect(folder, "Dict")
        pairs = numbers | "Pairs" >> beam.Map(lambda n: (f"key {n % 3}", n))
        pairs | "Sum" >> beam.CombinePerKey(sum) | collect(folder, "PerKey")
        fanned = pairs | "Fan" >> beam.CombinePerKey(sum).with_hot_key_fanout(2)
        fanned | collect(folder, "Fanout")
        grouped = pairs | beam.GroupByKey() | beam.MapTuple(lambda k, v: (k, sorted(v)))
        grouped | collect(folder, "Grouped")
        flat = (numbers, tagged.negative, numbers) | beam.Flatten()
        flat | beam.combiners.Count.Globally() | collect(folder, "Flatten")
        counts = numbers | beam.ParDo(CountedBundle())
        counts | "Counted" >> beam.CombineGlobally(sum) | collect(folder, "FinishBundle")
        empty = pipeline | "Empty" >> beam.Create([])
        empty | "Nothing" >> beam.CombineGlobally(sum) | collect(folder, "Empty")
        pipeline | beam.Impulse() | beam.Map(lambda _: "beat") | collect(folder, "Impulse")

    return build


def test_every_part_of_beam_gives_what_it_gives_in_process(
    cluster: DaskProcesses, tmp_path: Path
) -> None:
    found = {}
    for name, settings in (("local", LOCAL), ("dask", cluster.settings(2))):
        folder = tmp_path / name
        folder.mkdir()
        run_pipeline(everything_of_beam(folder), settings)
        left = [(path.name.split("-")[0], path.read_text()) for path in folder.iterdir()]
        found[name] = sorted(left)
    assert found["dask"] == found["local"]
    assert {name for name, _ in found["dask"]} == {
        *("Main", "Negative", "Singleton", "List", "Dict", "PerKey", "Fanout", "Grouped"),
        *("Flatten", "FinishBundle", "Empty", "Impulse"),
    }


def test_work_spreads_over_the_workers_and_none_is_in_this_process(
    cluster: DaskProcesses,
) -> None:
    def who(partition: Partition) -> tuple[int, int]:
        time.sleep(0.2)
        return partition.index, os.getpid()

    values = map_partitions(cluster.settings(2), parts(8), who, "Who")
    assert [index for index, _ in values] == list(range(8))
    assert {pid for _, pid in values} == {process.pid for process in cluster.workers}
    assert list((cluster.folder / "temp").iterdir()) == []


def test_an_error_of_the_pipelines_code_comes_out_as_it_was(cluster: DaskProcesses) -> None:
    def fail(partition: Partition) -> None:
        raise DataError("It broke", received=str(partition.index))

    with pytest.raises(DataError, match=r"It broke\. Received: 0\."):
        map_partitions(cluster.settings(), parts(1), fail, "Fail")
    assert list((cluster.folder / "temp").iterdir()) == []


def test_state_by_key_is_refused(cluster: DaskProcesses) -> None:
    def build(pipeline: Any) -> None:
        import apache_beam as beam
        from apache_beam.coders import VarIntCoder
        from apache_beam.transforms.core import DoFn
        from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

        class Stateful(beam.DoFn):
            LAST = ReadModifyWriteStateSpec("last", VarIntCoder())

            def process(self, pair: Any, last: Any = DoFn.StateParam(LAST)) -> None:  # noqa: B008
                last.write(pair[1])

        pipeline | beam.Create([("a", 1)]) | beam.ParDo(Stateful())

    with pytest.raises(EngineError, match="state or timers"):
        run_pipeline(build, cluster.settings())


def statistics_of(split: Path, settings: EngineSettings, out: Path) -> dict[str, Any]:
    """The split's statistics by TFDV's pipeline: feature -> what must be equal."""

    def build(pipeline: Any) -> None:
        import apache_beam as beam
        import tensorflow_data_validation as tfdv

        def batches(partition: Partition) -> Iterator[pa.RecordBatch]:
            from mlproject.examples.reader import to_example_batch

            return map(to_example_batch, read_partition(partition))

        statistics = read_partitions(
            pipeline, partitions_of(split, 100), batches, "Read"
        ) | tfdv.GenerateStatistics(tfdv.StatsOptions())
        statistics | beam.Map(lambda s: out.write_bytes(s.SerializeToString()) and None)

    run_pipeline(build, settings)
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    (dataset,) = DatasetFeatureStatisticsList.FromString(out.read_bytes()).datasets
    found: dict[str, Any] = {"rows": dataset.num_examples}
    for feature in dataset.features:
        name = feature.path.step[0]
        common = feature.num_stats.common_stats or feature.string_stats.common_stats
        found[f"{name} present"] = (common.num_non_missing, common.num_missing)
        number, text = feature.num_stats, feature.string_stats
        found[f"{name} exact"] = (number.min, number.max, number.num_zeros, text.unique)
        found[f"{name} top"] = [(v.value, v.frequency) for v in text.top_values]
        found[f"{name} moments"] = pytest.approx((number.mean, number.std_dev), rel=1e-9)
        found[f"{name} median"] = pytest.approx(number.median, rel=0.05)
    return found


def test_statistics_are_those_of_the_local_engine(
    cluster: DaskProcesses, split: Path, tmp_path: Path
) -> None:
    local = statistics_of(split, LOCAL, tmp_path / "local.pb")
    dask = statistics_of(split, cluster.settings(2), tmp_path / "dask.pb")
    assert len(local) > 60
    assert set(dask) == set(local)
    for name, value in local.items():
        other = dask[name]
        assert getattr(other, "expected", other) == value, name


def analyse(split: Path, schema: Any, module: Any, settings: EngineSettings, folder: Path) -> Path:
    """tf.Transform's analysis by a module into a new folder; the graph's folder."""
    from mlproject.transform import GRAPH_FOLDER, analyze_examples

    folder.mkdir()
    temp, path = folder / "temp", Path(module.__file__)
    analyze_examples(split, schema, module.preprocessing_fn, path, folder, temp, engine=settings)
    return folder / GRAPH_FOLDER


def applied(split: Path, graph_dir: Path, settings: EngineSettings, out: Path) -> pa.Table:
    """The transformed rows of the split."""
    from mlproject.transform import TransformGraph, transform_examples

    graph = TransformGraph(graph_dir)
    transform_examples(split, graph, out, TAXI / "taxi.py", engine=settings)
    return pa.concat_tables([pq.read_table(path) for path in sorted(out.iterdir())])


@pytest.fixture
def small_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions of 100 rows to analyse, and of 400 to apply the graph to."""
    monkeypatch.setattr("mlproject.transform.analysis.ANALYSIS_ROWS", 100)
    monkeypatch.setattr("mlproject.transform.application.PARTITION_ROWS", 400)


def assert_same_graph(one: Path, other: Path) -> None:
    """The vocabularies of two graphs are equal, byte for byte."""
    assets = sorted(path.name for path in (one / "transform_fn" / "assets").iterdir())
    assert assets == ["company", "payment_type"]
    for name in assets:
        in_one, in_other = (d / "transform_fn" / "assets" / name for d in (one, other))
        assert in_one.read_bytes() == in_other.read_bytes()


@pytest.mark.usefixtures("small_partitions")
def test_analysis_and_transformed_rows_are_those_of_the_local_engine(
    cluster: DaskProcesses, split: Path, taxi_schema: Any, taxi_module: Any, tmp_path: Path
) -> None:
    graphs, rows = {}, {}
    for name, settings in (("local", LOCAL), ("dask", cluster.settings(2))):
        graphs[name] = analyse(split, taxi_schema, taxi_module, settings, tmp_path / name)
        rows[name] = applied(split, graphs[name], settings, tmp_path / name / "rows")
    assert_same_graph(graphs["local"], graphs["dask"])
    assert [path.name for path in sorted((tmp_path / "dask" / "rows").iterdir())] == [
        f"transformed-{index:05d}.parquet" for index in range(len(partitions_of(split, 400)))
    ]
    assert rows["local"].schema == rows["dask"].schema
    assert rows["local"].num_rows > 1_000
    for name in rows["local"].column_names:
        local, dask = (rows[engine][name].to_numpy() for engine in ("local", "dask"))
        np.testing.assert_allclose(dask, local, rtol=1e-6, err_msg=name)


@pytest.mark.usefixtures("small_partitions")
def test_what_analyzers_made_of_a_span_is_kept_and_taken_again(
    cluster: DaskProcesses, split: Path, taxi_schema: Any, taxi_module: Any, tmp_path: Path
) -> None:
    from mlproject.transform import AnalyzerCache, analyze_examples

    plain = analyse(split, taxi_schema, taxi_module, LOCAL, tmp_path / "plain")
    cache = AnalyzerCache(tmp_path / "cache", "code", {"examples-00000.parquet": "span-1"})
    function, module = taxi_module.preprocessing_fn, TAXI / "taxi.py"
    made = []
    for run in ("first", "again"):
        out = tmp_path / run
        out.mkdir()
        analyze_examples(
            *(split, taxi_schema, function, module, out, out / "temp"),
            engine=cluster.settings(2),
            cache=cache,
        )
        assert_same_graph(plain, out / "transform_graph")
        made.append(
            {path: path.stat().st_mtime_ns for path in cache.home.rglob("*") if path.is_file()}
        )
    assert made[0]
    assert made[1] == made[0]


THREE_PASSES = """
import tensorflow as tf
import tensorflow_transform as tft

def preprocessing_fn(inputs):
    bucket = tft.bucketize(tft.scale_to_z_score(tf.reshape(inputs["fare"], [-1])), 4)
    return {"bucket": bucket, "scaled": tft.scale_to_0_1(tf.cast(bucket, tf.float32))}
"""


@pytest.mark.usefixtures("small_partitions")
def test_no_rows_pass_through_the_driver_between_passes(
    cluster: DaskProcesses,
    split: Path,
    taxi_schema: Any,
    load_code: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came_back = []
    run_on_workers = Cluster.map

    def recorded(self: Cluster, *args: Any) -> list[Any]:
        results = run_on_workers(self, *args)
        chunks = [c for r in results for written in r.outputs.values() for c in written]
        came_back.append(sum(map(len, chunks)))
        return results

    monkeypatch.setattr(Cluster, "map", recorded)
    module, settings = load_code(THREE_PASSES), cluster.settings(2)
    dask = analyse(split, taxi_schema, module, settings, tmp_path / "dask")
    rows = applied(split, dask, settings, tmp_path / "rows")
    assert set(rows["bucket"].to_pylist()) == {0, 1, 2, 3}
    assert sorted(set(rows["scaled"].to_pylist())) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert 0 < max(came_back) < pq.read_table(split).nbytes / 4


def in_background(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Starts a call; its value or its exception comes into the list."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(call())
        except BaseException as err:  # noqa: BLE001 - the test looks at whatever it is
            ended.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def wait_for(happened: Callable[[], Any], timeout_s: float = 60) -> None:
    """Waits until something has happened."""
    end = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.05)


def slowly(out: Path) -> Callable[[Partition], int]:
    """A function that takes half a second for a partition and writes a file for it."""

    def work(partition: Partition) -> int:
        with written_aside(out / f"part-{partition.index:05d}") as path:
            path.write_text("half")
            time.sleep(0.5)
            path.write_text(f"rows of {partition.index}")
        return partition.index

    return work


def test_a_killed_worker_costs_time_and_nothing_else(
    doomed: Callable[[int], DaskProcesses], tmp_path: Path
) -> None:
    processes = doomed(2)
    out = tmp_path / "out"
    out.mkdir()
    thread, ended = in_background(
        lambda: map_partitions(processes.settings(2), parts(16), slowly(out), "Slowly")
    )
    wait_for(lambda: list(out.glob("part-*")))
    processes.workers[0].kill()
    assert not ended
    thread.join(90)
    assert ended == [list(range(16))]
    sweep_unfinished(out)
    assert [path.read_text() for path in sorted(out.iterdir())] == [
        f"rows of {index}" for index in range(16)
    ]


@pytest.mark.usefixtures("small_partitions")
def test_analysis_survives_a_killed_worker(
    doomed: Callable[[int], DaskProcesses],
    split: Path,
    taxi_schema: Any,
    taxi_module: Any,
    tmp_path: Path,
) -> None:
    processes = doomed(2)
    local = analyse(split, taxi_schema, taxi_module, LOCAL, tmp_path / "local")
    settings, folder = processes.settings(2), tmp_path / "killed"
    thread, ended = in_background(
        lambda: analyse(split, taxi_schema, taxi_module, settings, folder)
    )
    wait_for(lambda: list((folder / "temp").rglob("saved_model.pb")))  # the first phase's graph
    processes.workers[1].kill()
    assert not ended
    thread.join(120)
    assert ended == [folder / "transform_graph"]
    assert_same_graph(local, ended[0])


def test_a_part_that_kills_every_worker_fails_the_whole(
    doomed: Callable[[int], DaskProcesses],
) -> None:
    processes = doomed(4)

    def die(partition: Partition) -> None:
        if partition.index == 1:
            os._exit(9)

    with pytest.raises(EngineError, match="killed every worker that took it") as caught:
        map_partitions(processes.settings(4), parts(3), die, "Die")
    assert not isinstance(caught.value, EngineUnavailable)
    assert "Nothing was published" in str(caught.value)
    assert list((processes.folder / "temp").iterdir()) == []


def test_a_run_without_workers_ends_when_its_patience_does(
    doomed: Callable[[int], DaskProcesses], tmp_path: Path
) -> None:
    processes = doomed(1)
    started = tmp_path / "started"

    def hang(_shared: None, _item: int) -> None:
        started.write_text("")
        time.sleep(600)

    def run() -> None:
        options = {"scheduler_file": str(processes.address_file)}
        with connect(options, 1, patience_s=2) as cluster:
            cluster.map(hang, None, [1])

    thread, ended = in_background(run)
    wait_for(started.exists)
    processes.workers[0].kill()
    thread.join(60)
    assert isinstance(ended[0], EngineUnavailable)
    assert "no worker for 2 s" in str(ended[0])


def test_a_lost_scheduler_fails_the_run(
    doomed: Callable[[int], DaskProcesses], tmp_path: Path
) -> None:
    processes = doomed(1)
    out = tmp_path / "out"
    out.mkdir()
    thread, ended = in_background(
        lambda: map_partitions(processes.settings(), parts(16), slowly(out), "Slowly")
    )
    wait_for(lambda: list(out.glob("part-*")))
    processes.scheduler.kill()
    thread.join(90)
    assert isinstance(ended[0], EngineUnavailable), ended
    assert "127.0.0.1" not in str(ended[0])


def test_a_scheduler_that_is_not_there_is_said_without_its_address() -> None:
    options = (
        "--runner=DaskRunner --dask_client_address=tcp://127.0.0.1:9 --dask_connection_timeout=1"
    )
    settings = read_engine_settings(
        {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": options}, "/tmp/none"
    )
    with pytest.raises(EngineUnavailable, match="does not answer") as caught:
        run_pipeline(lambda _pipeline: None, settings)
    assert "127.0.0.1" not in str(caught.value)


def test_workers_that_do_not_come_are_not_waited_for_without_end(
    doomed: Callable[[int], DaskProcesses],
) -> None:
    settings = doomed(1).settings(2)
    hurried = replace(
        settings, runner_options=(*settings.runner_options, "--dask_connection_timeout=5")
    )
    with pytest.raises(EngineUnavailable, match="at least 2"):
        run_pipeline(lambda _pipeline: None, hurried)


class AnsweringClient:
    """Stands for a client of workers on another machine: another image, other disks."""

    def __init__(self, answer: dict[str, str]) -> None:
        self.answer = answer

    def run(self, _function: Any, _probe: str) -> dict[str, dict[str, str]]:
        """What every worker answered."""
        return {"tcp://elsewhere:1": self.answer}


@pytest.mark.parametrize(
    ("name", "value"), [("tensorflow", "2.1.0"), ("temporary folder", "not seen"), ("python", "3")]
)
def test_a_worker_that_differs_is_refused(name: str, value: str, tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.write_text("")
    client = AnsweringClient({**look_around(str(probe)), name: value})
    with pytest.raises(ConfigError, match=f"{name}: {value}"):
        Cluster(client, 1).check(str(tmp_path))
    assert list(tmp_path.iterdir()) == [probe]


def test_workers_of_this_environment_pass(cluster: DaskProcesses, tmp_path: Path) -> None:
    options = {"scheduler_file": str(cluster.address_file)}
    with connect(options, 2) as connected:
        connected.check(str(tmp_path / "new"))
        assert connected.threads == 2
    assert list((tmp_path / "new").iterdir()) == []
