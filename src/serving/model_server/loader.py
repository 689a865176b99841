"""One SavedModel, loaded for serving the way TensorFlow Serving loads it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.model_server.options import SessionOptions
from serving.model_server.signature import Array, Signature, Tensors
from serving.model_server.signature_definition import is_servable, read_signature
from serving.model_server.status import Code, StatusError, invalid

if TYPE_CHECKING:
    from serving.model_server.batching import (
        BatchingParameters,
        BatchQueue,
        BatchRecorder,
        BatchSlots,
    )

logger = logging.getLogger(__name__)


class LoadedModel:
    """A SavedModel in a graph and session of its own, with a callable for what is asked of it.

    A v1 session is what TensorFlow Serving runs: a model that fails in one fails in the other.
    Its callables also answer about five times as many calls as `tf.saved_model.load` does. They
    may be called from several threads at once.

    Args:
        path: The SavedModel's folder.
        options: How its session is made.

    Attributes:
        signature_defs: Every `SignatureDef` by name, for the metadata.
        signatures: Those that can be served, which have dense tensors only.
        checks_method_names: See `SessionOptions.check_method_names`.

    Raises:
        StatusError: The folder is no SavedModel, or does not load.
    """

    def __init__(self, path: Path, options: SessionOptions | None = None) -> None:
        options = options or SessionOptions()
        self.path = path
        self.checks_method_names = options.check_method_names
        self.signature_defs: dict[str, Any] = {}
        self.signatures: dict[str, Signature] = {}
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], Any] = {}
        self._plans: dict[tuple[str, tuple[str, ...]], _Plan] = {}
        self._queues: dict[str, BatchQueue] = {}
        self._session: Any = None
        try:
            self._load(options)
        except StatusError:
            self.close()
            raise
        except Exception as err:  # foreign code of any kind: wrapped here, once
            self.close()
            raise _load_error(path, err) from err
        if not self.signature_defs:
            self.close()
            raise StatusError(
                Code.FAILED_PRECONDITION, f"The SavedModel {path} has no signature to serve"
            )

    def _load(self, options: SessionOptions) -> None:
        from tensorflow.errors import OpError

        self._run_error = OpError
        # Handing a small graph to TensorFlow's threads and back costs more than running it.
        self._in_calling_thread = options.inter_op_threads == 0
        self._session, self.signature_defs = _open(self.path, options)
        for name, definition in self.signature_defs.items():
            if is_servable(definition):
                self.signatures[name] = read_signature(name, definition)
                self._try(self.signatures[name])

    def predict(
        self, signature: Signature, tensors: Tensors, outputs: Sequence[str] = ()
    ) -> Tensors:
        """Runs a signature.

        Args:
            signature: One of `signatures`.
            tensors: An array for each input, of the input's type and shape.
            outputs: Which outputs to compute; none named computes all.

        Returns:
            An array for each output asked for.

        Raises:
            StatusError: The tensors do not fit, an output is not the signature's, or the model
                refused them.
        """
        signature.check_inputs(tensors)
        asked = tuple(outputs)
        plan = self._plans.get((signature.name, asked)) or self._plan(signature, asked)
        feeds = [tensors[name] for name in plan.inputs]
        queue = self._queues.get(signature.name)
        if queue is None:
            return dict(zip(plan.outputs, self._call(plan.callable, feeds), strict=True))
        batched = zip(sorted(signature.outputs), queue.run(feeds), strict=True)
        return {name: value for name, value in batched if name in plan.outputs}

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        """Runs any part of the graph, as several signatures at once need it.

        Args:
            feeds: An array for each tensor to feed, by the tensor's name (`inputs:0`).
            fetches: The names of the tensors to compute.

        Returns:
            An array for each of `fetches`.

        Raises:
            StatusError: There is no such tensor, or the model refused the feeds.
        """
        run = self._callable(tuple(feeds), tuple(fetches))
        return self._call(run, list(feeds.values()))

    def start_batching(
        self,
        parameters: BatchingParameters,
        slots: BatchSlots,
        recorder: BatchRecorder | None = None,
    ) -> None:
        """Gathers the requests of each signature into batches from now on.

        Args:
            parameters: How batches are formed.
            slots: The places for running batches, shared by all models of a server.
            recorder: Is told of each batch.
        """
        from serving.model_server.batching import BatchQueue

        for signature in self.signatures.values():
            if (signature.name, ()) not in self._plans:
                continue
            plan = self._plan(signature, ())

            def run(feeds: list[Array], plan: _Plan = plan) -> list[Array]:
                return self._call(plan.callable, feeds)

            self._queues[signature.name] = BatchQueue(
                run, parameters, plan.inputs, slots=slots, recorder=recorder
            )

    def close(self) -> None:
        """Frees the session. No call may be under way."""
        for queue in self._queues.values():
            queue.close()
        self._queues.clear()
        self._plans.clear()
        self._callables.clear()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _try(self, signature: Signature) -> None:
        # As in TensorFlow Serving a signature that names what is not there fails its own requests.
        try:
            self._plan(signature, ())
        except StatusError as err:
            logger.warning(
                "%s: signature %s cannot run: %s", self.path, signature.name, err.message
            )

    def _plan(self, signature: Signature, asked: tuple[str, ...]) -> _Plan:
        for name in asked:
            if name not in signature.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {name} Outputs expected to be "
                    f"in the set {{{','.join(sorted(signature.outputs))}}}."
                )
        definition = self.signature_defs[signature.name]
        inputs = tuple(sorted(signature.inputs))
        outputs = tuple(dict.fromkeys(asked)) or tuple(sorted(signature.outputs))
        run = self._callable(
            tuple(definition.inputs[name].name for name in inputs),
            tuple(definition.outputs[name].name for name in outputs),
        )
        plan = _Plan(inputs, outputs, run)
        if len(self._plans) < _MOST_PLANS:
            self._plans[signature.name, asked] = plan
        return plan

    def _callable(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Any:
        known = self._callables.get((feeds, fetches))
        if known is not None:
            return known
        from tensorflow.core.protobuf.config_pb2 import CallableOptions

        options = CallableOptions(feed=feeds, fetch=fetches)
        if self._in_calling_thread:
            options.run_options.inter_op_thread_pool = -1
        try:
            made = self._session._make_callable_from_options(options)
        except self._run_error as err:
            raise StatusError(Code(err.error_code), str(err.message)) from err
        if len(self._callables) < _MOST_PLANS:
            self._callables[feeds, fetches] = made
        return made

    def _call(self, run: Any, feeds: list[Array]) -> list[Array]:
        try:
            values = run(*feeds)
        except self._run_error as err:
            raise StatusError(Code(err.error_code), str(err.message)) from err
        return [value if type(value) is np.ndarray else _as_array(value) for value in values]


# A client that asks for ever other subsets of the outputs must not fill the memory.
_MOST_PLANS = 1000


class _Plan:
    """A callable with the names of what goes in and what comes out, in its order."""

    __slots__ = ("callable", "inputs", "outputs")

    def __init__(self, inputs: tuple[str, ...], outputs: tuple[str, ...], run: Any) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.callable = run


def _open(path: Path, options: SessionOptions) -> tuple[Any, dict[str, Any]]:
    if options.prefer_tflite and (path / "model.tflite").is_file():
        from serving.model_server.tflite_session import open_tflite

        return open_tflite(path, options.tflite_interpreters)
    from serving.model_server.saved_model_session import open_session

    return open_session(path, options)


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
