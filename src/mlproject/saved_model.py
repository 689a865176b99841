"""The exported SavedModel: the model with its transform graph inside, so serving cannot skew.

Signatures, over the raw features that the transform graph needs at serving:

    serving_default       one tensor for each raw feature (see raw_inputs.py) -> `predictions`
    serve_examples        `examples` `[batch] string`, serialized tf.train.Example -> `predictions`
    transform_features    one tensor for each raw feature -> the transformed features
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ServingError, UserModuleError
from mlproject.raw_inputs import fitted, input_specs, to_raw
from mlproject.schema import serving_features
from mlproject.transform import TransformGraph
from mlproject.user_module import explain_user_error

if TYPE_CHECKING:
    import numpy as np
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

SIGNATURE = "serving_default"
OUTPUT = "predictions"


def export_saved_model(
    model: Any,
    graph: TransformGraph,
    schema: Schema,
    label: str,
    out_dir: Path,
    module_path: Path,
) -> None:
    """Exports a Keras model and the transform graph as one SavedModel.

    Args:
        model: The trained `keras.Model`; its inputs are named like outputs of the graph.
        graph: The transform graph.
        schema: The raw schema; features that are not in `SERVING` are no input.
        label: The label among the graph's outputs; never an input.
        out_dir: Folder to write.
        module_path: The module file, for the messages.

    Raises:
        UserModuleError: The model's inputs are not among what the graph gives at serving, or the
            model does not give one tensor.
        ConfigError: The schema wants a feature as a tensor that no signature takes.
    """
    import tensorflow as tf

    features = graph.needed_features(serving_features(schema), label)
    specs = {name: graph.raw_specs[name] for name in features}
    if not model.built:
        raise UserModuleError(
            f"The model of {module_path.name} cannot be served",
            received="a keras.Model that was never called, so it has no weights",
            expected="a trained keras.Model",
        )
    needed = _input_names(model)

    def apply(raw: Mapping[str, Any]) -> dict[str, Any]:
        return {n: value for n, value in graph.apply(raw).items() if n != label}

    def transform(features: Mapping[str, Any]) -> dict[str, Any]:
        return apply({n: to_raw(features[n], specs[n]) for n in specs})

    def predict(transformed: Mapping[str, Any]) -> dict[str, Any]:
        names = list(transformed) if needed is None else needed
        _check_inputs(names, transformed, module_path)
        given = {n: transformed[n] for n in names}
        return {OUTPUT: _check_output(model(given, training=False), module_path)}

    dense = input_specs(schema, specs)

    @tf.function(input_signature=[dense], autograph=False)
    def serving_default(features: Any) -> Any:
        return predict(transform(features))

    @tf.function(input_signature=[dense], autograph=False)
    def transform_features(features: Any) -> Any:
        return transform(features)

    serialized = tf.TensorSpec([None], tf.string, name="examples")

    @tf.function(input_signature=[serialized], autograph=False)
    def serve_examples(examples: Any) -> Any:
        return predict(apply(tf.io.parse_example(examples, specs)))

    module = tf.Module()
    # Plain tf.Variables and the loaded graph are tracked, not the Keras objects: a Session (and
    # so TensorFlow Serving) cannot find the variables of a Keras 3 model that was saved whole.
    module.weights = [variable.value for variable in model.variables]
    module.tables = _lookup_tables(model)
    module.transform = graph.trackable
    try:
        signatures = {
            SIGNATURE: serving_default.get_concrete_function(),
            "serve_examples": serve_examples.get_concrete_function(),
            "transform_features": transform_features.get_concrete_function(),
        }
        tf.saved_model.save(module, str(out_dir), signatures=signatures)
    except (UserModuleError, OSError, tf.errors.OpError):
        raise
    except Exception as err:
        raise explain_user_error(err, module_path, "Tracing the model for serving") from err


def _input_names(model: Any) -> list[str] | None:
    """Names of the model's inputs; None for a subclassed model, which picks among all."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return list(structure)
    inputs = getattr(model, "inputs", None)
    return None if inputs is None else [tensor.name for tensor in inputs]


def _lookup_tables(model: Any) -> list[Any]:
    """The tables of layers such as `StringLookup`: a SavedModel tracks them beside variables."""
    import tensorflow as tf

    resource = tf.saved_model.experimental.TrackableResource
    return [t for t in tf.train.TrackableView(model).descendants() if isinstance(t, resource)]


def _check_inputs(needed: list[str], given: Mapping[str, Any], module_path: Path) -> None:
    missing = [name for name in needed if name not in given]
    if missing:
        raise UserModuleError(
            f"The model of {module_path.name} cannot be served",
            received=f"inputs {', '.join(missing)}, which need the label's or training-only columns"
            " or are no output of preprocessing_fn",
            expected=f"inputs among {', '.join(sorted(given))}",
            next_step="build the model from these outputs of preprocessing_fn",
        )


def _check_output(output: Any, module_path: Path) -> Any:
    import tensorflow as tf

    if not tf.is_tensor(output):
        raise UserModuleError(
            f"The model of {module_path.name} cannot be served",
            received=f"an output that is a {type(output).__name__}",
            expected="one tensor",
        )
    return output


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
            return dict(session.run(outputs, feed))

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
