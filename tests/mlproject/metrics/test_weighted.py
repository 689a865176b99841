"""Metrics under row weights: weights of 1 are scikit-learn's values, whole weights are copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlproject.metrics import metric_names
from mlproject.metrics.binary import binary_metrics
from mlproject.metrics.multiclass import multiclass_metrics
from mlproject.metrics.regression import regression_metrics
from mlproject.metrics.weighted_binary import WeightedBinary
from mlproject.metrics.weighted_multiclass import WeightedMulticlass
from mlproject.metrics.weighted_regression import WeightedRegression

TOP_K = 2
CLASSES = 3
FEW = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0])  # ties, both ends, the cut
Drawn = tuple[np.ndarray, np.ndarray]


@st.composite
def binary_rows(draw: st.DrawFn) -> Drawn:
    rows = draw(st.integers(1, 30))
    labels = draw(arrays.arrays(np.int8, rows, elements=st.integers(0, 1)))
    return labels, draw(arrays.arrays(np.float32, rows, elements=FEW.map(np.float32)))


@st.composite
def multiclass_rows(draw: st.DrawFn) -> Drawn:
    rows = draw(st.integers(1, 30))
    labels = draw(arrays.arrays(np.int32, rows, elements=st.integers(0, CLASSES - 1)))
    parts = draw(arrays.arrays(np.int8, (rows, CLASSES), elements=st.integers(0, 4)))
    parts = parts.astype(float) + 1e-3 * (parts.sum(axis=1, keepdims=True) == 0)
    return labels, (parts / parts.sum(axis=1, keepdims=True)).astype(np.float32)


@st.composite
def regression_rows(draw: st.DrawFn) -> Drawn:
    rows = draw(st.integers(1, 30))
    numbers = st.integers(-1000, 1000).map(lambda v: v / 8)
    scale = draw(st.sampled_from([1e-3, 1.0, 1e6]))
    labels = draw(arrays.arrays(np.float64, rows, elements=numbers))
    return labels * scale, (draw(arrays.arrays(np.float64, rows, elements=numbers)) * scale).astype(
        np.float32
    )


def points(task: str, labels: np.ndarray, predictions: np.ndarray) -> Mapping[str, float | None]:
    if task == "binary":
        return binary_metrics(labels, predictions)
    if task == "multiclass":
        return multiclass_metrics(labels, predictions, TOP_K)
    return regression_metrics(labels, predictions)


def weighted(task: str, labels: np.ndarray, predictions: np.ndarray) -> Any:
    if task == "binary":
        return WeightedBinary(labels, predictions)
    if task == "multiclass":
        return WeightedMulticlass(labels, predictions, TOP_K)
    return WeightedRegression(labels, predictions)


def must_agree(
    task: str, found: Mapping[str, np.ndarray], row: int, wanted: Mapping[str, float | None]
) -> None:
    assert tuple(found) == metric_names(task) == tuple(wanted)  # type: ignore[arg-type]
    for name, value in wanted.items():
        if value is None:
            assert np.isnan(found[name][row]), name
        else:
            assert found[name][row] == pytest.approx(value, rel=2e-5, abs=2e-6), name


ROWS = {"binary": binary_rows(), "multiclass": multiclass_rows(), "regression": regression_rows()}


@pytest.mark.parametrize("task", ROWS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_weights_of_one_are_the_values_of_scikit_learn(task: str, data: st.DataObject) -> None:
    labels, predictions = data.draw(ROWS[task])
    ones = np.ones((2, len(labels)), np.uint8)
    found = weighted(task, labels, predictions).metrics(ones)
    must_agree(task, found, 1, points(task, labels, predictions))


@pytest.mark.parametrize("task", ROWS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_a_row_of_weight_w_counts_as_w_copies(task: str, data: st.DataObject) -> None:
    labels, predictions = data.draw(ROWS[task])
    counts = st.integers(0, 8)
    weights = data.draw(arrays.arrays(np.uint8, (3, len(labels)), elements=counts))
    found = weighted(task, labels, predictions).metrics(weights)
    for row, each in enumerate(weights):
        copies = np.repeat(np.arange(len(labels)), each)
        if len(copies):
            wanted = points(task, labels[copies], predictions[copies])
            if task == "multiclass" and len(np.unique(labels)) < CLASSES:
                wanted = {**wanted, "auc": None}
            must_agree(task, found, row, wanted)
        else:
            assert all(np.isnan(values[row]) for values in found.values())


def test_sums_of_many_rows_do_not_overflow() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 60_000)
    scores = rng.random(60_000).astype(np.float32)
    found = WeightedBinary(labels, scores).metrics(np.full((1, 60_000), 8, np.uint8))
    must_agree("binary", found, 0, binary_metrics(labels, scores))
