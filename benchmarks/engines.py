"""What does a cluster buy? Statistics, analysis and applying, local and on Dask's workers.

    python benchmarks/engines.py --rows 4000000              # generated trips
    python benchmarks/engines.py --examples DIR              # Examples that are there already

Every engine runs in a process of its own, and each Dask cluster is a fresh one: a scheduler and
workers of one thread on this machine. Each step runs first on little data, so that imports and the
loading of graphs stand in `first use` and not in the step. CPU seconds are of all processes
of the engine together, memory is the peak of the largest of them. A busy machine spoils wall
seconds: `idle path` is what they would be at best on idle cores, the driver's CPU seconds plus
those of the busiest worker, and `others` is how many cores other programs took.
`statistics` are Benison's own (TFDV's combiners over partitions), `TFDV by Beam` TFDV's pipeline.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
TAXI = REPOSITORY / "examples" / "taxi"
SMALL_FILES = 8  # so that every worker gets some of them, and has imported what it needs
ENGINES = {"local": 0, "dask, 1 worker": 1, "dask, 2 workers": 2}


@dataclass(frozen=True)
class Cost:
    """What a step cost.

    Attributes:
        wall_s: Wall seconds.
        cpu_s: User and system seconds of all processes.
        driver_cpu_s: Those of this process.
        busiest_cpu_s: Those of the worker that had most; 0 without workers.
        others: Cores that other programs took meanwhile.
        peak_gib: Peak resident memory of the largest process so far, GiB.
        first_use_s: Wall seconds of the step on little data, before.
    """

    wall_s: float
    cpu_s: float
    driver_cpu_s: float
    busiest_cpu_s: float
    others: float
    peak_gib: float
    first_use_s: float


class Meter:
    """Measures calls over some processes.

    Args:
        pids: The processes; the first is this one.
    """

    def __init__(self, pids: list[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def measure(self, warm: Callable[[], None], call: Callable[[], None]) -> Cost:
        """Runs the call after a first one on little data."""
        began = time.monotonic()
        warm()
        first_use_s = time.monotonic() - began
        before, began = self._cpu(), time.monotonic()
        call()
        wall_s = time.monotonic() - began
        machine, *spent = (after - b for after, b in zip(self._cpu(), before, strict=True))
        return Cost(
            wall_s=wall_s,
            cpu_s=sum(spent),
            driver_cpu_s=spent[0],
            busiest_cpu_s=max(spent[1:], default=0.0),
            others=max(machine - sum(spent), 0.0) / wall_s,
            peak_gib=self._peak / 2**30,
            first_use_s=first_use_s,
        )

    def _cpu(self) -> list[float]:
        """Busy seconds of the machine, and of each process."""
        machine = psutil.cpu_times()
        busy = machine.user + machine.nice + machine.system
        return [busy, *(sum(p.cpu_times()[:2]) for p in self._processes)]

    def _watch(self) -> None:
        while True:
            self._peak = max([self._peak, *(p.memory_info().rss for p in self._processes)])
            time.sleep(0.05)


@contextmanager
def dask(workers: int, folder: Path) -> Iterator[tuple[list[int], str]]:
    """A cluster on this machine: its processes, and the options to reach it. None for 0 workers."""
    file = folder / "scheduler.json"
    one = ("--no-nanny", "--nthreads", "1", "--memory-limit", "0")
    commands = [("scheduler", "--host", "127.0.0.1", "--port", "0"), *[("worker", *one)] * workers]
    processes = []
    with (folder / "dask.log").open("wb") as log:
        for what, *options in commands if workers else ():
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard"]
            command += ["--scheduler-file", str(file), *options]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
    try:
        reach = f"--runner=DaskRunner --dask_scheduler_file={file} --num_workers={workers}"
        yield [process.pid for process in processes], reach
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure_engine(name: str, examples: Path, folder: Path) -> dict[str, Cost]:
    """Runs the three steps on one engine."""
    from mlproject.engine import LOCAL
    from mlproject.engines.settings import read_engine_settings

    split, small = examples / "Split-train", examples / "Split-small"
    with dask(ENGINES[name], folder) as (pids, options):
        settings = LOCAL
        if ENGINES[name]:
            env = {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": options}
            settings = read_engine_settings(env, str(folder / "temp"))
        meter = Meter([os.getpid(), *pids])
        return {
            step: meter.measure(partial(function, small), partial(function, split))
            for step, function in step_functions(settings, folder).items()
        }


def step_functions(settings: Any, folder: Path) -> dict[str, Callable[[Path], None]]:
    """The steps, each a function of a split's folder."""
    import apache_beam as beam
    import tensorflow_data_validation as tfdv

    from mlproject.engine import read_partitions, run_pipeline
    from mlproject.examples.reader import to_example_batch
    from mlproject.partitions import partitions_of, read_partition
    from mlproject.schema import read_schema, set_environments
    from mlproject.statistics import compute_statistics
    from mlproject.transform import (
        GRAPH_FOLDER,
        TransformGraph,
        analyze_examples,
        transform_examples,
    )
    from mlproject.user_module import load_module, read_module

    schema = set_environments(read_schema(TAXI / "schema.pbtxt"), ["tips"])
    module = TAXI / "taxi.py"
    preprocessing_fn = load_module(read_module(module)).preprocessing_fn

    def statistics(split: Path) -> None:
        name = split.name.removeprefix("Split-")
        compute_statistics(split.parent, [name], folder / f"{name}-stats", engine=settings)

    def tfdv_by_beam(split: Path) -> None:
        def build(pipeline: Any) -> None:
            batches = read_partitions(
                pipeline,
                partitions_of(split),
                lambda partition: map(to_example_batch, read_partition(partition)),
                "Read",
            )
            made = batches | tfdv.GenerateStatistics(tfdv.StatsOptions())
            made | beam.Map(lambda statistics: statistics.ByteSize())

        run_pipeline(build, settings)

    def analysis(split: Path) -> None:
        out = folder / f"graph-{split.name}"
        out.mkdir()
        analyze_examples(
            split, schema, preprocessing_fn, module, out, out / "temp", engine=settings
        )

    def applying(split: Path) -> None:
        graph = TransformGraph(folder / f"graph-{split.name}" / GRAPH_FOLDER)
        transform_examples(split, graph, folder / split.name, module, engine=settings)

    return {
        "statistics": statistics,
        "TFDV by Beam": tfdv_by_beam,
        "analysis": analysis,
        "applying": applying,
    }


