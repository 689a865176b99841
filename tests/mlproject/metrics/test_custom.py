"""Metrics of the module file: loaded, checked against project.yaml, computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mlproject.errors import UserModuleError
from mlproject.metrics.custom import CopiedRows, CustomMetrics, load_custom_metrics

LABELS = np.array([0, 1, 1, 0])
SCORES = np.array([0.1, 0.9, 0.4, 0.6], np.float32)
Load = Callable[[str], ModuleType]


def load(load_code: Load, text: str, *declared: str) -> CustomMetrics:
    module = load_code(text)
    return load_custom_metrics(module, Path(str(module.__file__)), declared)


def test_a_function_of_labels_and_predictions(load_code: Load) -> None:
    text = "def custom_metrics():\n    return {'gap': lambda y, p: abs(y.mean() - p.mean())}\n"
    custom = load(load_code, text, "gap")
    assert custom.value("gap", LABELS, SCORES) == pytest.approx(0.0, abs=1e-6)
    assert custom.value("gap", LABELS, SCORES / 2) == pytest.approx(0.25)


def test_a_keras_metric_starts_anew_each_time(load_code: Load) -> None:
    text = "import keras\ndef custom_metrics():\n"
    text += "    return {'right': keras.metrics.BinaryAccuracy(),\n"
    text += "            'off': keras.metrics.MeanAbsoluteError()}\n"
    custom = load(load_code, text, "right", "off")
    for _ in range(2):
        assert custom.value("right", LABELS, SCORES) == pytest.approx(0.5)
        assert custom.value("off", LABELS, SCORES) == pytest.approx((0.1 + 0.1 + 0.6 + 0.6) / 4)
        assert custom.value("off", LABELS, LABELS.astype(np.float32)) == pytest.approx(0.0)


def test_a_keras_metric_of_classes_sees_every_row(
    load_code: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import keras\ndef custom_metrics():\n"
    text += "    return {'right': keras.metrics.SparseCategoricalAccuracy()}\n"
    chances = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    monkeypatch.setattr("mlproject.metrics.custom.KERAS_ROWS", 3)
    custom = load(load_code, text, "right")
    assert custom.value("right", np.array([0, 1, 2, 0]), chances) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("x = 1\n", "evaluation.custom_metrics: gap"),
        ("def custom_metrics():\n    return [1]\n", "a list; no 'gap' (there are none yet)"),
        ("def custom_metrics():\n    return {'gap': 3}\n", "'gap' is a int"),
        (
            "def custom_metrics():\n    return {'gab': len}\n",
            "no 'gap' (did you mean 'gab'?); 'gab', which project.yaml does not name "
            "(did you mean 'gap'?)",
        ),
        ("def custom_metrics():\n    return {'gap': len, 7: len}\n", "(one of gap)"),
        ("def custom_metrics():\n    return 1 / 0\n", "line 2"),
    ],
)
def test_what_does_not_fit_project_yaml_is_refused(
    text: str, received: str, load_code: Load
) -> None:
    with pytest.raises(UserModuleError) as caught:
        load(load_code, text, "gap")
    assert received in str(caught.value.received)


def test_a_built_in_metric_cannot_be_defined_anew(load_code: Load) -> None:
    with pytest.raises(UserModuleError, match="does not fit") as caught:
        load(load_code, "def custom_metrics():\n    return {'auc': len}\n", "auc")
    assert caught.value.received == "'auc', which is a built-in metric"


@pytest.mark.parametrize(
    ("body", "received"),
    [
        ("return float('nan')", "nan"),
        ("return None", "None"),
        ("return 'high'", "'high'"),
        ("return p", "array("),
        ("return p.no_such_thing", "line 2: return p.no_such_thing"),
    ],
)
def test_a_metric_that_gives_no_number_says_so(body: str, received: str, load_code: Load) -> None:
    text = f"def gap(y, p):\n    {body}\ndef custom_metrics():\n    return {{'gap': gap}}\n"
    custom = load(load_code, text, "gap")
    with pytest.raises(UserModuleError, match="gap") as caught:
        custom.value("gap", LABELS, SCORES)
    assert received in str(caught.value.received)


def test_a_row_of_weight_w_is_given_w_times(load_code: Load) -> None:
    text = "def custom_metrics():\n"
    text += "    return {'n': lambda y, p: len(y) or 1 / 0, 'sum': lambda y, p: y.sum()}\n"
    copied = CopiedRows(load(load_code, text, "n", "sum"), LABELS, SCORES)
    found = copied.metrics(np.array([[1, 2, 0, 5], [0, 0, 0, 0]], np.uint8))
    assert found["n"][0] == 8
    assert np.isnan(found["n"][1])
    assert found["sum"].tolist() == [2.0, 0.0]
