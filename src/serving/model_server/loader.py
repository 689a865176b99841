"""One SavedModel, loaded for serving the way TensorFlow Serving loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from serving.model_server.signature import Array, Signature, Tensors, TensorSpec
from serving.model_server.status import Code, StatusError

SERVING_TAG = "serve"


class LoadedModel:
    """A SavedModel in a graph and session of its own, with one callable per signature.

    A v1 session is what TensorFlow Serving runs: a model that fails in one fails in the other.
    Its callables also answer about five times as many calls as `tf.saved_model.load` does.

    Args:
        path: The SavedModel's folder.

    Raises:
        StatusError: The folder is no SavedModel, or does not load.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.signature_defs: dict[str, Any] = {}
        self.signatures: dict[str, Signature] = {}
        self._callables: dict[str, Any] = {}
        self._session: Any = None
        try:
            self._load()
        except Exception as err:  # foreign code of any kind: wrapped here, once
            self.close()
            raise _load_error(path, err) from err
        if not self.signatures:
            self.close()
            raise StatusError(
                Code.FAILED_PRECONDITION, f"The SavedModel {path} has no signature to serve"
            )

    def _load(self) -> None:
        import tensorflow as tf
        from tensorflow.python.saved_model.loader_impl import SavedModelLoader

        graph = tf.Graph()
        # The loader class behind tf.compat.v1.saved_model.loader.load, which warns at each call.
        with graph.as_default():
            # A model that names a GPU shall run where there is none, as in TensorFlow Serving.
            config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
            self._session = tf.compat.v1.Session(graph=graph, config=config)
            meta_graph = SavedModelLoader(str(self.path)).load(self._session, [SERVING_TAG])
        self.signature_defs = dict(meta_graph.signature_def.items())
        for name, definition in self.signature_defs.items():
            if _is_servable(definition):
                self.signatures[name] = _signature(name, definition)
                self._callables[name] = self._make_callable(definition)

    def _make_callable(self, definition: Any) -> Any:
        from tensorflow.core.protobuf.config_pb2 import CallableOptions

        options = CallableOptions()
        options.feed.extend(definition.inputs[name].name for name in sorted(definition.inputs))
        options.fetch.extend(definition.outputs[name].name for name in sorted(definition.outputs))
        return self._session._make_callable_from_options(options)

    def predict(self, signature: Signature, tensors: Tensors) -> Tensors:
        """Run a signature; safe to call from several threads at once.

        Args:
            signature: One of `signatures`.
            tensors: An array for each input, of the input's type and shape.

        Returns:
            An array for each output.

        Raises:
            StatusError: The tensors do not fit, or the model refused them.
        """
        import tensorflow as tf

        signature.check_inputs(tensors)
        feeds = [tensors[name] for name in sorted(signature.inputs)]
        try:
            fetched = self._callables[signature.name](*feeds)
        except tf.errors.OpError as err:
            raise StatusError(Code(err.error_code), str(err.message)) from err
        return {
            name: _as_array(value)
            for name, value in zip(sorted(signature.outputs), fetched, strict=True)
        }

    def close(self) -> None:
        """Free the session. No call may be under way."""
        self._callables.clear()
        if self._session is not None:
            self._session.close()
            self._session = None


def _signature(name: str, definition: Any) -> Signature:
    return Signature(
        name=name,
        inputs={key: _tensor_spec(info) for key, info in definition.inputs.items()},
        outputs={key: _tensor_spec(info) for key, info in definition.outputs.items()},
    )


def _tensor_spec(info: Any) -> TensorSpec:
    from tensorflow.core.framework.types_pb2 import DataType

    shape = info.tensor_shape
    return TensorSpec(
        dtype=DataType.Name(info.dtype),
        shape=None if shape.unknown_rank else tuple(dim.size for dim in shape.dim),
    )


def _is_servable(definition: Any) -> bool:
    """Whether all inputs and outputs are dense tensors; `__saved_model_init_op` is none."""
    infos = [*definition.inputs.values(), *definition.outputs.values()]
    return bool(definition.outputs) and all(
        info.WhichOneof("encoding") == "name" and info.dtype != 0 for info in infos
    )


def _as_array(value: Any) -> Array:
    # A session gives a scalar string as bytes; numpy alone would cut its trailing zero bytes.
    return np.array(value, dtype=object) if isinstance(value, bytes | str) else np.asarray(value)


def _load_error(path: Path, err: Exception) -> StatusError:
    number = getattr(err, "error_code", None)
    if isinstance(number, int):
        code = Code(number)
    elif isinstance(err, OSError) or not path.is_dir():
        code = Code.NOT_FOUND
    else:
        code = Code.INVALID_ARGUMENT
    return StatusError(code, f"Loading the SavedModel {path} failed: {err}")
