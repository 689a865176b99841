"""Exporting a Keras model and its transform graph as one SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import UserModuleError
from mlproject.raw_inputs import input_specs
from mlproject.saved_model.input_names import check_input_names
from mlproject.saved_model.origins import write_origins
from mlproject.saved_model.signatures import trace_signatures
from mlproject.schema import serving_features
from mlproject.transform import TransformGraph
from mlproject.user_module import explain_user_error

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema


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
            model does not give one tensor of floats.
        ConfigError: The schema wants a feature as a tensor that no signature takes, or a feature
            has a name that none takes.
    """
    import tensorflow as tf

    features = graph.needed_features(serving_features(schema), label)
    check_input_names(features)
    if not model.built:
        raise UserModuleError(
            f"The model of {module_path.name} cannot be served",
            received="a keras.Model that was never called, so it has no weights",
            expected="a trained keras.Model",
        )
    inputs = input_specs(schema, {name: graph.raw_specs[name] for name in features})
    module = tf.Module()
    # Plain tf.Variables and the loaded graph are tracked, not the Keras objects: a Session (and
    # so TensorFlow Serving) cannot find the variables of a Keras 3 model that was saved whole.
    module.weights = [variable.value for variable in model.variables]
    module.tables = _lookup_tables(model)
    module.transform = graph.trackable
    try:
        signatures = trace_signatures(model, graph, inputs, label, module_path)
        tf.saved_model.save(module, str(out_dir), signatures=signatures)
    except (UserModuleError, OSError, tf.errors.OpError):
        raise
    except Exception as err:
        raise explain_user_error(err, module_path, "Tracing the model for serving") from err
    write_origins(graph.sources(), out_dir)


def _lookup_tables(model: Any) -> list[Any]:
    """The tables of layers such as `StringLookup`: a SavedModel tracks them beside variables."""
    import tensorflow as tf

    resource = tf.saved_model.experimental.TrackableResource
    return [t for t in tf.train.TrackableView(model).descendants() if isinstance(t, resource)]