def make_examples(rows: int, folder: Path) -> Path:
    """Generated trips as Examples, and a split of little, in a file for each of some tasks."""
    import pyarrow.parquet as pq

    from mlproject.examples.ingest import IngestRequest, ingest

    trips = folder / "trips.csv"
    command = [sys.executable, str(TAXI / "generate.py"), "--rows", str(rows), "--seed", "1"]
    subprocess.run([*command, "--out", str(trips)], check=True, capture_output=True)
    types = (("pickup_census_tract", "int"),)
    shares = (("train", 99.0), ("eval", 1.0))
    ingest(IngestRequest(source=str(trips), shares=shares, column_types=types), folder)
    small = folder / "Split-small"
    small.mkdir()
    file = pq.ParquetFile(folder / "Split-train" / "examples-00000.parquet")
    for number in range(SMALL_FILES):
        rows = file.read_row_group(0).slice(number * 10_000, 10_000)
        pq.write_table(rows, small / f"examples-{number:05d}.parquet")
    return folder


def show(figures: dict[str, dict[str, Cost]], rows: int) -> None:
    """Prints the table."""
    print(f"\n{rows:,} rows, {os.cpu_count()} cores\n")
    titles = ("first use s", "wall s", "others", "CPU s", "of driver", "idle path s", "rows/CPU s")
    print(f"| engine | step | {' | '.join(titles)} | peak GiB |")
    print(f"| --- | --- | {'--: | ' * len(titles)}--: |")
    for name, costs in figures.items():
        for step, cost in costs.items():
            seconds = (cost.first_use_s, cost.wall_s, cost.others, cost.cpu_s, cost.driver_cpu_s)
            values = [f"{s:.1f}" for s in (*seconds, cost.driver_cpu_s + cost.busiest_cpu_s)]
            values.append(f"{rows / cost.cpu_s:,.0f}")
            print(f"| {name} | {step} | {' | '.join(values)} | {cost.peak_gib:.2f} |")


def main() -> None:
    """Measures every engine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--rows", type=int, help="generate this many rows")
    source.add_argument("--examples", type=Path, help="what an earlier run made and kept")
    parser.add_argument("--keep", type=Path, help="make the Examples in this new folder")
    parser.add_argument("--repeat", type=int, default=1, help="runs; the quickest of each step")
    parser.add_argument("--only", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if args.only:
            costs = measure_engine(args.only, args.examples, Path(name))
            print(json.dumps({step: asdict(cost) for step, cost in costs.items()}))
            return
        if args.rows and args.keep:
            args.keep.mkdir(parents=True)
        examples = args.examples or make_examples(args.rows, args.keep or Path(name))
        from mlproject.examples.reader import count_rows

        figures: dict[str, dict[str, Cost]] = {}
        for engine in [engine for engine in ENGINES for _ in range(args.repeat)]:
            command = [sys.executable, __file__, "--examples", str(examples), "--only", engine]
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"'{engine}' failed:\n{done.stderr}")
            made = json.loads(done.stdout.strip().splitlines()[-1])
            costs = {step: Cost(**cost) for step, cost in made.items()}
            best = figures.setdefault(engine, costs)
            figures[engine] = {s: min(best[s], costs[s], key=lambda c: c.wall_s) for s in costs}
        show(figures, count_rows(examples / "Split-train"))
        print(json.dumps({e: {s: asdict(c) for s, c in f.items()} for e, f in figures.items()}))


if __name__ == "__main__":
    main()
