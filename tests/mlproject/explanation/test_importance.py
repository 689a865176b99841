"""Permutation importance: who gets it, who does not, and what cannot be judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlproject.errors import ConfigError, DataError
from mlproject.examples.reader import read_batches
from mlproject.explanation.importance import (
    IMPORTANCE_FILE,
    Importance,
    permutation_importance,
    read_importance,
    write_importance,
)
from mlproject.explanation.scores import SCORES
from mlproject.saved_model import open_signature
from mlproject.training import MODEL_FOLDER
from mlproject.transform import TRANSFORMED_FILE
from mlproject.transformed import Materialized


def asked(function: Callable[[Mapping[str, np.ndarray]], np.ndarray], *names: str) -> Any:
    """A function in the place of an opened signature."""

    def predict(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert sorted(arrays) == sorted(names)
        return {"predictions": function(arrays).astype("float32")}

    predict.input_names = names  # type: ignore[attr-defined]
    return predict


def table(rows: int = 500) -> tuple[pa.RecordBatch, np.ndarray]:
    """`much` decides over the label, `little` hardly, `noise` not at all."""
    rng = np.random.default_rng(4)
    much, little, noise = rng.normal(size=(3, rows))
    labels = (much + 0.2 * little > 0).astype("int64")
    columns = {"much": much, "little": little, "noise": noise, "unused": noise}
    return pa.RecordBatch.from_pydict({n: pa.array(v) for n, v in columns.items()}), labels


def binary(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    score = arrays["much"] + 0.2 * arrays["little"] + 0 * arrays["noise"]
    return (1 / (1 + np.exp(-score)))[:, None]


BINARY = asked(binary, "noise", "little", "much")


@pytest.mark.parametrize("metric", ["auc", "accuracy", "log_loss"])
def test_the_features_that_decide_come_first(metric: str) -> None:
    rows, labels = table()
    found = permutation_importance(BINARY, rows, labels, "binary", metric, seed=1)
    assert [i.feature for i in found] == ["much", "little", "noise"]
    much, little, noise = found
    assert much.drop is not None
    assert little.drop is not None
    assert much.drop > 3 * little.drop > 0
    assert (noise.drop, noise.low, noise.high) == (0.0, 0.0, 0.0)
    for one in (much, little):
        assert one.low is not None
        assert one.high is not None
        assert one.low < one.drop < one.high
        assert (one.low + one.high) / 2 == pytest.approx(one.drop)


def test_the_drop_is_that_of_the_metric_and_the_interval_students() -> None:
    from scipy.stats import t
    from sklearn.metrics import roc_auc_score

    rows, labels = table()
    found = permutation_importance(BINARY, rows, labels, "binary", "auc", seed=7, repeats=4)
    rng = np.random.default_rng(7)
    orders = {n: [rng.permutation(500) for _ in range(4)] for n in ("noise", "little", "much")}
    arrays = {n: rows.column(rows.schema.get_field_index(n)).to_numpy().astype("float32")
              for n in orders}  # fmt: skip
    best = roc_auc_score(labels, binary(arrays)[:, 0])
    drops = [
        best - roc_auc_score(labels, binary({**arrays, "much": arrays["much"][order]})[:, 0])
        for order in orders["much"]
    ]
    half = t.ppf(0.975, 3) * np.std(drops, ddof=1) / 2
    assert found[0].drop == pytest.approx(np.mean(drops), abs=1e-6)
    assert found[0].high == pytest.approx(np.mean(drops) + half, abs=1e-6)


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    rows, labels = table()
    first, again, other = (
        permutation_importance(BINARY, rows, labels, "binary", "auc", seed=s) for s in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_one_repeat_has_no_interval() -> None:
    rows, labels = table()
    found = permutation_importance(BINARY, rows, labels, "binary", "auc", seed=1, repeats=1)
    assert found[0].drop is not None
    assert {(i.low, i.high) for i in found} == {(None, None)}


def test_an_error_that_grows_is_a_loss() -> None:
    rng = np.random.default_rng(5)
    x, noise = rng.normal(size=(2, 300))
    rows = pa.RecordBatch.from_pydict({"x": pa.array(x), "noise": pa.array(noise)})
    predict = asked(lambda a: 2 * a["x"][:, None], "x", "noise")
    for metric in ("rmse", "mae"):
        found = permutation_importance(predict, rows, 2 * x, "regression", metric, seed=1)
        assert [i.feature for i in found] == ["x", "noise"]
        assert found[0].drop == pytest.approx(2.5, abs=1.0)
        assert found[1].drop == 0.0


def test_classes_and_lists_and_missing_values() -> None:
    """A list column is shuffled as a whole, null lists too."""
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 3, 400)
    lists = [None if label == 0 else [float(label)] * int(label) for label in labels]
    texts = [None if label == 2 else "ab" for label in labels]
    rows = pa.RecordBatch.from_pydict({"list": pa.array(lists), "text": pa.array(texts)})

    def classes(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        length = (~np.isnan(arrays["list"].reshape(len(arrays["text"]), -1))).sum(axis=1)
        return np.eye(3)[np.minimum(length, 2)] * 0.85 + 0.05

    predict = asked(classes, "list", "text")
    for metric in ("accuracy", "log_loss"):
        found = permutation_importance(predict, rows, labels, "multiclass", metric, seed=1)
        assert [i.feature for i in found] == ["list", "text"]
        assert found[0].drop is not None
        assert found[0].drop > 0.5
        assert found[1].drop == 0.0


def test_columns_too_large_for_one_piece_are_shuffled_over_all_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 2, 200)
    rows = pa.RecordBatch.from_pydict({"image": pa.array((labels[:, None] + np.zeros(8)).tolist())})
    predict = asked(lambda a: a["image"][:, :1], "image")
    whole = permutation_importance(predict, rows, labels, "binary", "auc", seed=1)
    monkeypatch.setattr("mlproject.raw_inputs.MAX_PADDED_VALUES", 100)
    pieces = permutation_importance(predict, rows, labels, "binary", "auc", seed=1)
    assert pieces == whole
    assert whole[0].drop == pytest.approx(0.5, abs=0.1)


def test_every_row_is_asked_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = table(2_500)
    whole = permutation_importance(BINARY, rows, labels, "binary", "auc", seed=1)
    monkeypatch.setattr("mlproject.explanation.importance.ASKED_ROWS", 1_000)
    seen = []

    def counted(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        seen.append(len(arrays["much"]))
        return binary(arrays)

    predict = asked(counted, "noise", "little", "much")
    found = permutation_importance(predict, rows, labels, "binary", "auc", seed=1)
    assert sum(seen) == 2_500 * (1 + 3 * 3)
    assert max(seen) == 1_000
    assert found == whole


@pytest.mark.parametrize("labels", [np.ones(20), np.zeros(20)])
def test_one_class_cannot_be_judged(labels: np.ndarray) -> None:
    rows, _ = table(20)
    found = permutation_importance(BINARY, rows, labels, "binary", "accuracy", seed=1)
    assert found == [Importance(n, None, None, None) for n in ("noise", "little", "much")]


def test_no_rows_cannot_be_judged() -> None:
    rows, labels = table(0)
    for task, metric in (("binary", "auc"), ("regression", "rmse")):
        found = permutation_importance(BINARY, rows, labels, task, metric, seed=1)
        assert {i.drop for i in found} == {None}


def test_what_cannot_be_asked_is_refused() -> None:
    rows, labels = table(20)
    with pytest.raises(ConfigError, match="'accurracy'") as caught:
        permutation_importance(BINARY, rows, labels, "binary", "accurracy", seed=1)
    assert caught.value.expected == "did you mean 'accuracy'?"
    with pytest.raises(ConfigError, match="0 repeats"):
        permutation_importance(BINARY, rows, labels, "binary", "auc", seed=1, repeats=0)
    with pytest.raises(DataError, match="no column other"):
        permutation_importance(asked(binary, "other"), rows, labels, "binary", "auc", seed=1)
    with pytest.raises(DataError, match="19 labels"):
        permutation_importance(BINARY, rows, labels[:19], "binary", "auc", seed=1)


def test_importances_are_written_and_read(tmp_path: Path) -> None:
    found = [Importance("a", 0.25, 0.125, 0.375), Importance("b", None, None, None)]
    assert write_importance(found, tmp_path) == tmp_path / IMPORTANCE_FILE
    assert read_importance(tmp_path) == found
    write_importance([Importance("b", None, None, None)], tmp_path)
    assert read_importance(tmp_path) == [Importance("b", None, None, None)]


def test_no_file_is_no_importance_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    assert read_importance(tmp_path) == []
    (tmp_path / IMPORTANCE_FILE).write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"importance\.parquet"):
        read_importance(tmp_path)
    pq.write_table(pa.table({"other": [1]}), tmp_path / IMPORTANCE_FILE)
    with pytest.raises(DataError, match=r"importance\.parquet"):
        read_importance(tmp_path)


def test_the_taxi_model_leans_on_the_payment_type(
    taxi_trained: Any, taxi_examples: Path, taxi_transformed: Path
) -> None:
    (rows,) = read_batches(taxi_examples / "Split-eval")
    labels = next(Materialized([taxi_transformed / "Split-eval" / TRANSFORMED_FILE]).columns())[
        "big_tipper"
    ]
    with open_signature(taxi_trained.folder / MODEL_FOLDER) as predict:
        found = permutation_importance(predict, rows, labels, "binary", "auc", seed=42)
        assert sorted(i.feature for i in found) == sorted(predict.input_names)  # type: ignore[attr-defined]
    assert found[0].feature == "payment_type"
    assert found[0].low is not None
    assert found[0].low > 0.05


@pytest.mark.parametrize("task", sorted(SCORES))
def test_scores_are_the_metrics_of_the_evaluation(task: str) -> None:
    from mlproject.metrics.by_task import point_metrics

    rng = np.random.default_rng(9)
    labels = rng.normal(size=300) if task == "regression" else rng.integers(0, 2, 300)
    predictions = rng.random((300, 2 if task == "multiclass" else 1)).astype("float32")
    if task == "multiclass":
        predictions /= predictions.sum(axis=1, keepdims=True)
    given = predictions if task == "multiclass" else predictions[:, 0]
    wanted = point_metrics(task, labels, given, 3)
    found = {metric: score(labels, predictions) for metric, score in SCORES[task].items()}
    assert found == pytest.approx({metric: wanted[metric] for metric in found}, abs=1e-6)
