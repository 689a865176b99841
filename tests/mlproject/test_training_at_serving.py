"""What serving has: its inputs, what is made of them, and names that no input can have."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlproject.errors import ConfigError
from mlproject.schema import SCHEMA_FILE, parse_schema, set_environments, write_schema
from mlproject.training import TrainRequest, fit_model
from mlproject.training.at_serving import at_serving
from mlproject.training.progress import Listeners
from mlproject.transform import GRAPH_FOLDER, TransformGraph, analyze_examples, transform_examples

SCHEMA = """
feature { name: "fare" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "trip miles" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "tips" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
"""
CODE = """
import tensorflow as tf


def preprocessing_fn(inputs):
    outputs = {name[:4] + "_xf": tf.reshape(value, [-1]) for name, value in inputs.items()}
    outputs["big_tip"] = tf.cast(outputs.pop("tips_xf") > 1, tf.int64)
    return outputs
"""
BUILD = """
def build_model(hyperparameters):
    raise RuntimeError("asked for a model")
"""
RUN = """
def run_fn(fn_args):
    return None
"""


@pytest.fixture(scope="module")
def request_of_odd_names(
    tmp_path_factory: pytest.TempPathFactory, write_split: Callable[..., Path]
) -> TrainRequest:
    """A training on `fare` and `trip miles`, of which TensorFlow takes no input."""
    folder = tmp_path_factory.mktemp("odd")
    schema = set_environments(parse_schema(SCHEMA, "here"), ("tips",))
    write_schema(schema, folder)
    columns = {n: pa.array([1.0, 2.0, 3.0]) for n in ("fare", "trip miles", "tips")}
    module, file = types.ModuleType("odd"), folder / "odd.py"
    exec(compile(CODE, str(file), "exec"), module.__dict__)
    for split in ("Split-train", "Split-eval"):
        examples = write_split(folder / "examples" / split, columns)
        if split == "Split-train":
            function, temp = module.preprocessing_fn, folder / "temp"
            analyze_examples(examples, schema, function, file, folder, temp)
        transform_examples(examples, TransformGraph(folder / GRAPH_FOLDER), folder / split, file)
    return TrainRequest(
        transformed_dir=folder,
        schema_file=folder / SCHEMA_FILE,
        label="big_tip",
        hyperparameters={},
        seed=1,
        train_steps=None,
        eval_steps=None,
    )


def test_what_the_label_alone_needs_is_not_there_at_serving(
    request_of_odd_names: TrainRequest,
) -> None:
    found = at_serving(request_of_odd_names)
    assert found.inputs == ("fare", "trip miles")
    assert found.outputs == {"fare_xf", "trip_xf"}


def test_a_name_that_no_input_can_have_stops_the_training_before_its_model_is_built(
    request_of_odd_names: TrainRequest, load_code: Callable[[str], Any], tmp_path: Path
) -> None:
    notes: list[str] = []
    with pytest.raises(ConfigError, match="no input of that name") as raised:
        fit_model(request_of_odd_names, load_code(BUILD), tmp_path, Listeners(notes.append))
    assert "'trip miles'" in str(raised.value.received)
    assert notes == []


def test_a_run_fn_is_told_of_it_and_may_export_a_model_of_its_own(
    request_of_odd_names: TrainRequest, load_code: Callable[[str], Any], tmp_path: Path
) -> None:
    notes: list[str] = []
    module = load_code(RUN)
    assert fit_model(request_of_odd_names, module, tmp_path, Listeners(notes.append)).model is None
    assert notes[0].startswith("unless project.py exports a model of its own: ")
    assert "'trip miles'" in notes[0]
    fit_model(request_of_odd_names, module, tmp_path / "untold", Listeners())
