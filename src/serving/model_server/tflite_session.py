"""A TensorFlow Lite model behind the same calls as a session with a SavedModel.

A version folder that holds a `model.tflite` is served from it with `--prefer_tflite_model`, as in
TensorFlow Serving. Imports TensorFlow at the top: it is imported where such a model is loaded.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.types_pb2 import DataType
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from serving.model_server.signature import DEFAULT_SIGNATURE, Array
from serving.model_server.status import Code, StatusError, invalid

MODEL_FILE = "model.tflite"

_SIGNATURES_METADATA = b"signature_defs_metadata"
_PREDICT_METHOD = "tensorflow/serving/predict"
_STRINGS = (np.bytes_, np.object_)

Details = Mapping[str, Mapping[str, Any]]


def open_tflite(path: Path, interpreters: int) -> tuple[TFLiteSession, dict[str, SignatureDef]]:
    """Loads a model.

    Args:
        path: The folder of `model.tflite`.
        interpreters: How many requests it runs at once; 0 is as many as there are processors.

    Returns:
        What runs it, and its `SignatureDef`s by name.

    Raises:
        StatusError: INVALID_ARGUMENT when it is no model, or has several signatures.
        OSError: It cannot be read.
    """
    content = (path / MODEL_FILE).read_bytes()
    try:
        pool = [
            tf.lite.Interpreter(model_content=content, num_threads=1)
            for _ in range(interpreters or os.cpu_count() or 1)
        ]
        for interpreter in pool:
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as err:
        raise invalid(f"Cannot build FlatBufferModel from {path / MODEL_FILE}: {err}") from err
    session = TFLiteSession(pool)
    return session, _signature_defs(content, pool[0], session.inputs, session.outputs)


class TFLiteSession:
    """Runs a TensorFlow Lite model; several threads may call it at once.

    Args:
        interpreters: Interpreters of one model, with their tensors allocated.

    Attributes:
        inputs: The details of each input by its tensor's name.
        outputs: Those of each output.
    """

    def __init__(self, interpreters: Sequence[Any]) -> None:
        self._free: LifoQueue[Any] = LifoQueue()
        for interpreter in interpreters:
            self._free.put(interpreter)
        self.inputs: Details = _by_name(interpreters[0].get_input_details())
        self.outputs: Details = _by_name(interpreters[0].get_output_details())

    def _make_callable_from_options(self, options: Any) -> Callable[..., list[Array]]:
        """See `tf.compat.v1.Session`: a callable of arrays, in the order of `options.feed`."""
        feeds = [self.inputs[name] for name in options.feed]
        fetches = [self.outputs[name] for name in options.fetch]

        def run(*arrays: Array) -> list[Array]:
            interpreter = self._free.get()
            try:
                return _run(interpreter, feeds, arrays, fetches)
            except (ValueError, RuntimeError) as err:
                raise StatusError(Code.INTERNAL, f"Failed to run interpreter: {err}") from err
            finally:
                self._free.put(interpreter)

        return run

    def close(self) -> None:
        """Frees the interpreters. No call may be under way."""
        while not self._free.empty():
            self._free.get()


def _by_name(details: Sequence[Mapping[str, Any]]) -> Details:
    return {detail["name"]: detail for detail in details}


def _run(
    interpreter: Any,
    feeds: Sequence[Mapping[str, Any]],
    arrays: Sequence[Array],
    fetches: Sequence[Mapping[str, Any]],
) -> list[Array]:
    shapes = {item["index"]: tuple(item["shape"]) for item in interpreter.get_input_details()}
    resized = False
    for feed, array in zip(feeds, arrays, strict=True):
        shape = shapes[feed["index"]]
        # What fills a tensor is taken in its shape, as TensorFlow Serving takes it.
        if array.shape != shape and (_is_text(feed) or array.size != math.prod(shape)):
            interpreter.resize_tensor_input(feed["index"], array.shape)
            shapes[feed["index"]], resized = array.shape, True
    if resized:
        interpreter.allocate_tensors()
    for feed, array in zip(feeds, arrays, strict=True):
        interpreter.set_tensor(feed["index"], array.reshape(shapes[feed["index"]]))
    interpreter.invoke()
    return [interpreter.get_tensor(fetch["index"]) for fetch in fetches]


def _is_text(detail: Mapping[str, Any]) -> bool:
    return detail["dtype"] in _STRINGS


def _signature_defs(
    content: bytes, interpreter: Any, inputs: Details, outputs: Details
) -> dict[str, SignatureDef]:
    """The model's signature, from its metadata, its own signature, or its tensors' names."""
    written = _written_signatures(content)
    own = interpreter._get_full_signature_list()
    if max(len(written), len(own)) > 1:
        raise invalid("Multiple SignatureDefs found in TfLite model")
    definition = SignatureDef(method_name=_PREDICT_METHOD)
    aliases: dict[str, Mapping[str, str]]
    if written:
        source = next(iter(written.values()))
        definition.method_name = source.method_name
        aliases = {
            "inputs": {key: info.name.partition(":")[0] for key, info in source.inputs.items()},
            "outputs": {key: info.name.partition(":")[0] for key, info in source.outputs.items()},
        }
    elif own:
        aliases = {
            side: {key: _name_of(index, details) for key, index in found[side].items()}
            for found in own.values()
            for side, details in (("inputs", inputs), ("outputs", outputs))
        }
    else:
        aliases = {
            "inputs": {name: name for name in inputs},
            "outputs": {name: name for name in outputs},
        }
    for side, details in (("inputs", inputs), ("outputs", outputs)):
        for alias, name in aliases[side].items():
            if name not in details:
                raise invalid(f"Cannot find the tensor of {alias} in the TfLite model: {name}")
            _describe(details[name], getattr(definition, side)[alias])
    return {DEFAULT_SIGNATURE: definition}


def _written_signatures(content: bytes) -> dict[str, SignatureDef]:
    """The `SignatureDef`s that a tool wrote beside the graph; none in most models."""
    from flatbuffers import flexbuffers  # type: ignore[import-untyped]
    from tensorflow.lite.python.schema_py_generated import Model

    model = Model.GetRootAs(content, 0)
    for position in range(model.MetadataLength()):
        entry = model.Metadata(position)
        if entry is not None and entry.Name() == _SIGNATURES_METADATA:
            data = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            written = flexbuffers.GetRoot(data).AsMap
            return {
                key.AsKey: SignatureDef.FromString(bytes(value.AsStringBytes))
                for key, value in zip(written.Keys, written.Values, strict=True)
            }
    return {}


def _name_of(index: int, details: Details) -> str:
    return next((name for name, detail in details.items() if detail["index"] == index), "")


def _describe(detail: Mapping[str, Any], info: Any) -> None:
    info.name = detail["name"]
    kind = tf.string if _is_text(detail) else tf.as_dtype(detail["dtype"])
    info.dtype = DataType.Value(DataType.Name(kind.as_datatype_enum))
    announced = detail["shape_signature"]
    for size in announced if len(announced) else detail["shape"]:
        info.tensor_shape.dim.add(size=int(size))
