"""Transformed rows as tensors: the columns of the Parquet file, batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx_bsl.public import tfxio

from mlproject import transformed as transformed_rows
from mlproject.errors import DataError
from mlproject.training_data import DataAccessor
from mlproject.transform import TRANSFORMED_FILE
from mlproject.transformed import Materialized

ROWS = 23


@pytest.fixture
def transformed(tmp_path: Path) -> Path:
    """A transform artifact of 23 rows in row groups of 4, a column of every kind."""
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(ROWS * 2, dtype="float32")), 2)
    table = pa.table(
        {
            "pair": pairs,
            "row": pa.array(range(ROWS), pa.int64()),
            "text": pa.array([f"t{i}".encode() for i in range(ROWS)]),
            "x_xf": pa.array(np.linspace(0, 1, ROWS).astype("float32")),
            "y": pa.array([i % 2 for i in range(ROWS)], pa.int64()),
        }
    )
    for split, rows in (("train", table), ("eval", table.slice(3, 5))):
        (tmp_path / f"Split-{split}").mkdir()
        file = tmp_path / f"Split-{split}" / TRANSFORMED_FILE
        pq.write_table(rows, file, row_group_size=4)
    return tmp_path


def accessor(folder: Path, seed: int = 1) -> DataAccessor:
    return DataAccessor(folder, "y", seed)


def collect(dataset: Any) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
    return [({n: t.numpy() for n, t in x.items()}, y.numpy()) for x, y in dataset]


def rows_of(dataset: Any) -> list[int]:
    return [int(row) for features, _ in collect(dataset) for row in features["row"]]


def test_batches_are_the_columns_of_the_file(transformed: Path) -> None:
    table = pq.read_table(transformed / "Split-train" / TRANSFORMED_FILE)
    batches = collect(accessor(transformed).tf_dataset("train", 5))
    assert [len(labels) for _, labels in batches] == [5, 5, 5, 5, 3]
    assert set(batches[0][0]) == {"pair", "row", "text", "x_xf"}
    for name in ("row", "text", "x_xf"):
        values = np.concatenate([features[name] for features, _ in batches])
        assert values.tolist() == table[name].to_pylist()
    pairs = np.concatenate([features["pair"] for features, _ in batches])
    assert pairs.tolist() == table["pair"].to_pylist()
    assert np.concatenate([y for _, y in batches]).tolist() == table["y"].to_pylist()


def test_shapes_and_types_are_known_before_the_first_batch(transformed: Path) -> None:
    features, label = accessor(transformed).tf_dataset("train", 5).element_spec
    assert features == {
        "pair": tf.TensorSpec([None, 2], tf.float32),
        "row": tf.TensorSpec([None], tf.int64),
        "text": tf.TensorSpec([None], tf.string),
        "x_xf": tf.TensorSpec([None], tf.float32),
    }
    assert label == tf.TensorSpec([None], tf.int64)


def test_the_taxi_rows_come_as_they_were_written(taxi_transformed: Path) -> None:
    table = pq.read_table(taxi_transformed / "Split-eval" / TRANSFORMED_FILE)
    data = DataAccessor(taxi_transformed, "big_tipper", 1)
    assert data.row_count("eval") == table.num_rows
    ((features, labels),) = collect(data.tf_dataset("eval", 10_000))
    assert labels.tolist() == table["big_tipper"].to_pylist()
    assert set(features) == set(table.column_names) - {"big_tipper"}
    for name, values in features.items():
        np.testing.assert_array_equal(values, table[name].to_numpy(), err_msg=name)


@pytest.mark.parametrize(("read_rows", "pieces"), [(3, 6), (4, 6), (9, 3), (100, 1)])
def test_row_groups_are_read_in_pieces(
    read_rows: int, pieces: int, transformed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformed_rows, "READ_ROWS", read_rows)
    file = transformed / "Split-train" / TRANSFORMED_FILE
    read = [columns["row"].tolist() for columns in Materialized([file]).columns()]
    assert [len(rows) for rows in read] == Materialized([file]).piece_rows
    assert len(read) == pieces
    assert [row for rows in read for row in rows] == list(range(ROWS))


@pytest.mark.parametrize("read_rows", [8, 100])
def test_a_shuffle_is_a_permutation_that_the_seed_alone_decides(
    read_rows: int, transformed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformed_rows, "READ_ROWS", read_rows)

    def epochs(seed: int) -> list[list[int]]:
        dataset = accessor(transformed, seed).tf_dataset("train", 5, shuffle=True)
        return [rows_of(dataset) for _ in range(3)]

    first = epochs(1)
    assert all(sorted(rows) == list(range(ROWS)) for rows in first)
    assert len({tuple(rows) for rows in first}) == 3  # another order each epoch
    assert list(range(ROWS)) not in first
    assert epochs(1) == first
    assert epochs(2)[0] != first[0]


def test_a_shuffle_keeps_each_row_whole(transformed: Path) -> None:
    for features, labels in collect(accessor(transformed).tf_dataset("train", 4, shuffle=True)):
        for i, row in enumerate(features["row"]):
            assert features["pair"][i].tolist() == [row * 2, row * 2 + 1]
            assert features["text"][i] == f"t{row}".encode()
            assert labels[i] == row % 2


def test_without_a_shuffle_every_epoch_is_in_file_order(transformed: Path) -> None:
    dataset = accessor(transformed).tf_dataset("train", 7)
    assert rows_of(dataset) == rows_of(dataset) == list(range(ROWS))


def test_a_repeated_dataset_goes_on_in_a_new_order(transformed: Path) -> None:
    dataset = accessor(transformed).tf_dataset("train", ROWS, shuffle=True, repeat=True)
    epochs = [features["row"].tolist() for features, _ in collect(dataset.take(3))]
    assert all(sorted(rows) == list(range(ROWS)) for rows in epochs)
    assert len({tuple(rows) for rows in epochs}) == 3


def test_an_unknown_split_names_the_closest(transformed: Path) -> None:
    with pytest.raises(DataError) as caught:
        accessor(transformed).tf_dataset("evall", 5)
    assert caught.value.received == "split 'evall'"
    assert caught.value.expected == "did you mean 'eval'?"


def test_an_unknown_label_names_the_closest(transformed: Path) -> None:
    data = DataAccessor(transformed, "x_x", 1)
    for ask in (data.check_label, lambda: data.tf_dataset("eval", 5)):
        with pytest.raises(DataError) as caught:
            ask()
        assert "no column 'x_x'" in str(caught.value.received)
        assert caught.value.expected == "did you mean 'x_xf'?"
        assert "training.label" in str(caught.value.next_step)


def test_the_files_of_a_split_are_its_parquet(transformed: Path) -> None:
    (file,) = accessor(transformed).files("eval")
    assert pq.read_table(file).num_rows == accessor(transformed).row_count("eval") == 5


@pytest.mark.parametrize("read_rows", [4, 9, 100])
@pytest.mark.parametrize("batch_size", [1, 4, 5, 10, 23, 50])
def test_only_the_last_batch_of_an_epoch_is_small(
    read_rows: int, batch_size: int, transformed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformed_rows, "READ_ROWS", read_rows)
    for shuffle in (False, True):
        data = accessor(transformed).tf_dataset("train", batch_size, shuffle=shuffle)
        batches = [features["row"].tolist() for features, _ in collect(data)]
        sizes = [len(rows) for rows in batches]
        assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
        assert sorted(row for rows in batches for row in rows) == list(range(ROWS))
        assert data.cardinality().numpy() == len(batches)


@pytest.mark.parametrize("read_rows", [4, 9, 100])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_dataset_begins_after_any_batch_as_if_those_before_had_been_taken(
    read_rows: int, shuffle: bool, transformed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformed_rows, "READ_ROWS", read_rows)

    def batches(first: int) -> list[list[int]]:
        dataset = accessor(transformed).tf_dataset(
            "train", 5, shuffle=shuffle, repeat=True, first_batch=first
        )
        return [features["row"].tolist() for features, _ in collect(dataset.take(14 - first))]

    whole = batches(0)
    assert len(whole) == 14  # nearly three epochs of 5 batches
    for first in (1, 4, 5, 13):
        assert batches(first) == whole[first:]


def test_epochs_go_on_where_a_checkpoint_says(transformed: Path) -> None:
    data = accessor(transformed)
    first = data.tf_dataset("train", 5, shuffle=True)
    data.tf_dataset("eval", 5)  # in file order: has no epochs to count
    orders = [rows_of(first) for _ in range(3)]
    assert data.epochs_begun() == [3]
    later = accessor(transformed)
    again = later.tf_dataset("train", 5, shuffle=True)
    later.begin_at([2])
    assert rows_of(again) == orders[2]


def test_replicas_get_whole_batches(transformed: Path) -> None:
    data = DataAccessor(transformed, "y", 1, replicas=2)
    dataset = data.tf_dataset("train", 5, shuffle=True)
    assert [len(labels) for _, labels in collect(dataset)] == [5] * 4
    assert dataset.cardinality().numpy() == data.batches_per_epoch("train", 5) == 4


def options(**changes: Any) -> Any:
    return tfxio.TensorFlowDatasetOptions(**{"batch_size": 5, "label_key": "y", **changes})


@pytest.mark.parametrize("split", ["train", "eval"])
def test_tfxs_factory_takes_the_files_of_a_split(split: str, transformed: Path) -> None:
    data = accessor(transformed)
    plain = data.tf_dataset(split, 5)
    for pattern in (data.files(split), data.files(split)[0], [f"{transformed}/Split-{split}/*"]):
        made = data.tf_dataset_factory(pattern, options(num_epochs=1, shuffle=False), None)
        assert made.element_spec == plain.element_spec
        assert rows_of(made) == rows_of(plain)


def test_tfxs_options_count(transformed: Path) -> None:
    data = accessor(transformed)
    files = data.files("train")
    forever = data.tf_dataset_factory(files, options())
    assert forever.cardinality() == tf.data.INFINITE_CARDINALITY
    twice = data.tf_dataset_factory(files, options(num_epochs=2, drop_final_batch=True))
    assert [len(labels) for _, labels in collect(twice)] == [5] * 8
    assert twice.cardinality().numpy() == 8
    features = data.tf_dataset_factory(files, options(label_key=None)).element_spec
    assert set(features) == {"pair", "row", "text", "x_xf", "y"}

    def order(seed: int | None) -> list[int]:
        return rows_of(data.tf_dataset_factory(files, options(num_epochs=1, shuffle_seed=seed)))

    assert order(3) == order(3) != order(4)
    assert sorted(order(None)) == list(range(ROWS))


@pytest.mark.parametrize("pattern", ["/etc/*", [], "Split-train/x.parquet", "/Split-train/*"])
def test_tfxs_factory_reads_no_other_files(pattern: str | list[str], transformed: Path) -> None:
    data = accessor(transformed)
    with pytest.raises(DataError, match=r"fn_args\.train_files"):
        data.tf_dataset_factory(pattern, options())
    both = [*data.files("train"), *data.files("eval")]
    with pytest.raises(DataError, match=r"fn_args\.train_files"):
        data.tf_dataset_factory(both, options())
    with pytest.raises(DataError, match="did you mean 'x_xf'"):
        data.tf_dataset_factory(data.files("train"), options(label_key="x_x"))
