"""Metrics of each task: values that can be counted by hand, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest

from mlproject.metrics import metric_names
from mlproject.metrics.binary import binary_metrics
from mlproject.metrics.by_task import point_metrics, weighted_metrics
from mlproject.metrics.calibration import calibration_error
from mlproject.metrics.multiclass import multiclass_metrics
from mlproject.metrics.regression import regression_metrics


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_binary_values_counted_by_hand() -> None:
    found = binary_metrics(ints(1, 1, 0, 0), floats(0.9, 0.4, 0.6, 0.1))
    assert found["auc"] == 0.75  # three of the four pairs are in order
    assert found["accuracy"] == found["precision"] == found["recall"] == found["f1"] == 0.5
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.9]).mean(), rel=1e-6)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4, rel=1e-6)
    assert found["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4, rel=1e-6)


def test_half_counts_as_positive_and_certain_scores_have_a_finite_loss() -> None:
    found = binary_metrics(ints(1, 0, 1), floats(0.5, 1.0, 0.0))
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["log_loss"] is not None
    assert np.isfinite(found["log_loss"])


def test_rows_without_a_positive_have_nothing_to_find() -> None:
    found = binary_metrics(ints(0, 0), floats(0.6, 0.2))
    unjudged = {name for name, value in found.items() if value is None}
    assert unjudged == {"auc", "pr_auc", "precision", "recall", "f1"}
    assert found["accuracy"] == 0.5


def test_rows_without_a_negative_have_no_ranking() -> None:
    found = binary_metrics(ints(1, 1), floats(0.6, 0.2))
    assert {name for name, value in found.items() if value is None} == {"auc", "pr_auc"}
    assert (found["precision"], found["recall"]) == (1.0, 0.5)


def test_precision_without_a_predicted_positive_is_0_by_definition() -> None:
    found = binary_metrics(ints(1, 0), floats(0.4, 0.2))
    assert (found["precision"], found["recall"], found["f1"]) == (0.0, 0.0, 0.0)


def test_calibration_is_measured_in_15_bins() -> None:
    # 0.5 and 0.53 share a bin [7/15, 8/15): together they are right by half.
    assert calibration_error(np.array([1, 0]), np.array([0.47, 0.53])) == pytest.approx(0.0)
    assert calibration_error(np.array([1, 0]), np.array([0.46, 0.54])) == pytest.approx(0.54)
    assert calibration_error(np.array([1, 1]), np.array([1.0, 1.0])) == 0.0


CHANCES = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.2, 0.7, 0.1]], np.float32)


def test_multiclass_values_counted_by_hand() -> None:
    found = multiclass_metrics(ints(0, 1, 2, 0), CHANCES, top_k=2)
    assert found["accuracy"] == 0.75
    assert found["top_k_accuracy"] == 1.0  # 0 is the second likeliest of the last row
    assert found["log_loss"] == pytest.approx(-np.log([0.7, 0.5, 0.4, 0.2]).mean(), rel=1e-6)
    distances = [0.09 + 0.04 + 0.01, 0.01 + 0.25 + 0.16, 0.09 + 0.09 + 0.36, 0.64 + 0.49 + 0.01]
    assert found["brier"] == pytest.approx(np.mean(distances), rel=1e-6)
    assert found["precision"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert found["recall"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["auc"] == pytest.approx((0.75 + 2 / 3 + 5 / 6) / 3)
    assert found["calibration_error"] == pytest.approx(
        (abs(1 - 0.7 - 0.7) + abs(1 - 0.5) + abs(1 - 0.4)) / 4, rel=1e-6
    )


def test_a_class_without_a_row_leaves_auc_unjudged_and_no_more() -> None:
    found = multiclass_metrics(ints(0, 1, 0, 0), CHANCES, top_k=2)
    assert {name for name, value in found.items() if value is None} == {"auc"}
    # Class 2 is predicted once, wrongly: it counts, with precision and recall of 0.
    assert found["precision"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert multiclass_metrics(ints(0, 0), CHANCES[:2], 2)["auc"] is None


def test_a_class_that_nobody_speaks_of_is_left_out_of_the_means() -> None:
    found = multiclass_metrics(ints(0, 1), CHANCES[:2], top_k=2)
    assert (found["precision"], found["recall"], found["f1"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("top_k", [3, 4])
def test_every_label_is_among_as_many_as_there_are_classes(top_k: int) -> None:
    assert multiclass_metrics(ints(2, 2, 1, 0), CHANCES, top_k)["top_k_accuracy"] == 1.0


def test_probabilities_that_sum_to_nearly_1_are_taken() -> None:
    found = multiclass_metrics(ints(0, 1, 2, 0), CHANCES * np.float32(1.0009), 2)
    plain = multiclass_metrics(ints(0, 1, 2, 0), CHANCES, 2)
    for name, value in plain.items():
        assert found[name] == pytest.approx(value, rel=1e-5)


def test_regression_values_counted_by_hand() -> None:
    found = regression_metrics(floats(0, 1, 2, 3), floats(0, 1, 4, 0))
    assert found["mae"] == pytest.approx(5 / 4)
    assert found["rmse"] == pytest.approx(np.sqrt(13 / 4))
    assert found["r2"] == pytest.approx(1 - 13 / 5)
    assert found["absolute_error_p50"] == pytest.approx(1.0)
    assert found["absolute_error_p90"] == pytest.approx(2.7)


@pytest.mark.parametrize("labels", [[2.0, 2.0], [2.0]])
def test_labels_that_never_vary_leave_r2_unjudged(labels: list[float]) -> None:
    found = regression_metrics(np.array(labels), floats(*([1.0] * len(labels))))
    assert {name for name, value in found.items() if value is None} == {"r2"}
    assert found["mae"] == 1.0


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_metric_of_a_task_is_computed_in_order(task: str) -> None:
    predictions = CHANCES if task == "multiclass" else CHANCES[:, 0]
    labels = ints(0, 1, 1, 0)
    names = metric_names(task)  # type: ignore[arg-type]
    assert tuple(point_metrics(task, labels, predictions, 2)) == names
    ones = np.ones((1, 4), np.uint8)
    assert tuple(weighted_metrics(task, labels, predictions, 2).metrics(ones)) == names
