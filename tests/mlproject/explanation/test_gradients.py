"""Integrated gradients: what must hold of them, on models whose attributions are known."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mlproject.errors import ConfigError, ServingError
from mlproject.examples.reader import read_batches
from mlproject.explanation import Attribution, integrated_gradients
from mlproject.raw_inputs import MISSING_INT, raw_arrays
from mlproject.training import MODEL_FOLDER
from mlproject.warmup import write_warmup_requests

Export = Callable[..., Path]
FLOAT, INT, TEXT = (tf.TensorSpec([None], dtype) for dtype in (tf.float32, tf.int64, tf.string))


def row(**values: Any) -> dict[str, np.ndarray]:
    """A raw row, or several rows of which each value is a list."""
    kinds = {float: np.float32, int: np.int64, str: object}
    arrays = {}
    for name, value in values.items():
        many = value if isinstance(value, list) else [value]
        kind = kinds[type(np.array(many).flat[0].item())]
        many = np.array(many)
        arrays[name] = np.char.encode(many).astype(object) if kind is object else many.astype(kind)
    return arrays


def added(found: Attribution) -> dict[str, float]:
    return {share.feature: share.attribution for share in found.transformed}


def column(*tensors: Any) -> Any:
    return sum(tf.cast(tensor, tf.float32) for tensor in tensors)[:, tf.newaxis]


def test_a_linear_model_gets_its_coefficients_times_the_way_gone(export: Export) -> None:
    model = export(
        {"a": FLOAT, "b": FLOAT, "n": INT},
        lambda t: column(2 * t["a_xf"], -3 * t["b_xf"], 5 * t["n_xf"]) + 7.0,
    )
    base = row(a=[0.0, 2.0], b=[1.0, 0.0], n=[4, 4])
    found = integrated_gradients(model, row(a=5.0, b=2.0, n=6), baseline_rows=[base])
    assert found.prediction == 41.0
    assert found.baseline == pytest.approx(7 + 2 * 1.0 - 3 * 0.5 + 20)
    assert added(found) == pytest.approx({"a_xf": 8.0, "b_xf": -4.5, "n_xf": 10.0}, abs=1e-4)
    assert found.gap == pytest.approx(0.0, abs=1e-4)
    assert (found.output, found.baseline_rows, found.permutations) == (None, 2, None)
    assert [(s.feature, s.value) for s in found.shares] == [("n", 6), ("a", 5.0), ("b", 2.0)]


def test_a_feature_that_the_model_does_not_use_gets_nothing(export: Export) -> None:
    model = export(
        {"a": FLOAT, "dummy": FLOAT, "n": INT, "unused": INT},
        lambda t: tf.sigmoid(column(t["a_xf"] * tf.cast(t["n_xf"], tf.float32))),
    )
    base = row(a=0.1, dummy=0.0, n=1, unused=1)
    found = integrated_gradients(model, row(a=1.0, dummy=9.0, n=3, unused=8), baseline_rows=[base])
    assert added(found)["dummy_xf"] == 0.0
    assert added(found)["unused_xf"] == pytest.approx(0.0, abs=1e-9)
    assert added(found)["a_xf"] > 0.01


def test_a_feature_as_in_the_baseline_gets_nothing(export: Export) -> None:
    model = export({"a": FLOAT, "n": INT}, lambda t: column(t["a_xf"] ** 2, t["n_xf"]))
    base = row(a=1.0, n=3)
    found = integrated_gradients(model, row(a=2.0, n=3), baseline_rows=[base])
    assert added(found) == pytest.approx({"a_xf": 3.0, "n_xf": 0.0}, abs=1e-5)
    still = integrated_gradients(model, base, baseline_rows=[base])
    assert added(still) == {"a_xf": 0.0, "n_xf": 0.0}
    assert (still.gap, still.steps) == (0.0, 0)


@pytest.mark.parametrize(("spec", "value"), [(FLOAT, 2.0), (INT, 2)])
def test_features_of_equal_use_get_equal_shares(export: Export, spec: Any, value: Any) -> None:
    model = export(
        {"a": spec, "b": spec, "c": spec},
        lambda t: tf.sigmoid(column(tf.cast(t["a_xf"] * t["b_xf"], tf.float32), t["c_xf"])),
    )
    zero = type(value)(0)
    found = integrated_gradients(
        model, row(a=value, b=value, c=value), baseline_rows=[row(a=zero, b=zero, c=zero)]
    )
    shares = added(found)
    assert shares["a_xf"] == pytest.approx(shares["b_xf"], abs=1e-6)
    assert shares["a_xf"] > 0.01
    assert found.gap == pytest.approx(0.0, abs=1e-3)


def test_discrete_features_get_their_exact_shapley_values(export: Export) -> None:
    """Against the definition: the mean over all orders of what the feature gains."""
    table = tf.Variable(np.random.default_rng(1).normal(size=(2, 2, 2, 2)).astype("float32"))

    def predict(t: Any) -> Any:
        at = tf.stack(
            [t["i_xf"], t["j_xf"], t["k_xf"], tf.strings.to_number(t["s_xf"], tf.int64)], 1
        )
        return tf.gather_nd(table, at)[:, tf.newaxis]

    model = export({"i": INT, "j": INT, "k": INT, "s": TEXT}, predict, variables=[table])
    base = row(i=0, j=0, k=0, s="0")
    found = integrated_gradients(model, row(i=1, j=1, k=1, s="1"), baseline_rows=[base])
    game, gains = table.numpy(), dict.fromkeys(range(4), 0.0)
    orders = list(permutations(range(4)))
    for order in orders:
        at = [0, 0, 0, 0]
        for player in order:
            before = game[tuple(at)]
            at[player] = 1
            gains[player] += float(game[tuple(at)] - before) / len(orders)
    wanted = dict(zip(("i_xf", "j_xf", "k_xf", "s_xf"), gains.values(), strict=True))
    assert added(found) == pytest.approx(wanted, abs=1e-5)
    assert found.gap == pytest.approx(0.0, abs=1e-6)
    assert (found.steps, found.permutations) == (0, None)


def test_many_discrete_features_are_drawn_and_still_add_up(export: Export) -> None:
    names = [f"n{place:02d}" for place in range(20)]

    def predict(t: Any) -> Any:
        numbers = [tf.cast(t[f"{name}_xf"], tf.float32) for name in names]
        return tf.sigmoid(column(*numbers) / 10.0 + column(numbers[0] * numbers[1], t["x_xf"]))

    model = export({**dict.fromkeys(names, INT), "x": FLOAT}, predict)
    there, base = row(**dict.fromkeys(names, 1), x=0.5), row(**dict.fromkeys(names, 0), x=0.0)
    found = integrated_gradients(model, there, baseline_rows=[base])
    assert found.permutations == 200
    assert found.gap == pytest.approx(0.0, abs=1e-4)
    shares = added(found)
    others = [shares[f"{name}_xf"] for name in names[2:]]
    assert np.std(others) < 0.1 * np.mean(others)
    assert shares["n00_xf"] > 2 * np.mean(others)
    assert integrated_gradients(model, there, baseline_rows=[base]) == found
    other = integrated_gradients(model, there, baseline_rows=[base], seed=1)
    assert added(other) != shares


def test_lists_and_matrices_are_summed_to_their_feature(export: Export) -> None:
    specs = {
        "image": tf.TensorSpec([None, 2, 2], tf.float32),
        "ids": tf.TensorSpec([None, 3], tf.int64),
    }
    weights = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    model = export(
        specs,
        lambda t: column(
            tf.reduce_sum(t["image_xf"] * weights, axis=[1, 2]), tf.reduce_sum(t["ids_xf"], axis=1)
        ),
    )
    base = {"image": np.zeros((1, 2, 2), "float32"), "ids": np.zeros((1, 3), "int64")}
    there = {"image": np.ones((1, 2, 2), "float32"), "ids": np.array([[1, 2, 3]])}
    found = integrated_gradients(model, there, baseline_rows=[base])
    assert added(found) == pytest.approx({"image_xf": 10.0, "ids_xf": 6.0}, abs=1e-4)
    parts = {share.feature: share.parts for share in found.transformed}
    np.testing.assert_allclose(parts["image_xf"], weights, atol=1e-4)
    assert parts["ids_xf"] is None


def test_the_values_of_a_list_add_up_to_the_list_beside_discrete_features(export: Export) -> None:
    specs = {"image": tf.TensorSpec([None, 4], tf.float32), "n": INT}

    def predict(t: Any) -> Any:
        number = tf.cast(t["n_xf"], tf.float32)
        return tf.sigmoid(tf.reduce_sum(t["image_xf"] ** 2, 1) * number)[:, tf.newaxis]

    model = export(specs, predict)
    base = {"image": np.zeros((1, 4), "float32"), "n": np.array([1])}
    there = {"image": np.array([[0.5, -0.5, 0.0, 1.0]], "float32"), "n": np.array([3])}
    found = integrated_gradients(model, there, baseline_rows=[base])
    share = next(s for s in found.transformed if s.feature == "image_xf")
    assert sum(share.parts) == pytest.approx(share.attribution, abs=1e-3)
    assert share.parts[0] == pytest.approx(share.parts[1])
    assert share.parts[2] == 0.0
    assert share.parts[3] > 2 * share.parts[0] > 0


def test_the_gap_of_a_bent_model_is_within_the_tolerance(export: Export) -> None:
    weights = np.random.default_rng(2).normal(size=(3, 40)).astype("float32")

    def predict(t: Any) -> Any:
        x = tf.stack([t["a_xf"], t["b_xf"], tf.cast(t["n_xf"], tf.float32)], axis=1)
        return tf.sigmoid(tf.reduce_sum(tf.nn.relu(x @ weights), axis=1, keepdims=True) - 9.0)

    model = export({"a": FLOAT, "b": FLOAT, "n": INT}, predict)
    base = row(a=-0.5, b=0.4, n=0)
    there = row(a=1.5, b=-1.0, n=1)
    found = integrated_gradients(model, there, baseline_rows=[base])
    assert abs(found.prediction - found.baseline) > 0.05
    assert found.steps >= 16
    assert abs(found.gap) <= 5e-3
    coarse = integrated_gradients(model, there, baseline_rows=[base], steps=2)
    assert coarse.steps == 2
    assert abs(coarse.gap) > abs(found.gap)


def test_a_model_without_gradients_is_explained_all_the_same(export: Export) -> None:
    """It rounds its float inputs: the path integral is 0 everywhere."""
    model = export(
        {"a": FLOAT, "b": FLOAT}, lambda t: column(tf.round(t["a_xf"]), 2 * tf.round(t["b_xf"]))
    )
    base = row(a=0.0, b=0.0)
    found = integrated_gradients(model, row(a=3.2, b=1.1), baseline_rows=[base])
    assert added(found) == pytest.approx({"a_xf": 3.0, "b_xf": 2.0})
    assert (found.steps, found.gap) == (0, 0.0)
    insisted = integrated_gradients(model, row(a=3.2, b=1.1), baseline_rows=[base], steps=8)
    assert (insisted.steps, insisted.gap) == (8, 5.0)


def three_classes(t: Any) -> Any:
    scores = [t["a_xf"], 2 * t["a_xf"] + t["b_xf"], -t["b_xf"]]
    return tf.nn.softmax(tf.stack(scores, axis=1))


def test_the_predicted_class_is_explained_or_the_one_asked_for(export: Export) -> None:
    model = export({"a": FLOAT, "b": FLOAT}, three_classes)
    base = row(a=0.0, b=0.0)
    there = row(a=1.0, b=0.5)
    found = integrated_gradients(model, there, baseline_rows=[base])
    assert found.output == 1
    assert found.baseline == pytest.approx(1 / 3)
    each = [integrated_gradients(model, there, output=n, baseline_rows=[base]) for n in range(3)]
    assert each[1] == found
    assert [one.output for one in each] == [0, 1, 2]
    assert sum(one.prediction for one in each) == pytest.approx(1.0)
    for name in ("a_xf", "b_xf"):  # probabilities sum to 1, so what one class gains others lose
        assert sum(added(one)[name] for one in each) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("output", [3, -1])
def test_a_class_that_is_not_there_is_refused(output: int, export: Export) -> None:
    model = export({"a": FLOAT, "b": FLOAT}, three_classes)
    there = row(a=1.0, b=0.5)
    with pytest.raises(ConfigError, match="no such class") as caught:
        integrated_gradients(model, there, output=output, baseline_rows=[there])
    assert caught.value.expected == "0 to 2"


def test_a_model_of_one_number_has_no_class(export: Export) -> None:
    model = export({"a": FLOAT}, lambda t: column(t["a_xf"]))
    with pytest.raises(ConfigError, match="no such class") as caught:
        integrated_gradients(model, row(a=1.0), output=0, baseline_rows=[row(a=0.0)])
    assert caught.value.expected == "no class: the model gives one number"
    with pytest.raises(ConfigError, match="Explaining"):
        integrated_gradients(model, row(a=1.0), steps=0, baseline_rows=[row(a=0.0)])


def test_attributions_are_summed_to_raw_features(export: Export) -> None:
    def transform(raw: Any) -> Any:
        return {
            "a1_xf": raw["a"] * 2,
            "a2_xf": tf.cast(raw["a"] > 0, tf.int64),
            "ratio_xf": raw["a"] * raw["b"],
            "constant_xf": tf.ones_like(raw["b"]),
        }

    model = export(
        {"a": FLOAT, "b": FLOAT},
        lambda t: column(t["a1_xf"], t["a2_xf"], t["ratio_xf"], t["constant_xf"]),
        transform,
        {"a1_xf": ["a"], "a2_xf": ["a"], "ratio_xf": ["a", "b"], "constant_xf": []},
    )
    found = integrated_gradients(model, row(a=1.0, b=3.0), baseline_rows=[row(a=0.0, b=0.0)])
    assert {s.feature: s.attribution for s in found.raw} == pytest.approx({"a": 3.0, "a + b": 3.0})
    assert {s.feature: s.value for s in found.raw} == {"a": 1.0, "a + b": {"a": 1.0, "b": 3.0}}


def test_a_raw_feature_keeps_its_name_though_tensorflow_changes_it(export: Export) -> None:
    model = export(
        {"trip-miles": FLOAT},
        lambda t: column(t["miles_xf"]),
        lambda raw: {"miles_xf": 2 * raw["trip-miles"]},
        {"miles_xf": ["trip-miles"]},
    )
    base, there = row(**{"trip-miles": 0.0}), row(**{"trip-miles": 3.0})
    found = integrated_gradients(model, there, baseline_rows=[base])
    (share,) = found.raw
    assert (share.feature, share.value) == ("trip-miles", 3.0)
    assert share.attribution == pytest.approx(6.0, abs=1e-3)


def test_a_model_that_does_not_tell_its_origins_is_explained_by_transformed_features(
    export: Export,
) -> None:
    model = export({"a": FLOAT}, lambda t: column(t["a_xf"]))
    shutil.rmtree(model / "assets.extra")
    found = integrated_gradients(model, row(a=1.0), baseline_rows=[row(a=0.0)])
    assert found.raw == ()
    assert [s.feature for s in found.shares] == ["a_xf"]


def filled(raw: Any) -> Any:
    """Missing values as a transform would fill them."""
    known = tf.logical_not(tf.math.is_nan(raw["a"]))
    return {
        "a_xf": tf.where(known, raw["a"], 10.0),
        "n_xf": tf.where(raw["n"] == MISSING_INT, tf.constant(-1, tf.int64), raw["n"]),
        "s_xf": raw["s"],
    }


def test_without_rows_the_baseline_is_a_row_of_missing_values(export: Export) -> None:
    def predict(t: Any) -> Any:
        return column(t["a_xf"], t["n_xf"], tf.strings.length(t["s_xf"]))

    model = export({"a": FLOAT, "n": INT, "s": TEXT}, predict, filled)
    found = integrated_gradients(model, row(a=1.0, n=2, s="abc"))
    assert (found.baseline, found.baseline_rows) == (9.0, 0)
    assert added(found) == pytest.approx({"a_xf": -9.0, "n_xf": 3.0, "s_xf": 3.0}, abs=1e-4)
    missing = row(a=float("nan"), n=MISSING_INT, s="")
    nothing = integrated_gradients(model, missing)
    assert {s.value for s in nothing.raw} == {None}


def test_no_baseline_can_be_made_of_nothing_where_a_feature_must_be_there(export: Export) -> None:
    model = export(
        {"image": tf.TensorSpec([None, 4], tf.float32)},
        lambda t: tf.reduce_sum(t["image_xf"], axis=1, keepdims=True),
    )
    with pytest.raises(ServingError, match="no row to compare it with") as caught:
        integrated_gradients(model, {"image": np.ones((1, 4), "float32")})
    assert "'image' cannot be missing" in str(caught.value.received)


def test_a_row_without_a_number_is_refused(export: Export) -> None:
    model = export({"a": FLOAT}, lambda t: column(t["a_xf"]))
    with pytest.raises(ServingError, match="no number for the row"):
        integrated_gradients(model, row(a=float("nan")), baseline_rows=[row(a=0.0)])
    with pytest.raises(ServingError, match="no number for the baseline"):
        integrated_gradients(model, row(a=1.0))


def test_a_row_that_lacks_a_feature_is_refused(export: Export) -> None:
    model = export({"a": FLOAT, "b": FLOAT}, lambda t: column(t["a_xf"], t["b_xf"]))
    with pytest.raises(ServingError, match="Transforming a row failed") as caught:
        integrated_gradients(model, row(a=1.0), baseline_rows=[row(a=1.0, b=1.0)])
    assert caught.value.received == "no b"


def test_a_model_of_its_own_signatures_cannot_be_explained(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(examples: Any) -> Any:
        return {"predictions": tf.zeros_like(examples, tf.float32)}

    module = tf.Module()
    signatures = {"serving_default": serving_default.get_concrete_function()}
    tf.saved_model.save(module, str(tmp_path / "own"), signatures=signatures)
    with pytest.raises(ServingError, match="cannot be explained") as caught:
        integrated_gradients(tmp_path / "own", {})
    assert caught.value.received == "serving_default"
    assert "run_fn" in str(caught.value.next_step)


def test_the_taxi_model_is_explained_against_its_warm_up_rows(
    taxi_trained: Any, taxi_examples: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(taxi_trained.folder / MODEL_FOLDER, tmp_path / "model"))
    split = taxi_examples / "Split-eval"
    write_warmup_requests(model, "taxi", split)
    (batch,) = read_batches(split)
    names = tuple(integrated_row(batch, model, 0))
    for number in (0, 1):
        found = integrated_gradients(model, integrated_row(batch, model, number))
        assert found.baseline_rows == 32
        assert abs(found.gap) <= 5e-3
        assert {share.feature for share in found.raw} == set(names)
        assert sum(s.attribution for s in found.raw) == pytest.approx(
            found.prediction - found.baseline, abs=5e-3
        )


def integrated_row(batch: Any, model: Path, number: int) -> dict[str, np.ndarray]:
    from mlproject.saved_model.definition import signature_definition

    names = tuple(signature_definition(model, "serving_default").inputs)
    return raw_arrays(batch.slice(number, 1), names)
