"""The evaluation: scikit-learn's metrics of what will be served, on the same rows for both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from mlproject import evaluation, raw_inputs
from mlproject.errors import DataError, ServingError
from mlproject.evaluation import (
    PREDICTIONS_FILE,
    Scored,
    compute_metrics,
    read_metrics,
    score_examples,
    write_evaluation,
)
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, MetricRow
from mlproject.training import MODEL_FOLDER
from mlproject.transform import TRANSFORMED_FILE
from mlproject.transformed import Materialized

X = [-2.0, 1.0, 0.5, -1.0, 3.0, -0.5, 2.0]
LABELS = [0, 1, 0, 0, 1, 1, 1]
GROUPS = ["a", "b", None, "a", "b", "a", "b"]
HOURS = [7, 7, 8, 7, 8, 8, None]
MANY = [[1.0, 2.0], None, [-3.0], [0.5] * 9, [4.0, -4.0], None, [1.0]]


class Evaluated:
    """An eval split of seven rows, and models of one line each."""

    def __init__(self, folder: Path, write: Callable[..., Path]) -> None:
        self.folder = folder
        columns = {"x": pa.array(X), "group": pa.array(GROUPS), "hour": pa.array(HOURS)}
        columns |= {"many": pa.array(MANY), "raw": pa.array([b"\xff"] * 7)}
        write(folder / "examples" / "Split-eval", columns)
        (folder / "transformed" / "Split-eval").mkdir(parents=True)
        self.label(pa.array(LABELS))

    def label(self, labels: pa.Array, name: str = "y") -> None:
        file = self.folder / "transformed" / "Split-eval" / TRANSFORMED_FILE
        pq.write_table(pa.table({name: labels, "y_xf": labels}), file)

    def model(
        self, name: str, score: Callable[[Any], Any], column: str = "x", row: Any = ()
    ) -> Path:
        module = tf.Module()
        spec = {column: tf.TensorSpec([None, *row], tf.float32, name=column)}

        @tf.function(input_signature=[spec], autograph=False)
        def serve(features: Any) -> Any:
            return {"predictions": score(features[column])}

        out = self.folder / name
        tf.saved_model.save(module, str(out), signatures={"serving_default": serve})
        return out

    def score(self, models: dict[str, Path], *slices: str, told: Any = None) -> Scored:
        folders = (self.folder / "examples", self.folder / "transformed")
        return score_examples(*folders, "y", models, slices, told)


@pytest.fixture
def evaluated(tmp_path: Path, write_split: Callable[..., Path]) -> Evaluated:
    return Evaluated(tmp_path, write_split)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x)))


def made(rows: int = 500, **slices: Any) -> Scored:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, rows)
    scores = {
        CANDIDATE: np.clip(labels * 0.3 + rng.random(rows) * 0.7, 0, 1).astype("float32"),
        CHAMPION: rng.random(rows).astype("float32"),
    }
    return Scored(labels, scores, slices)


def by_key(rows: list[MetricRow]) -> dict[tuple[str, str], MetricRow]:
    return {(row.slice, row.model): row for row in rows}


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 10_000])
def test_both_models_score_every_row_in_order(
    batch_rows: int, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH_ROWS", batch_rows)
    models = {
        CANDIDATE: evaluated.model("one", lambda x: tf.sigmoid(x)[:, None]),
        CHAMPION: evaluated.model("two", lambda x: tf.sigmoid(-x)),
    }
    told: list[int] = []
    scored = evaluated.score(models, "group", "hour", told=told.append)
    assert scored.labels.tolist() == LABELS
    np.testing.assert_allclose(scored.scores[CANDIDATE], sigmoid(X), atol=1e-6)
    np.testing.assert_allclose(scored.scores[CHAMPION], 1 - sigmoid(X), atol=1e-6)
    assert list(scored.slices["group"]) == ["a", "b", "(missing)", "a", "b", "a", "b"]
    assert list(scored.slices["hour"]) == ["7", "7", "8", "7", "8", "8", "(missing)"]
    assert told[-1] == 14
    assert told == sorted(told)


def test_metrics_are_those_of_scikit_learn_overall_and_by_slice() -> None:
    rng = np.random.default_rng(2)
    area = rng.choice(["1", "2", "(missing)"], 500, p=[0.6, 0.3, 0.1])
    scored = made(area=area)
    rows = by_key(compute_metrics(scored, 1))
    assert len(rows) == 2 * 4
    for (name, model), row in rows.items():
        mask = np.full(500, True) if name == OVERALL else area == name.removeprefix("area=")
        labels, scores = scored.labels[mask], scored.scores[model][mask].astype(float)
        assert row.examples == mask.sum()
        assert row.auc == pytest.approx(roc_auc_score(labels, scores))
        assert row.accuracy == pytest.approx(accuracy_score(labels, scores >= 0.5))
        assert row.log_loss == pytest.approx(log_loss(labels, scores))
    assert rows[OVERALL, CANDIDATE].auc != rows[OVERALL, CHAMPION].auc


def test_metrics_of_rows_that_can_be_counted_by_hand() -> None:
    scores = np.array([0.9, 0.4, 0.6, 0.1], "float32")
    (row,) = compute_metrics(Scored(np.array([1, 1, 0, 0]), {CANDIDATE: scores}, {}), 1)
    assert row.slice == OVERALL
    assert row.auc == 0.75  # three of the four pairs are in order
    assert row.accuracy == 0.5
    assert row.log_loss == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.9]).mean(), rel=1e-6)


def test_half_counts_as_positive_and_certain_scores_have_a_finite_loss() -> None:
    scores = np.array([0.5, 1.0, 0.0], "float32")
    (row,) = compute_metrics(Scored(np.array([1, 0, 1]), {CANDIDATE: scores}, {}), 1)
    assert row.accuracy == pytest.approx(1 / 3)
    assert row.log_loss is not None
    assert np.isfinite(row.log_loss)


def test_slices_come_by_falling_size_after_the_whole() -> None:
    scored = made(10, k=np.array(list("bbbaaaaacc")), j=np.array(["z"] * 10))
    rows = [r for r in compute_metrics(scored, 1) if r.model == CANDIDATE]
    assert [r.slice for r in rows] == [OVERALL, "k=a", "k=b", "k=c", "j=z"]
    assert [r.examples for r in rows] == [10, 5, 3, 2, 10]


def test_a_slice_under_the_least_number_of_rows_has_no_metrics() -> None:
    scored = made(10, k=np.array(list("aaaaaaabbb")))
    rows = by_key(compute_metrics(scored, 4))
    for model in (CANDIDATE, CHAMPION):
        assert rows["k=b", model] == MetricRow("k=b", model, 3, None, None, None)
        assert rows["k=a", model].accuracy is not None
    assert by_key(compute_metrics(scored, 3))["k=b", CANDIDATE].accuracy is not None
    assert by_key(compute_metrics(scored, 100))[OVERALL, CANDIDATE].auc is not None


def test_a_slice_of_one_class_has_no_auc() -> None:
    scores = np.array([0.9, 0.8, 0.3, 0.2], "float32")
    scored = Scored(np.array([1, 1, 1, 0]), {CANDIDATE: scores}, {"k": np.array(list("aabb"))})
    row = by_key(compute_metrics(scored, 1))["k=a", CANDIDATE]
    assert row.auc is None
    assert row.accuracy == 1.0
    assert row.log_loss == pytest.approx(-np.log([0.9, 0.8]).mean(), rel=1e-6)


def test_the_evaluation_reads_back_as_written(tmp_path: Path) -> None:
    scored = made(10, k=np.array(list("aaaaaaabbb")))
    rows = compute_metrics(scored, 4)
    write_evaluation(rows, scored, tmp_path)
    assert read_metrics(tmp_path) == rows
    assert any(row.auc is None for row in rows)
    predictions = pq.read_table(tmp_path / PREDICTIONS_FILE)
    assert predictions.column_names == ["label", CANDIDATE, CHAMPION]
    assert predictions["label"].to_pylist() == scored.labels.tolist()
    assert predictions[CHAMPION].to_pylist() == scored.scores[CHAMPION].tolist()


def test_the_taxi_model_is_judged_by_what_it_serves(
    taxi_examples: Path, taxi_transformed: Path, taxi_trained: Any
) -> None:
    models = {CANDIDATE: taxi_trained.folder / MODEL_FOLDER}
    slices = ("payment_type", "trip_start_hour", "company")
    scored = score_examples(taxi_examples, taxi_transformed, "big_tipper", models, slices)
    rows = compute_metrics(scored, 50)
    columns = next(Materialized([taxi_transformed / "Split-eval" / TRANSFORMED_FILE]).columns())
    labels = columns.pop("big_tipper")
    predicted = np.asarray(taxi_trained.model(columns, training=False)).ravel()
    assert rows[0].auc == pytest.approx(roc_auc_score(labels, predicted), abs=1e-4)
    assert rows[0].auc > 0.6
    for column in slices:
        sizes = [r.examples for r in rows if r.slice.startswith(f"{column}=")]
        assert sum(sizes) == len(labels)
    assert any(r.slice == "company=(missing)" for r in rows)


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (pa.array([0, 1, 2, 0, 1, 1, 1]), "values 0, 1, 2"),
        (pa.array([0.0, 1.0, float("nan"), 0.0, 1.0, 1.0, 1.0]), "values 0.0, 1.0, nan"),
        (pa.array([0.0, 0.5, 1.0, 0.0, 1.0, 1.0, 1.0]), "values 0.0, 0.5, 1.0"),
    ],
    ids=["two", "not a number", "half"],
)
def test_a_label_other_than_0_and_1_is_a_data_error(
    labels: pa.Array, received: str, evaluated: Evaluated
) -> None:
    evaluated.label(labels)
    with pytest.raises(DataError, match="label 'y' cannot be evaluated") as caught:
        evaluated.score({})
    assert caught.value.received == received


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([float(v) for v in LABELS], pa.float32()),
        pa.array([bool(v) for v in LABELS]),
        pa.FixedSizeListArray.from_arrays(pa.array(LABELS), 1),
    ],
    ids=["float", "bool", "[batch, 1]"],
)
def test_labels_may_be_of_any_number_type(labels: pa.Array, evaluated: Evaluated) -> None:
    evaluated.label(labels)
    assert evaluated.score({}).labels.tolist() == LABELS


@pytest.mark.parametrize("only", [0, 1])
def test_an_eval_split_of_one_class_is_a_data_error(only: int, evaluated: Evaluated) -> None:
    evaluated.label(pa.array([only] * 7))
    with pytest.raises(DataError, match="one class only") as caught:
        evaluated.score({})
    assert caught.value.received == f"7 rows, all {only}"


def test_a_label_that_is_no_output_of_the_transform_names_the_closest(
    evaluated: Evaluated,
) -> None:
    evaluated.label(pa.array(LABELS), "why")
    with pytest.raises(DataError, match="no column 'y'"):
        evaluated.score({})


@pytest.mark.parametrize(
    "score",
    [
        lambda x: x,
        lambda x: tf.sigmoid(x) + 0.5,
        lambda x: tf.sigmoid(x) * float("nan"),
        lambda x: tf.stack([tf.sigmoid(x), 1 - tf.sigmoid(x)], axis=1),
    ],
    ids=["negative", "above one", "not a number", "two columns"],
)
def test_a_prediction_that_is_no_probability_is_a_serving_error(
    score: Callable[[Any], Any], evaluated: Evaluated
) -> None:
    with pytest.raises(ServingError, match="cannot be evaluated") as caught:
        evaluated.score({CANDIDATE: evaluated.model("bad", score)})
    assert "one sigmoid output" in str(caught.value.next_step)


def total(many: Any) -> Any:
    return tf.sigmoid(tf.reduce_sum(tf.where(tf.math.is_nan(many), 0.0, many), axis=1))


@pytest.mark.parametrize("most", [1, 30, 1 << 22])
def test_lists_are_scored_whatever_the_longest_of_a_batch(
    most: int, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_inputs, "MAX_PADDED_VALUES", most)
    told: list[int] = []
    models = {CANDIDATE: evaluated.model("sum", total, "many", (None,))}
    scored = evaluated.score(models, told=told.append)
    wanted = sigmoid([sum(values or []) for values in MANY])
    np.testing.assert_allclose(scored.scores[CANDIDATE], wanted, rtol=1e-6)
    assert told == [7]


def test_a_champion_of_lists_of_another_length_is_named_by_its_input(
    evaluated: Evaluated,
) -> None:
    old = evaluated.model("old", total, "many", (4,))
    with pytest.raises(ServingError, match="does not fit the model's input 'many'") as caught:
        evaluated.score({CHAMPION: old})
    assert (caught.value.received, caught.value.expected) == ("9 values a row", "4 values a row")


@pytest.mark.parametrize(("column", "kind"), [("many", "lists"), ("raw", "bytes")])
def test_a_slice_column_of_lists_or_bytes_is_refused(
    column: str, kind: str, evaluated: Evaluated
) -> None:
    with pytest.raises(DataError, match=f"by '{column}' failed") as caught:
        evaluated.score({}, column)
    assert caught.value.received == f"a column of {kind}"


def test_an_unknown_slice_column_names_the_closest(evaluated: Evaluated) -> None:
    with pytest.raises(DataError) as caught:
        evaluated.score({}, "hours")
    assert caught.value.received == "evaluation.slices: hours"
    assert "did you mean 'hour'?" in str(caught.value.expected)


def test_a_slice_column_of_ids_is_refused_before_anything_is_scored(
    evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = {CANDIDATE: evaluated.folder / "never opened"}
    assert evaluation.MAX_SLICE_VALUES == 1_000
    monkeypatch.setattr(evaluation, "MAX_SLICE_VALUES", 3)
    assert len(evaluated.score({}, "group").slices["group"].categories) == 3
    monkeypatch.setattr(evaluation, "MAX_SLICE_VALUES", 2)
    with pytest.raises(DataError, match="by 'group' failed") as caught:
        evaluated.score(never, "group")
    assert caught.value.received == "3 distinct values"
    assert caught.value.expected == "at most 2"
    assert "bucket" in str(caught.value.next_step)


def test_a_champion_that_needs_a_column_which_is_gone_is_a_data_error(
    evaluated: Evaluated,
) -> None:
    model = evaluated.model("old", tf.sigmoid, column="tolls")
    with pytest.raises(DataError, match="with the champion failed") as caught:
        evaluated.score({CHAMPION: model})
    assert caught.value.received == "no column tolls in the data"


def test_labels_of_other_rows_than_the_examples_are_a_data_error(evaluated: Evaluated) -> None:
    evaluated.label(pa.array(LABELS[:-1]))
    with pytest.raises(DataError, match="Scoring the eval split failed") as caught:
        evaluated.score({CANDIDATE: evaluated.model("one", tf.sigmoid)})
    assert caught.value.received == "7 predictions for 6 labels"
