"""Which names inputs can have: what is said without TensorFlow is what TensorFlow does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlproject.errors import ConfigError
from mlproject.saved_model import export_saved_model
from mlproject.saved_model.input_names import argument_name, check_input_names, refused_names
from mlproject.schema import parse_schema

TAKEN = (
    ("x", "trip_miles", "X9_", "examples"),
    ("trip-miles", "a.b", "a/b", "1x", "a>"),
    ("Class", "Self", "a_1", "a"),
)
REFUSED = (
    ("trip miles",), ("_x",), ("caf\u00e9",), ("a$b",), ("a/",), ("-a",), ("",), ("x\n",),
    ("a\\b",), ("class",), ("None",), ("self",), ("a", "A"), ("a.b", "a_b"), ("1x", "arg_1x"),
)  # fmt: skip


@pytest.mark.parametrize("names", [*TAKEN, *REFUSED])
def test_names_are_refused_where_tensorflow_refuses_them(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    import tensorflow as tf

    specs = {name: tf.TensorSpec([None], tf.float32, name=name) for name in names}

    @tf.function(input_signature=[specs], autograph=False)
    def serving_default(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"sum": tf.add_n(list(features.values()))}

    def save_and_load() -> tuple[set[str], set[str]]:
        signatures = {"serving_default": serving_default.get_concrete_function()}
        tf.saved_model.save(tf.Module(), str(tmp_path), signatures=signatures)
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            meta = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path))
            inputs = meta.signature_def["serving_default"].inputs
            session.run(inputs[names[0]].name, {inputs[name].name: [1.0] for name in names})
        loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
        return set(inputs), set(loaded.structured_input_signature[1])

    if not refused_names(names):
        assert save_and_load() == (set(names), {argument_name(name) for name in names})
        check_input_names(names)
        return
    with pytest.raises((ValueError, TypeError)):
        save_and_load()
    with pytest.raises(ConfigError, match="takes no input of that name"):
        check_input_names(names)


def test_the_message_names_the_column_and_why() -> None:
    with pytest.raises(ConfigError) as caught:
        check_input_names(["fare", "trip miles", "FARE"])
    assert "'trip miles': it is no name of letters" in str(caught.value.received)
    assert "'FARE': it is the same as 'fare'" in str(caught.value.received)
    assert "rename the columns" in str(caught.value.next_step)


def test_an_export_is_refused_before_anything_is_traced(tmp_path: Path) -> None:
    graph: Any = SimpleNamespace(needed_features=lambda available, label: ("fare", "trip miles"))
    out = tmp_path / "model"
    with pytest.raises(ConfigError, match="'trip miles'"):
        export_saved_model(None, graph, parse_schema("", "here"), "y", out, tmp_path / "project.py")
    assert not out.exists()


def test_the_check_loads_no_tensorflow() -> None:
    code = (
        "import sys, mlproject.saved_model\n"
        "sys.exit(bool({'tensorflow', 'keras', 'apache_beam'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
