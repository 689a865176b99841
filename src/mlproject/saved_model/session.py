"""A SavedModel loaded as TensorFlow Serving loads it, in a v1 Session, and asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ServingError
from mlproject.raw_inputs import fitted
from mlproject.saved_model.signatures import SIGNATURE

if TYPE_CHECKING:
    import numpy as np

Predict = Callable[[Mapping[str, "np.ndarray"]], dict[str, "np.ndarray"]]


@contextmanager
def open_signature(model_dir: Path, signature: str = SIGNATURE) -> Iterator[Predict]:
    """Loads a SavedModel as TensorFlow Serving does (a v1 Session) for calls of one signature.

    Args:
        model_dir: The SavedModel.
        signature: Its signature.

    Yields:
        A function: input name -> array of `raw_arrays`, to output name -> array. It raises
        ServingError for an array that does not fit its input.

    Raises:
        ServingError: The SavedModel does not load in a Session, or lacks the signature.
    """
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        try:
            meta = tf.compat.v1.saved_model.load(session, ["serve"], str(model_dir))
        except (OSError, RuntimeError, ValueError, tf.errors.OpError) as err:
            raise ServingError(
                f"Loading the SavedModel {model_dir} failed",
                received=" ".join(str(err).split())[:300],
                expected="a SavedModel that a TensorFlow Session can load",
            ) from err
        if signature not in meta.signature_def:
            raise ServingError(
                f"The SavedModel {model_dir} has no signature '{signature}'",
                received=", ".join(sorted(meta.signature_def)),
            )
        definition = meta.signature_def[signature]
        tensors = {
            name: graph.get_tensor_by_name(info.name) for name, info in definition.inputs.items()
        }
        shapes = {
            name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor.shape.rank
        }
        outputs = {name: info.name for name, info in definition.outputs.items()}
        _check_variables(session, list(outputs.values()), model_dir)

        def predict(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            feed = {
                tensor: fitted(name, arrays[name], shapes[name]) if name in shapes else arrays[name]
                for name, tensor in tensors.items()
            }
            try:
                return dict(session.run(outputs, feed))
            except (tf.errors.OpError, ValueError) as err:
                raise ServingError(
                    f"The signature '{signature}' of the SavedModel {model_dir} failed",
                    received=" ".join(str(err).split())[:300],
                    expected="an answer to rows of its inputs",
                ) from err

        predict.input_names = tuple(tensors)  # type: ignore[attr-defined]
        yield predict


def _check_variables(session: Any, outputs: list[str], model_dir: Path) -> None:
    """Checks that every variable behind some outputs was restored: a load alone does not tell.

    What `tf.saved_model.save` makes of a whole Keras 3 model loads, but each call of it in a
    Session fails, because the variables inside its functions are not the restored ones.
    """
    import tensorflow as tf

    queue = [session.graph.get_tensor_by_name(name).op for name in outputs]
    seen = set(queue)
    while queue:
        op = queue.pop()
        before = {tensor.op for tensor in op.inputs} | set(op.control_inputs)
        queue += before - seen
        seen |= before
    handles = [op for op in seen if op.type == "VarHandleOp"]
    checks = [tf.raw_ops.VarIsInitializedOp(resource=op.outputs[0]) for op in handles]
    restored = session.run(checks)
    lost = sorted(op.name for op, found in zip(handles, restored, strict=True) if not found)
    if lost:
        raise ServingError(
            f"Loading the SavedModel {model_dir} failed",
            received=f"variables without a value in a Session: {', '.join(lost[:5])}",
            expected="a SavedModel that a TensorFlow Session can run",
            next_step="return the keras.Model from run_fn, or write it with `model.export(...)`",
        )


def load_test(model_dir: Path) -> tuple[str, ...]:
    """Loads a SavedModel in a Session, so that what cannot be served is found at once.

    Returns:
        The inputs of `serving_default`.

    Raises:
        ServingError: It does not load.
    """
    with open_signature(model_dir) as predict:
        names: tuple[str, ...] = predict.input_names  # type: ignore[attr-defined]
        return names
