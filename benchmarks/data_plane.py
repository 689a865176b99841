"""What does the data plane cost? Rows a CPU second and peak memory, ours against plain use.

    python benchmarks/data_plane.py                       # 1.5M generated trips of 18 columns
    python benchmarks/data_plane.py --end-to-end 10000000 # and so many rows from CSV to transformed

Every case runs in a process of its own, after its imports; CPU seconds are of all its threads and
children, memory is the peak of its resident set. `plain` is what a script does with the same
libraries and their defaults: Beam reading a CSV row by row into tf.train.Example (as TFX's
CsvExampleGen does), `tfdv.generate_statistics_from_csv`, and tf.Transform over TFXIO's TFRecord
source. Plain cases run on fewer rows, which flatters them where a cost is fixed for ours.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
TAXI = REPOSITORY / "examples" / "taxi"
SPLITS = ("train", "eval")
OURS = ("ingest", "statistics", "analyze", "apply")
TARGETS = {"ingest": 400_000, "statistics": 400_000, "analyze": 90_000, "apply": 350_000}
"""Rows a CPU second that the design asks for."""


def ingest(work: Path) -> int:
    """CSV to Examples."""
    from mlproject.examples.ingest import ingest as run
    from mlproject.examples.request import IngestRequest

    out = work / "examples"
    out.mkdir()
    return sum(rows for _, rows in run(IngestRequest(source=str(work / "trips.csv")), out).splits)


def statistics(work: Path) -> int:
    """Examples to Statistics of both splits."""
    from mlproject.statistics import compute_statistics, read_statistics

    out = work / "statistics"
    compute_statistics(work / "examples", SPLITS, out)
    return sum(int(read_statistics(out, s).datasets[0].num_examples) for s in SPLITS)


def analyze(work: Path) -> int:
    """The train split to a transform graph."""
    from mlproject.examples.reader import count_rows
    from mlproject.transform import analyze_examples

    train = work / "examples" / "Split-train"
    analyze_examples(
        train, _schema(), _taxi().preprocessing_fn, TAXI / "taxi.py", work, work / "temp"
    )
    return count_rows(train)


def apply(work: Path) -> int:
    """Both splits through the graph, to Parquet."""
    from mlproject.transform import GRAPH_FOLDER, TransformGraph, transform_examples

    graph = TransformGraph(work / GRAPH_FOLDER)
    return sum(
        transform_examples(
            work / "examples" / f"Split-{split}", graph, work / f"Split-{split}", TAXI / "taxi.py"
        )
        for split in SPLITS
    )


def end_to_end(work: Path) -> int:
    """All four, one after the other in one process."""
    from mlproject.memory import release_memory

    rows = 0
    for case in (ingest, statistics, analyze, apply):
        rows = case(work) if case is not analyze else (case(work), rows)[1]
        release_memory()
    return rows


def plain_ingest(work: Path) -> int:
    """CSV row by row through Beam to split TFRecords, as TFX's CsvExampleGen does."""
    import csv
    import hashlib

    import apache_beam as beam
    import tensorflow as tf

    lines = (work / "trips.csv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split(",")
    texts = {"payment_type", "company"}

    def to_example(line: str) -> bytes:
        features = {}
        for name, cell in zip(names, next(csv.reader([line])), strict=True):
            feature = tf.train.Feature()
            if cell and name in texts:
                feature.bytes_list.value.append(cell.encode())
            elif cell:
                feature.float_list.value.append(float(cell))
            features[name] = feature
        example = tf.train.Example(features=tf.train.Features(feature=features))
        return example.SerializeToString(deterministic=True)

    def split_of(record: bytes, _: int) -> int:
        return int(int(hashlib.sha256(record).hexdigest(), 16) % 3 == 2)

    with beam.Pipeline(runner=_runner()) as pipeline:
        records = (
            pipeline
            | beam.io.ReadFromText(str(work / "trips.csv"), skip_header_lines=1)
            | beam.Map(to_example)
        )
        for split, part in zip(SPLITS, records | beam.Partition(split_of, 2), strict=True):
            part | f"Write{split}" >> beam.io.WriteToTFRecord(
                str(work / f"plain-{split}"), file_name_suffix=".gz"
            )
    return len(lines) - 1


def plain_statistics(work: Path) -> int:
    """TFDV's one-shot API over the CSV."""
    import tensorflow_data_validation as tfdv

    stats = tfdv.generate_statistics_from_csv(str(work / "trips.csv"), pipeline_options=_options())
    return int(stats.datasets[0].num_examples)


def plain_analyze(work: Path) -> int:
    """tf.Transform over TFXIO's TFRecord source."""
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam

    source = _tfxio(work)
    with beam.Pipeline(runner=_runner()) as pipeline, tft_beam.Context(str(work / "temp")):
        rows = pipeline | source.BeamSource()
        graph = (rows, source.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(
            _taxi().preprocessing_fn
        )
        graph | tft_beam.WriteTransformFn(str(work / "plain-graph"))
    return _train_rows(work)


def plain_apply(work: Path) -> int:
    """tf.Transform's TransformDataset over the same source, to TFRecords."""
    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from tfx_bsl.coders.example_coder import RecordBatchToExamples

    source = _tfxio(work)
    with beam.Pipeline(runner=_runner()) as pipeline, tft_beam.Context(str(work / "temp")):
        rows = pipeline | source.BeamSource()
        graph = pipeline | tft_beam.ReadTransformFn(str(work / "plain-graph"))
        transformed, _ = ((rows, source.TensorAdapterConfig()), graph) | tft_beam.TransformDataset(
            output_record_batches=True
        )
        (
            transformed
            | beam.FlatMapTuple(lambda batch, _: RecordBatchToExamples(batch))
            | beam.io.WriteToTFRecord(str(work / "plain-transformed"), file_name_suffix=".gz")
        )
    return _train_rows(work)


CASES: dict[str, Callable[[Path], int]] = {
    **{case.__name__: case for case in (ingest, statistics, analyze, apply, end_to_end)},
    "plain_ingest": plain_ingest,
    "plain_statistics": plain_statistics,
    "plain_analyze": plain_analyze,
    "plain_apply": plain_apply,
}


def _runner() -> Any:
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    return FnApiRunner()


def _options() -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    # Without a name Beam would try to fetch the Prism binary first.
    return PipelineOptions(["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"])


def _schema() -> Any:
    from mlproject.schema import read_schema

    return read_schema(TAXI / "schema.pbtxt")


def _taxi() -> Any:
    from mlproject.user_module import load_module, read_module

    return load_module(read_module(TAXI / "taxi.py"))


def _tfxio(work: Path) -> Any:
    from tfx_bsl.public.tfxio import TFExampleRecord

    pattern = str(work / "exported" / "Split-train" / "*")
    return TFExampleRecord(pattern, schema=_schema(), telemetry_descriptors=["benchmark"])


def _train_rows(work: Path) -> int:
    from mlproject.examples.reader import count_rows

    return count_rows(work / "examples" / "Split-train")


def _export(work: Path) -> None:
    """The Examples as TFRecord, for the plain cases; its types are those of the schema."""
    from mlproject.config import load_project
    from mlproject.examples.export import export_examples
    from mlproject.examples.ingest import ingest as run
    from mlproject.project_data import ingest_request

    request = ingest_request(load_project(TAXI, (str(work / "trips.csv"),)))
    (work / "examples").mkdir()
    files = [
        (file.split, work / "examples" / f"Split-{file.split}" / file.name, None)
        for file in run(request, work / "examples").files
    ]
    export_examples(files, "tfrecord", work / "exported")


def _import_all() -> None:
    import pandas
    import pyarrow.csv
    import pyarrow.parquet
    import tensorflow_data_validation
    import tensorflow_transform.beam

    del pandas, pyarrow, tensorflow_data_validation, tensorflow_transform


def run_case(name: str, work: Path) -> None:
    """Runs one case in this process and prints what it cost, as JSON."""
    _import_all()
    if name == "export":
        _export(work)
        return
    before = _cpu_s()
    began = time.monotonic()
    rows = CASES[name](work)
    wall, cpu = time.monotonic() - began, _cpu_s() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"rows": rows, "cpu_s": cpu, "wall_s": wall, "peak_gib": peak}))


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(name: str, work: Path) -> dict[str, float]:
    """Runs a case in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, __file__, "--case", name, "--work", str(work)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return {} if name == "export" else dict(json.loads(done.stdout.strip().splitlines()[-1]))


def generate(rows: int, file: Path) -> None:
    """Trips of at most 500,000 different rows, repeated up to the number asked for."""
    unit = min(rows, 500_000)
    part = file.with_name("part.csv")
    command = [sys.executable, str(TAXI / "generate.py"), "--rows", str(unit), "--seed", "1"]
    subprocess.run([*command, "--out", str(part)], check=True, capture_output=True)
    header, _, body = part.read_bytes().partition(b"\n")
    with file.open("wb") as out:
        out.write(header + b"\n")
        for start in range(0, rows, unit):
            left = rows - start
            out.write(body if left >= unit else b"".join(body.splitlines(True)[:left]))
    part.unlink()


def show(name: str, cost: dict[str, float], ours: dict[str, float] | None = None) -> None:
    """Prints one line of the table."""
    rate = cost["rows"] / cost["cpu_s"]
    line = f"{name:<18}{cost['rows']:>12,.0f}{cost['cpu_s']:>9.1f}{cost['wall_s']:>9.1f}"
    line += f"{cost['peak_gib']:>8.2f}{rate:>12,.0f}{cost['cpu_s'] / cost['wall_s']:>8.2f}"
    if name in TARGETS:
        line += f"   {rate / TARGETS[name]:.2f} of the target"
    if ours:
        line += f"   ours is {ours['rows'] / ours['cpu_s'] / rate:.1f} times as fast"
    print(line, flush=True)


def main() -> None:
    """Measures every case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_500_000, help="rows of our cases")
    parser.add_argument("--plain-rows", type=int, default=100_000, help="rows of the plain cases")
    parser.add_argument("--end-to-end", type=int, default=0, metavar="ROWS")
    parser.add_argument("--case", choices=[*CASES, "export"], help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        run_case(args.case, args.work)
        return
    figures: dict[str, dict[str, float]] = {}
    columns = ("rows", "CPU s", "wall s", "GiB", "rows/CPU s", "cores")
    widths = (12, 9, 9, 8, 12, 8)
    print(f"{'':<18}" + "".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True)))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        generate(args.rows, work / "trips.csv")
        for case in OURS:
            figures[case] = measure(case, work)
            show(case, figures[case])
    if args.plain_rows:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            generate(args.plain_rows, work / "trips.csv")
            measure("export", work)
            for case in OURS:
                figures[f"plain_{case}"] = measure(f"plain_{case}", work)
                show(f"plain_{case}", figures[f"plain_{case}"], figures[case])
    if args.end_to_end:
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            generate(args.end_to_end, work / "trips.csv")
            figures["end_to_end"] = measure("end_to_end", work)
            show("end_to_end", figures["end_to_end"])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
