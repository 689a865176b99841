"""Scoring the eval split: labels, predictions and slices of every row, for both models at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from mlproject import raw_inputs
from mlproject.cases import Cases, read_cases
from mlproject.cases.columns import check_cases_fit
from mlproject.config import load_project
from mlproject.errors import ConfigError, DataError, ServingError
from mlproject.evaluation import scoring, slicing
from mlproject.evaluation.eval_split import check_eval_split
from mlproject.evaluation.labels import read_labels
from mlproject.evaluation.predictions import Predictions
from mlproject.evaluation.sample import sample_rows
from mlproject.evaluation.scoring import ScoreRequest, open_models, score_examples
from mlproject.evaluation.slicing import plan_slices
from mlproject.examples.reader import read_batches
from mlproject.metrics import CANDIDATE, CHAMPION
from mlproject.sections import ProjectConfig
from mlproject.training import MODEL_FOLDER
from mlproject.transform import TRANSFORMED_FILE
from mlproject.transformed import Materialized

X = [-2.0, 1.0, 0.5, -1.0, 3.0, -0.5, 2.0]
LABELS = [0, 1, 0, 0, 1, 1, 1]
GROUPS = ["a", "b", None, "a", "b", "a", "b"]
HOURS = [7, 7, 8, 7, 8, 8, None]
FARES = [4.0, 5.0, 9.99, 10.0, float("nan"), None, 5.0]
MANY = [[1.0, 2.0], None, [-3.0], [0.5] * 9, [4.0, -4.0], None, [1.0]]


class Evaluated:
    """An eval split of seven rows, and models of one line each."""

    def __init__(self, folder: Path, write: Callable[..., Path]) -> None:
        self.folder = folder
        columns = {"x": pa.array(X), "group": pa.array(GROUPS), "hour": pa.array(HOURS)}
        columns |= {"fare": pa.array(FARES, pa.float64())}
        columns |= {"many": pa.array(MANY), "raw": pa.array([b"\xff"] * 7)}
        self.split = write(folder / "examples" / "Split-eval", columns)
        (folder / "transformed" / "Split-eval").mkdir(parents=True)
        self.label(pa.array(LABELS))

    def label(self, labels: pa.Array, name: str = "y") -> None:
        file = self.folder / "transformed" / "Split-eval" / TRANSFORMED_FILE
        pq.write_table(pa.table({name: labels, "y_xf": labels}), file)

    def labels(self, task: str = "binary") -> np.ndarray:
        return read_labels(self.folder / "transformed", "y", task)

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

    def score(
        self,
        models: Mapping[str, Path],
        *slices: str,
        task: str = "binary",
        buckets: Any = None,
        told: Any = None,
    ) -> Predictions:
        planned = plan_slices(self.split, slices, buckets or {})
        file = self.folder / "predictions.parquet"
        with open_models(models) as opened:
            request = ScoreRequest(self.split, opened, "y", self.labels(task), task, planned)
            score_examples(request, file, told)
        return Predictions(file, planned)


@pytest.fixture
def evaluated(tmp_path: Path, write_split: Callable[..., Path]) -> Evaluated:
    return Evaluated(tmp_path, write_split)


@pytest.fixture
def plain(evaluated: Evaluated) -> Callable[..., dict[str, list[int]]]:
    """Slices of the split, by a model that scores every row alike."""
    model = {CANDIDATE: evaluated.model("plain", tf.sigmoid)}

    def slices(*entries: str, buckets: Any = None) -> dict[str, list[int]]:
        scored = evaluated.score(model, *entries, buckets=buckets)
        return {name: rows.tolist() for name, rows in scored.slices()}

    return slices


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x)))


def total(many: Any) -> Any:
    return tf.sigmoid(tf.reduce_sum(tf.where(tf.math.is_nan(many), 0.0, many), axis=1))


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 10_000])
def test_both_models_score_every_row_in_order(
    batch_rows: int, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH_ROWS", batch_rows)
    models = {
        CANDIDATE: evaluated.model("one", lambda x: tf.sigmoid(x)[:, None]),
        CHAMPION: evaluated.model("two", lambda x: tf.sigmoid(-x)),
    }
    told: list[int] = []
    scored = evaluated.score(models, "group", "hour", told=told.append)
    assert scored.labels.tolist() == LABELS
    np.testing.assert_allclose(scored.of(CANDIDATE), sigmoid(X), atol=1e-6)
    np.testing.assert_allclose(scored.of(CHAMPION), 1 - sigmoid(X), atol=1e-6)
    assert {name: rows.tolist() for name, rows in scored.slices()} == {
        "group=a": [0, 3, 5],
        "group=b": [1, 4, 6],
        "group=(missing)": [2],
        "hour=7": [0, 1, 3],
        "hour=8": [2, 4, 5],
        "hour=(missing)": [6],
    }
    assert told == list(dict.fromkeys([*range(batch_rows, 7, batch_rows), 7]))


def test_predictions_can_be_read_by_anyone(evaluated: Evaluated) -> None:
    evaluated.score({CANDIDATE: evaluated.model("one", tf.sigmoid)}, "group")
    table = pq.read_table(evaluated.folder / "predictions.parquet")
    assert table.column_names == ["label", CANDIDATE, "slice group"]
    assert table["slice group"].to_pylist() == ["a", "b", "(missing)", "a", "b", "a", "b"]


@pytest.mark.parametrize("batch_bytes", [1, 1 << 26])
def test_a_batch_of_long_rows_ends_earlier(
    batch_bytes: int, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlproject.examples.batches.BATCH_BYTES", batch_bytes)
    told: list[int] = []
    scored = evaluated.score({CANDIDATE: evaluated.model("one", tf.sigmoid)}, told=told.append)
    assert told == ([7] if batch_bytes > 1 else [1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(scored.of(CANDIDATE), sigmoid(X), atol=1e-6)


@pytest.mark.parametrize("batch_rows", [2, 10_000])
def test_probabilities_of_classes_are_a_list_a_row(
    batch_rows: int, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH_ROWS", batch_rows)
    evaluated.label(pa.array([0, 1, 2, 0, 1, 1, 2]))
    model = evaluated.model("three", lambda x: tf.nn.softmax(tf.stack([-x, x, 0 * x], 1)))
    scored = evaluated.score({CANDIDATE: model}, task="multiclass")
    wanted = tf.nn.softmax(np.stack([-np.array(X), X, np.zeros(7)], 1)).numpy()
    np.testing.assert_allclose(scored.of(CANDIDATE), wanted, rtol=1e-5)
    assert scored.labels.dtype == np.int32


def test_a_regression_predicts_any_finite_number(evaluated: Evaluated) -> None:
    evaluated.label(pa.array([-1.5, 2.0, 1e9, 0.0, 1.0, 2.0, 3.0]))
    model = evaluated.model("line", lambda x: 1000 * x[:, None])
    scored = evaluated.score({CANDIDATE: model}, task="regression")
    assert scored.labels[2] == 1e9
    np.testing.assert_allclose(scored.of(CANDIDATE), 1000 * np.array(X))


@pytest.mark.parametrize(
    ("task", "labels", "received"),
    [
        ("binary", pa.array([0, 1, 2, 0, 1, 1, 1]), "values 0, 1, 2"),
        ("binary", pa.array([0.0, 0.5, 1.0, 0.0, 1.0, 1.0, 1.0]), "values 0.0, 0.5, 1.0"),
        ("binary", pa.array([0, 1, -1, 0, 1, 1, 1]), "values -1, 0, 1"),
        ("multiclass", pa.array([0, 1, -1, 0, 1, 1, 1]), "values -1"),
        ("multiclass", pa.array([0.0, 0.5, 1.0, 0.0, 1.0, 1.0, 1.0]), "values 0.5"),
        ("regression", pa.array([0.0, 0.5, float("inf")]), "an infinite value in 1 of 3 rows"),
        ("binary", pa.array(["0", "1"]), "1 value of type text a row"),
        (
            "multiclass",
            pa.FixedSizeListArray.from_arrays(pa.array([0, 1, 1, 0]), 2),
            "2 values of type int64 a row",
        ),
    ],
)
def test_a_label_that_the_task_does_not_take_is_a_data_error(
    task: str, labels: pa.Array, received: str, evaluated: Evaluated
) -> None:
    evaluated.label(labels)
    with pytest.raises(DataError, match="label 'y' cannot be evaluated") as caught:
        evaluated.labels(task)
    assert caught.value.received == received


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_missing_label_is_told_with_how_many(task: str, evaluated: Evaluated) -> None:
    evaluated.label(pa.array([0.0, 1.0, float("nan"), 0.0, None, 1.0, 1.0], pa.float32()))
    with pytest.raises(DataError, match="label 'y' is missing") as caught:
        evaluated.labels(task)
    assert caught.value.received == "no label (NaN) in 2 of 7 rows"


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
    for task in ("binary", "multiclass", "regression"):
        assert evaluated.labels(task).tolist() == LABELS


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("only", [0, 1])
def test_an_eval_split_of_one_class_is_a_data_error(
    only: int, task: str, evaluated: Evaluated
) -> None:
    evaluated.label(pa.array([only] * 7))
    with pytest.raises(DataError, match="one class only") as caught:
        evaluated.labels(task)
    assert caught.value.received == f"7 rows, all {only}"


def test_an_entry_that_stands_twice_is_sliced_once(evaluated: Evaluated) -> None:
    planned = plan_slices(evaluated.split, ("group,hour", "group, hour", "group"), {})
    assert planned.entries == (("group", "hour"), ("group",))


def config_of(schema: Any = None, **evaluation: Any) -> ProjectConfig:
    return ProjectConfig.model_validate(
        {
            "name": "made",
            "module": "project.py",
            "data": {"path": "data"},
            "training": {"label": "y"},
            "evaluation": evaluation,
            "schema": schema or {},
        }
    )


def test_an_eval_split_is_refused_before_anything_is_trained(evaluated: Evaluated) -> None:
    transformed = evaluated.folder / "transformed"
    check_eval_split(evaluated.split, transformed, config_of(slices=["group", "hour"]))
    with pytest.raises(DataError, match="Slicing the eval split failed") as caught:
        check_eval_split(evaluated.split, transformed, config_of(slices=["grup"]))
    assert "group" in str(caught.value.expected)
    wrong = config_of(slices=["group"], buckets={"group": [1.0, 2.0]})
    with pytest.raises(DataError, match="Bucketing the column 'group' failed"):
        check_eval_split(evaluated.split, transformed, wrong)
    for column, said in (("grup", "did you mean 'group'"), ("fare", "one of group, hour, many")):
        given = {"golden": [{"name": "a", "row": {column: 1}, "class": 1}]}
        cases = Cases.model_validate(given)
        config = config_of(schema={"training_only": ["fare"]})
        with pytest.raises(ConfigError, match="case 'a' names a column") as unknown:
            check_eval_split(evaluated.split, transformed, config, cases)
        assert said in str(unknown.value.expected)
    evaluated.label(pa.array([1] * 7))
    with pytest.raises(DataError, match="one class only"):
        check_eval_split(evaluated.split, transformed, config_of())


def test_a_label_that_is_no_output_of_the_transform_names_the_closest(
    evaluated: Evaluated,
) -> None:
    evaluated.label(pa.array(LABELS), "why")
    with pytest.raises(DataError, match="no column 'y'") as caught:
        evaluated.labels()
    assert "y_xf" in str(caught.value.expected)


SOFTMAX = {
    "binary": lambda x: tf.sigmoid(x),
    "multiclass": lambda x: tf.nn.softmax(tf.stack([-x, x, 0 * x], axis=1)),
    "regression": lambda x: x,
}


@pytest.mark.parametrize(
    ("task", "score", "received"),
    [
        ("binary", lambda x: x, "values from -2 to 3"),
        ("binary", lambda x: x + 2.5, "values from 0.5 to 5.5"),
        ("binary", lambda x: tf.sigmoid(x) * float("nan"), "7 of 7 values are not finite"),
        ("binary", SOFTMAX["multiclass"], "shape (7, 3) for 7 rows"),
        ("binary", lambda x: tf.strings.as_string(x), "values of type object"),
        ("multiclass", SOFTMAX["binary"], "shape (7,) for 7 rows"),
        ("multiclass", lambda x: SOFTMAX["multiclass"](x) * 0.9, "sums from 0.9 to 0.9"),
        ("multiclass", lambda x: tf.stack([x, 1 - x], 1), "values from -2 to 3"),
        ("regression", lambda x: x / 0, "7 of 7 values are not finite"),
        ("regression", lambda x: tf.reduce_mean(x), "shape () for 7 rows"),
    ],
)
def test_predictions_that_the_task_does_not_take_are_a_serving_error(
    task: str, score: Callable[[Any], Any], received: str, evaluated: Evaluated
) -> None:
    models = {
        CANDIDATE: evaluated.model("good", SOFTMAX[task]),
        CHAMPION: evaluated.model("bad", score),
    }
    with pytest.raises(ServingError, match=f"champion cannot be evaluated as {task}") as caught:
        evaluated.score(models, task=task)
    assert caught.value.received == received


def test_a_label_beyond_the_models_classes_is_a_data_error(evaluated: Evaluated) -> None:
    evaluated.label(pa.array([0, 1, 2, 3, 1, 1, 2]))
    model = evaluated.model("three", SOFTMAX["multiclass"])
    with pytest.raises(DataError, match="does not fit the model") as caught:
        evaluated.score({CANDIDATE: model}, task="multiclass")
    assert caught.value.received == "label 3 in the eval split, and 3 outputs of the model"


def test_a_champion_of_other_classes_is_a_data_error(evaluated: Evaluated) -> None:
    models = {
        CANDIDATE: evaluated.model("three", SOFTMAX["multiclass"]),
        CHAMPION: evaluated.model("two", lambda x: tf.nn.softmax(tf.stack([-x, x], 1))),
    }
    with pytest.raises(DataError, match="Comparing the candidate with the champion") as caught:
        evaluated.score(models, task="multiclass")
    assert caught.value.received == "3 classes of the candidate, 2 classes of the champion"


@pytest.mark.parametrize("most", [1, 30, 1 << 22])
def test_lists_are_scored_whatever_the_longest_of_a_batch(
    most: int, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_inputs, "MAX_PADDED_VALUES", most)
    models = {CANDIDATE: evaluated.model("sum", total, "many", (None,))}
    wanted = sigmoid([sum(values or []) for values in MANY])
    np.testing.assert_allclose(evaluated.score(models).of(CANDIDATE), wanted, rtol=1e-6)


def test_a_champion_of_lists_of_another_length_is_named_by_its_input(
    evaluated: Evaluated,
) -> None:
    old = evaluated.model("old", total, "many", (4,))
    with pytest.raises(ServingError, match="does not fit the model's input 'many'") as caught:
        evaluated.score({CHAMPION: old})
    assert (caught.value.received, caught.value.expected) == ("9 values a row", "4 values a row")


def test_a_champion_that_needs_a_column_which_is_gone_is_a_data_error(
    evaluated: Evaluated,
) -> None:
    model = evaluated.model("old", tf.sigmoid, column="tolls")
    with pytest.raises(DataError, match="with the champion failed") as caught:
        evaluated.score({CHAMPION: model})
    assert caught.value.received == "no column tolls in the data"


@pytest.mark.parametrize("labels", [[0, 1, 0], [*LABELS, 1]], ids=["fewer", "more"])
def test_labels_of_other_rows_than_the_examples_are_a_data_error(
    labels: list[int], evaluated: Evaluated
) -> None:
    evaluated.label(pa.array(labels))
    with pytest.raises(DataError, match="Scoring the eval split failed") as caught:
        evaluated.score({CANDIDATE: evaluated.model("one", tf.sigmoid)})
    assert str(caught.value.received).startswith(f"{len(labels)} labels for ")


def test_a_cross_has_the_slices_that_occur(plain: Callable[..., dict[str, list[int]]]) -> None:
    found = plain("group,hour")
    assert found["group=a,hour=7"] == [0, 3]
    assert found["group=(missing),hour=8"] == [2]
    assert "group=(missing),hour=7" not in found
    assert sorted(row for rows in found.values() for row in rows) == list(range(7))
    assert plain(" group , hour ") == found


def test_buckets_have_names_of_their_bounds_and_may_be_empty(
    plain: Callable[..., dict[str, list[int]]],
) -> None:
    found = plain("fare", "hour,fare", buckets={"fare": (5.0, 10.0, 20.0)})
    assert {n: r for n, r in found.items() if n.startswith("fare")} == {
        "fare=(-inf, 5)": [0],
        "fare=[5, 10)": [1, 2, 6],
        "fare=[10, 20)": [3],
        "fare=[20, inf)": [],
        "fare=(missing)": [4, 5],
    }
    assert found["hour=8,fare=(missing)"] == [4, 5]


def test_buckets_of_equal_size_come_from_the_data(
    plain: Callable[..., dict[str, list[int]]],
) -> None:
    found = plain("x", buckets={"x": 2})
    assert found == {"x=[0.5, inf)": [1, 2, 4, 6], "x=(-inf, 0.5)": [0, 3, 5]}


def test_buckets_of_a_column_with_few_values_are_fewer(
    plain: Callable[..., dict[str, list[int]]],
) -> None:
    found = plain("hour", buckets={"hour": 10})
    assert {name: rows for name, rows in found.items() if rows} == {
        "hour=[7, 7.5)": [0, 1, 3],
        "hour=[8, inf)": [2, 4, 5],
        "hour=(missing)": [6],
    }


@pytest.mark.parametrize(
    ("slices", "buckets", "received"),
    [
        (("group",), {"group": 3}, "a column of type string"),
        (("many",), {}, "a column of lists"),
        (("raw",), {}, "a column of bytes"),
        (("group,many",), {}, "a column of lists"),
        (("hours",), {}, "evaluation.slices: hours"),
    ],
)
def test_a_column_that_cannot_be_sliced_is_refused(
    slices: tuple[str, ...], buckets: Any, received: str, evaluated: Evaluated
) -> None:
    with pytest.raises(DataError) as caught:
        plan_slices(evaluated.split, slices, buckets)
    assert caught.value.received == received


@pytest.mark.parametrize(("entry", "values"), [("group", 3), ("group,hour", 6)])
def test_an_entry_of_too_many_values_is_refused(
    entry: str, values: int, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slicing.MAX_SLICE_VALUES == 1_000
    monkeypatch.setattr(slicing, "MAX_SLICE_VALUES", values)
    plan_slices(evaluated.split, (entry,), {})
    monkeypatch.setattr(slicing, "MAX_SLICE_VALUES", values - 1)
    with pytest.raises(DataError, match=f"by '{entry}' failed") as caught:
        plan_slices(evaluated.split, (entry,), {})
    assert caught.value.expected == f"at most {values - 1}"
    assert "bucket" in str(caught.value.next_step)


def test_a_sample_is_seeded_and_in_order(evaluated: Evaluated) -> None:
    rows, numbers = sample_rows(evaluated.split, 3, seed=4)
    again, same = sample_rows(evaluated.split, 3, seed=4)
    assert numbers.tolist() == sorted(set(numbers.tolist())) == same.tolist()
    assert rows.equals(again)
    x = rows.column(rows.schema.get_field_index("x")).to_pylist()
    assert x == [X[number] for number in numbers]
    everything, numbers = sample_rows(evaluated.split, 100, seed=4)
    assert everything.num_rows == len(numbers) == 7


def test_the_taxi_model_is_judged_by_what_it_serves(
    taxi_examples: Path, taxi_transformed: Path, taxi_trained: Any, tmp_path: Path
) -> None:
    split = taxi_examples / "Split-eval"
    labels = read_labels(taxi_transformed, "big_tipper", "binary")
    planned = plan_slices(split, ("payment_type", "company"), {})
    models = {CANDIDATE: taxi_trained.folder / MODEL_FOLDER}
    file = tmp_path / "predictions.parquet"
    with open_models(models) as opened:
        request = ScoreRequest(split, opened, "big_tipper", labels, "binary", planned)
        score_examples(request, file)
    scored = Predictions(file, planned)
    columns = next(Materialized([taxi_transformed / "Split-eval" / TRANSFORMED_FILE]).columns())
    assert columns.pop("big_tipper").tolist() == scored.labels.tolist()
    predicted = np.asarray(taxi_trained.model(columns, training=False)).ravel()
    np.testing.assert_allclose(scored.of(CANDIDATE), predicted, atol=1e-5)
    assert roc_auc_score(scored.labels, scored.of(CANDIDATE)) > 0.6
    sizes = {name: len(rows) for name, rows in scored.slices()}
    for column in ("payment_type", "company"):
        assert sum(n for name, n in sizes.items() if name.startswith(column)) == len(labels)
    assert "company=(missing)" in sizes


def test_the_cases_of_the_taxi_example_fit_its_data(taxi_examples: Path) -> None:
    folder = Path(__file__).parents[2] / "examples" / "taxi"
    config = load_project(folder).config
    cases = read_cases(folder / str(config.evaluation.cases), config.training.task)
    schema = next(read_batches(taxi_examples / "Split-eval")).schema
    assert config.schema_.training_only
    check_cases_fit(cases, schema, config.schema_.training_only)
