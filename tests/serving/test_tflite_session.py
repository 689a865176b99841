"""A TensorFlow Lite model, served in the place of a SavedModel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.model_server.loader import LoadedModel
from serving.model_server.options import SessionOptions
from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.model_server.status import Code, StatusError

PREFERRED = SessionOptions(prefer_tflite=True, tflite_interpreters=2)


@pytest.fixture(scope="module")
def content() -> bytes:
    """y = x / 2 + 2 over x float32 [1, 1], converted without a signature of its own."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [1, 1], "x")
        y = tf.identity(0.5 * x + 2.0, "y")
        return bytes(v1.lite.TFLiteConverter.from_session(session, [x], [y]).convert())


@pytest.fixture
def folder(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "model.tflite").write_bytes(content)
    return tmp_path


def with_signature_def(content: bytes) -> bytes:
    """The model with a `SignatureDef` beside its graph, which calls its input `inputs`."""
    import flatbuffers
    from flatbuffers import flexbuffers
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
    from tensorflow.lite.python import schema_py_generated as schema

    definition = SignatureDef(method_name="tensorflow/serving/predict")
    definition.inputs["inputs"].name, definition.outputs["half"].name = "x:0", "y:0"
    definition.inputs["inputs"].tensor_shape.dim.add(size=-1)  # bytes that are no UTF-8
    written = flexbuffers.Builder()
    with written.Map():
        written.Key("serving_default")
        text = definition.SerializeToString()
        written._WriteBlob(text, append_zero=True, type_=flexbuffers.Type.STRING)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data, entry.name = bytearray(written.Finish()), "signature_defs_metadata"
    model.buffers.append(buffer)
    entry.buffer = len(model.buffers) - 1
    model.metadata.append(entry)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def ask(model: LoadedModel, name: str, values: Any) -> dict[str, Any]:
    signature = model.signatures[DEFAULT_SIGNATURE]
    outputs = model.predict(signature, {name: np.array(values, np.float32)})
    return {key: array.tolist() for key, array in outputs.items()}


def test_a_model_answers_in_any_batch_size_and_from_several_threads(folder: Path) -> None:
    model = LoadedModel(folder, PREFERRED)
    assert ask(model, "x", [[2.0]]) == {"y": [[3.0]]}
    # TensorFlow Serving's own test sends [1] to a tensor of [1, 1].
    assert ask(model, "x", [2.0]) == {"y": [[3.0]]}
    assert ask(model, "x", [[2.0], [4.0]]) == {"y": [[3.0], [4.0]]}
    assert ask(model, "x", [[6.0]]) == {"y": [[5.0]]}
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda n: ask(model, "x", [[float(n)]] * (n % 3 + 1)), range(64))
        assert list(answers) == [{"y": [[n / 2 + 2]] * (n % 3 + 1)} for n in range(64)]
    model.close()


def test_its_signature_is_made_of_its_tensors(folder: Path) -> None:
    definition = LoadedModel(folder, PREFERRED).signature_defs[DEFAULT_SIGNATURE]
    (name, info), (output,) = *definition.inputs.items(), list(definition.outputs)
    assert (name, info.name, output) == ("x", "x", "y")
    assert (info.dtype, [dim.size for dim in info.tensor_shape.dim]) == (1, [1, 1])
    assert definition.method_name == "tensorflow/serving/predict"


def test_a_signature_def_beside_the_graph_names_the_tensors(folder: Path, content: bytes) -> None:
    (folder / "model.tflite").write_bytes(with_signature_def(content))
    assert ask(LoadedModel(folder, PREFERRED), "inputs", [[2.0]]) == {"half": [[3.0]]}


def test_a_converted_saved_model_keeps_its_signature(
    saved_models: dict[str, Path], tmp_path: Path
) -> None:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_models["double"]))
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    model = LoadedModel(tmp_path, PREFERRED)
    assert ask(model, "x", [1.0, 2.0, 3.0]) == {"y": [2.0, 4.0, 6.0]}
    signature = model.signatures[DEFAULT_SIGNATURE]
    with pytest.raises(StatusError, match="Expects input x to be float") as caught:
        model.predict(signature, {"x": np.array([b"a"], object)})
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_saved_model_is_served_where_there_is_no_other(saved_models: dict[str, Path]) -> None:
    assert ask(LoadedModel(saved_models["double"], PREFERRED), "x", [1.0]) == {"y": [2.0]}


def test_a_damaged_model_is_refused(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"this is no model")
    with pytest.raises(StatusError, match="Cannot build FlatBufferModel") as caught:
        LoadedModel(folder, PREFERRED)
    assert caught.value.code is Code.INVALID_ARGUMENT
