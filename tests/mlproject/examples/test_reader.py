"""Examples read back: batch sizes, columns, damage, and the layout that TFDV reads."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.errors import ConfigError, DataError
from mlproject.examples.reader import count_rows, read_batches, to_example_batch


@pytest.fixture
def split_dir(tmp_path: Path) -> Path:
    """250 rows in three files with row groups of 40."""
    for file, start in enumerate((0, 100, 200)):
        ids = list(range(start, min(start + 100, 250)))
        rows = pa.table({"id": ids, "name": [f"n{i}" for i in ids], "x": [i / 2 for i in ids]})
        pq.write_table(rows, tmp_path / f"examples-0000{file}.parquet", row_group_size=40)
    return tmp_path


@pytest.mark.parametrize("batch_rows", [1, 7, 40, 100, 249, 250, 1000])
def test_batches_have_the_size_asked_for_and_keep_the_order(
    split_dir: Path, batch_rows: int
) -> None:
    batches = list(read_batches(split_dir, batch_rows=batch_rows))
    assert all(batch.num_rows == batch_rows for batch in batches[:-1])
    assert 0 < batches[-1].num_rows <= batch_rows
    assert [i for batch in batches for i in batch["id"].to_pylist()] == list(range(250))


def test_columns_are_chosen_in_the_order_asked_for(split_dir: Path) -> None:
    (batch,) = read_batches(split_dir, columns=["x", "id"])
    assert batch.schema.names == ["x", "id"]
    with pytest.raises(ConfigError, match="did you mean 'name'"):
        list(read_batches(split_dir, columns=["nam"]))


def test_rows_are_counted(split_dir: Path) -> None:
    assert count_rows(split_dir) == 250


def test_a_missing_or_damaged_split_is_refused(split_dir: Path) -> None:
    with pytest.raises(DataError, match="no examples"):
        list(read_batches(split_dir / "Split-none"))
    (split_dir / "examples-00001.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match="examples-00001"):
        list(read_batches(split_dir))
    with pytest.raises(DataError, match="examples-00001"):
        count_rows(split_dir)


def flat_batch() -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "n": pa.array([1, None, 3, None]),
            "f": pa.array([0.5, 1.5, None, -0.25]),
            "s": pa.array([None, "é", "", "z"]),
            "full": pa.array([1, 2, 3, 4]),
            "none": pa.array([None] * 4, pa.float64()),
        }
    )


EXAMPLE_LAYOUT: dict[str, list[list[object] | None]] = {
    "n": [[1], None, [3], None],
    "f": [[0.5], [1.5], None, [-0.25]],
    "s": [None, ["é".encode()], [b""], [b"z"]],
    "full": [[1], [2], [3], [4]],
    "none": [None] * 4,
}


def test_the_example_layout_has_null_lists_for_missing_values() -> None:
    batch = to_example_batch(flat_batch())
    assert batch.to_pydict() == EXAMPLE_LAYOUT
    int_list, float_list = pa.list_(pa.int64()), pa.list_(pa.float32())
    assert batch.schema.types == [int_list, float_list, pa.list_(pa.binary()), int_list, float_list]
    batch.validate(full=True)


def test_a_slice_converts_like_a_whole() -> None:
    batch = to_example_batch(flat_batch().slice(1, 2))
    assert batch.to_pydict() == {name: rows[1:3] for name, rows in EXAMPLE_LAYOUT.items()}
    assert to_example_batch(flat_batch().slice(0, 0)).num_rows == 0


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(DataError, match="'x'"):
        to_example_batch(pa.RecordBatch.from_pydict({"x": pa.array([True])}))


@pytest.mark.filterwarnings("ignore")  # TensorFlow's and Beam's own
def test_tfdv_and_tensor_adapter_take_the_example_layout() -> None:
    stats_impl = pytest.importorskip("tensorflow_data_validation.statistics.stats_impl")
    import tensorflow_data_validation as tfdv
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig

    batch = to_example_batch(flat_batch())
    statistics = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions())
    features = {f.path.step[0]: f for f in statistics.datasets[0].features}
    assert statistics.datasets[0].num_examples == 4
    assert features["n"].num_stats.common_stats.num_missing == 2
    assert features["f"].num_stats.max == 1.5
    assert features["s"].string_stats.common_stats.num_non_missing == 3
    assert features["none"].num_stats.common_stats.num_missing == 4

    schema = tfdv.infer_schema(statistics)
    from tfx_bsl.tfxio import tensor_representation_util

    representations = tensor_representation_util.InferTensorRepresentationsFromSchema(schema)
    adapter = TensorAdapter(TensorAdapterConfig(batch.schema, representations))
    tensors = adapter.ToBatchTensors(batch)
    assert tensors["full"].shape[0] == 4
