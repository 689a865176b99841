"""The MLflow flavour with lists and bytes, alone and as a registered version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from mlproject.pyfunc_model import MISSING_INT, SavedModelPredictor
from mlproject.registry import TRAIN_RUN_TAG, Column, Registration, Registry
from mlproject.settings import Settings
from mlproject.tracking import Tracker

COLUMNS = {
    "ints": "int list",
    "floats": "float list",
    "tags": "string list",
    "blobs": "bytes list",
    "square": "float list",
    "raw": "bytes",
    "text": "string",
    "one": "int",
}
ROWS = [
    {
        "ints": [1, 2**53 + 1],
        "floats": [0.5],
        "tags": ["a", "caf\u00e9"],
        "blobs": [b"\xff\x00", b"x"],
        "square": [1.0, 2.0, 3.0, 4.0],
        "raw": b"\x00\xff\x00",
        "text": "abc",
        "one": 7,
    },
    {"ints": None, "square": [[1, 2], [3, 5]], "raw": None, "text": None},
    {
        "ints": (3,),
        "floats": [1.0, 2.0, 3.0],
        "tags": ["b"],
        "blobs": [b"y\x00"],
        "square": [0.0, 0.0, 0.0, 0.0],
        "raw": b"a",
        "text": "de",
        "one": -1,
    },
]
EXPECTED = {
    "ints": [1 + 2**53 + 1, MISSING_INT, 3],
    "floats": [1, 0, 3],
    "tags": [b"a|caf\xc3\xa9", b"|", b"b|"],
    "blobs": [b"\xff\x00|x", b"|", b"y\x00|"],
    "square": [4.0, 5.0, 0.0],
    "raw": [b"\x00\xff\x00", b"", b"a"],
    "text": [b"abc", b"", b"de"],
    "one": [7, MISSING_INT, -1],
}


class Echo(tf.Module):
    """Gives back what its inputs hold, in one value for each."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int64, name="ints"),
            tf.TensorSpec([None, None], tf.float32, name="floats"),
            tf.TensorSpec([None, None], tf.string, name="tags"),
            tf.TensorSpec([None, None], tf.string, name="blobs"),
            tf.TensorSpec([None, 2, 2], tf.float32, name="square"),
            tf.TensorSpec([None], tf.string, name="raw"),
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.int64, name="one"),
        ]
    )
    def echo(
        self,
        ints: Any,
        floats: Any,
        tags: Any,
        blobs: Any,
        square: Any,
        raw: Any,
        text: Any,
        one: Any,
    ) -> dict[str, Any]:
        missing = tf.equal(ints, MISSING_INT)
        total = tf.reduce_sum(tf.where(missing, tf.zeros_like(ints), ints), axis=1)
        here = tf.logical_not(tf.math.is_nan(floats))
        return {
            "ints": tf.where(tf.reduce_all(missing, axis=1), MISSING_INT, total),
            "floats": tf.reduce_sum(tf.cast(here, tf.int64), axis=1),
            "tags": tf.strings.reduce_join(tags, axis=1, separator="|"),
            "blobs": tf.strings.reduce_join(blobs, axis=1, separator="|"),
            "square": square[:, 1, 1],
            "raw": raw,
            "text": text,
            "one": one,
        }


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module, folder = Echo(), tmp_path_factory.mktemp("echo") / "saved_model"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.echo})
    return folder


@pytest.fixture(scope="module")
def ask(saved_model: Path) -> Callable[[Any], dict[str, list[Any]]]:
    """Asks the flavour without MLflow."""
    predictor = SavedModelPredictor()
    predictor.load_context(SimpleNamespace(artifacts={"saved_model": str(saved_model)}))
    return lambda rows: predictor.predict(None, pd.DataFrame(rows)).to_dict("list")


def test_lists_and_bytes_of_rows_are_given_as_they_are(ask: Any) -> None:
    assert ask(ROWS) == EXPECTED


