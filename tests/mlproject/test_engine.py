"""The local engine, and what leaves this process: functions of the module file."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.engine import (
    LOCAL,
    map_partitions,
    read_partitions,
    read_record_batches,
    run_pipeline,
)
from mlproject.engines.shipped import ShippedFunction, shipped
from mlproject.errors import UserModuleError
from mlproject.partitions import Partition, partitions_of, read_partition
from mlproject.user_module import load_module, read_module

ROWS = 1_000


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """1,000 rows in row groups of 100."""
    folder = tmp_path / "Split-train"
    folder.mkdir()
    table = pa.table({"n": pa.array(range(ROWS), pa.int64())})
    pq.write_table(table, folder / "examples-00000.parquet", row_group_size=100)
    return folder


def test_partitions_are_read_once_each(split: Path, tmp_path: Path) -> None:
    import apache_beam as beam

    partitions = partitions_of(split, 300)
    out = tmp_path / "sum"

    def build(pipeline: beam.Pipeline) -> None:
        batches = read_partitions(pipeline, partitions, read_partition, "Read")
        sums = batches | beam.Map(lambda batch: sum(batch["n"].to_pylist()))
        sums | beam.CombineGlobally(sum) | beam.Map(lambda s: out.write_text(str(s)))

    run_pipeline(build)
    assert int(out.read_text()) == ROWS * (ROWS - 1) // 2


def test_record_batches_are_read_by_one_call(tmp_path: Path) -> None:
    import apache_beam as beam

    out = tmp_path / "rows"

    def read() -> Iterator[pa.RecordBatch]:
        for _ in range(3):
            yield pa.RecordBatch.from_pydict({"n": [1, 2]})

    def build(pipeline: beam.Pipeline) -> None:
        rows = read_record_batches(pipeline, read, "Read") | beam.Map(lambda b: b.num_rows)
        rows | beam.CombineGlobally(sum) | beam.Map(lambda s: out.write_text(str(s)))

    run_pipeline(build)
    assert out.read_text() == "6"


def test_the_values_of_partitions_come_in_their_order(split: Path) -> None:
    def first_row(partition: Partition) -> int:
        return int(next(read_partition(partition))["n"][0].as_py())

    assert map_partitions(LOCAL, partitions_of(split, 300), first_row, "First") == [
        *(0, 300),
        *(600, 900),
    ]
    assert map_partitions(LOCAL, (), first_row, "First") == []


def test_an_error_of_reading_comes_out_with_all_of_its_parts(split: Path) -> None:
    partitions = partitions_of(split)

    def fail(partition: Partition) -> Iterator[pa.RecordBatch]:
        yield from read_partition(partition)
        raise UserModuleError("It broke", received="7", next_step="mend it")

    with pytest.raises(UserModuleError) as caught:
        run_pipeline(lambda p: read_partitions(p, partitions, fail, "Read"))
    assert str(caught.value) == "It broke. Received: 7. Next: mend it."
    with pytest.raises(UserModuleError, match="mend it"):
        run_pipeline(lambda p: read_record_batches(p, lambda: fail(partitions[0]), "Read"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A module file that imports another of its folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "project_scales.py").write_text("FACTOR = 3\n")
    (folder / "module.py").write_text(
        "import project_scales\n\ndef preprocessing_fn(inputs):\n"
        "    return {k: v * project_scales.FACTOR for k, v in inputs.items()}\n"
    )
    return folder / "module.py"


def test_a_shipped_function_is_called_like_the_function(project: Path) -> None:
    assert ShippedFunction(project, "preprocessing_fn")({"a": 2}) == {"a": 6}


def in_another_process(shipped: bytes) -> str:
    code = (
        "import pickle, sys; f = pickle.loads(sys.stdin.buffer.read());print(f({'a': 2}), f._path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=shipped, capture_output=True, check=True
    )
    return done.stdout.decode()


def test_a_shipped_function_runs_where_the_file_is(project: Path) -> None:
    shipped = pickle.dumps(ShippedFunction(project, "preprocessing_fn"))
    assert in_another_process(shipped) == f"{{'a': 6}} {project}\n"


def test_a_shipped_function_runs_where_the_file_is_not(project: Path) -> None:
    shipped = pickle.dumps(ShippedFunction(project, "preprocessing_fn"))
    project.with_name("project_scales.py").unlink()
    project.unlink()
    said = in_another_process(shipped)
    assert said.startswith("{'a': 6} ")
    unpacked = Path(said.split()[-1])
    assert unpacked != project
    assert not unpacked.exists()  # removed when the process ended


def test_a_shipped_function_does_not_run_another_version_of_the_file(project: Path) -> None:
    shipped = pickle.dumps(ShippedFunction(project, "preprocessing_fn"))
    project.with_name("project_scales.py").write_text("FACTOR = 5\n")
    assert in_another_process(shipped).startswith("{'a': 6} ")


def test_only_functions_of_the_module_file_are_shipped(project: Path) -> None:
    module = load_module(read_module(project))
    assert isinstance(shipped(module.preprocessing_fn, project), ShippedFunction)
    assert shipped(read_partition, project) is read_partition
    other = {"preprocessing_fn": lambda inputs: inputs}["preprocessing_fn"]
    assert shipped(other, project) is other