def test_lists_may_be_arrays_of_any_type(ask: Any) -> None:
    rows = [
        {
            "ints": np.array([1, 2], dtype),
            "floats": np.array([1, 2], dtype),
            "tags": np.array(["a", "b"]),
            "blobs": np.array([b"a\x00", b"b"], object),
            "square": np.array([[1, 2], [3, 4]], dtype),
        }
        for dtype in ("int64", "int32", "uint8", "float32", "float64", object)
    ]
    found = ask(rows)
    assert found["ints"] == [3] * 6
    assert found["floats"] == [2] * 6
    assert found["tags"] == [b"a|b"] * 6
    assert found["blobs"] == [b"a\x00|b"] * 6
    assert found["square"] == [4.0] * 6


def test_no_rows_give_no_predictions(ask: Any) -> None:
    assert ask(pd.DataFrame({name: [] for name in COLUMNS})) == {name: [] for name in COLUMNS}


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("square", [1.0, 2.0, 3.0], "must hold lists of 4 values. Received: 3"),
        ("square", None, "must hold lists of 4 values. Received: 0"),
        ("square", [[1.0, 2.0], [3.0]], "must hold lists of one length"),
        ("square", [1.0, None, 2.0, 3.0], "must hold lists without missing values"),
        ("ints", [1, None], "must hold lists without missing values"),
        ("ints", 3, "must hold lists. Received: 3"),
        ("ints", "[1]", "must hold lists. Received: '[1]'"),
        ("ints", [1.5], "must hold 64-bit integers. Received: 1.5"),
        ("ints", np.array([1.5]), "must hold 64-bit integers. Received: 1.5"),
        ("floats", ["x"], "must hold numbers"),
        ("tags", ["a", None], "must hold lists without missing values"),
        ("tags", [["a"], ["b", "c"]], "must hold lists of one length"),
    ],
)
def test_lists_that_do_not_fit_are_refused_by_name(
    ask: Any, column: str, value: Any, error: str
) -> None:
    with pytest.raises(ValueError, match=f"Column '{column}' ") as caught:
        ask([{**ROWS[0], column: value}])
    assert error in str(caught.value)


@pytest.fixture
def registered(saved_model: Path, settings: Settings) -> Any:
    """The version as MLflow loads it, with a sample of lists and bytes."""
    sample = {
        "ints": [1, 2],
        "floats": [0.5],
        "tags": ["a"],
        "blobs": [{"b64": "/w=="}],
        "square": [1.0, 2.0, 3.0, 4.0],
        "raw": {"b64": "AP8A"},
        "text": "abc",
    }
    registration = Registration(
        name="echo",
        saved_model=saved_model,
        keras_model=None,
        evidence={},
        columns=tuple(Column(name, kind) for name, kind in COLUMNS.items()),
        output="float",
        sample=sample,
        run_id=Tracker(settings, "echo").start_run("pipeline", {}),
        tags={TRAIN_RUN_TAG: "one"},
        description="",
    )
    registry = Registry(settings)
    version = registry.register(registration)
    assert registry.sample(version) == sample
    return mlflow.pyfunc.load_model("models:/echo/1")


def test_a_registered_version_takes_lists_and_bytes(registered: Any) -> None:
    types = {column["name"]: column for column in registered.metadata.signature.inputs.to_dict()}
    assert {name: column["type"] for name, column in types.items()} == {
        **dict.fromkeys(("ints", "floats", "tags", "blobs", "square", "one"), "any"),
        "raw": "binary",
        "text": "string",
    }
    assert not any(column["required"] for column in types.values())
    frame = pd.DataFrame(ROWS)
    assert frame["floats"].isna().tolist() == [False, True, False]
    assert registered.predict(frame).to_dict("list") == EXPECTED
    assert registered.predict(ROWS).to_dict("list") == EXPECTED


def test_the_input_example_is_the_sample_and_can_be_predicted(registered: Any) -> None:
    example = registered.input_example
    assert example.to_dict("records") == [
        {
            "ints": [1, 2],
            "floats": [0.5],
            "tags": ["a"],
            "square": [1.0, 2.0, 3.0, 4.0],
            "raw": b"\x00\xff\x00",
            "text": "abc",
        }
    ]
    found = registered.predict(example).to_dict("list")
    assert (found["ints"], found["raw"], found["blobs"]) == ([3], [b"\x00\xff\x00"], [b""])
