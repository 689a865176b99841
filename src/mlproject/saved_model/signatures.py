"""The signatures of an exported model, traced.

    serving_default       one tensor for each raw feature (see raw_inputs.py) -> `predictions`
    serve_examples        `examples` `[batch] string`, serialized tf.train.Example -> `predictions`
    transform_features    one tensor for each raw feature -> the transformed features
    eval_examples         `examples` `[batch] string`, with the training-only columns that the label
                          needs -> `predictions`, and `labels` as `preprocessing_fn` makes them
    predict_transformed   one tensor for each transformed feature that the model takes ->
                          `predictions`; differentiable where `tf.saved_model.load` loads it

TensorFlow does not take every name for an input (input_names.py): with a raw feature of such a name
there is no model, with such a transformed feature there is no `predict_transformed`.

`predictions` are `[batch, 1] float32`, or `[batch, classes] float32` of a model of several classes.
The model is traced once: the other signatures call `predict_transformed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlproject.errors import UserModuleError
from mlproject.raw_inputs import to_raw
from mlproject.saved_model.input_names import argument_name, refused_names
from mlproject.transform import TransformGraph

SIGNATURE = "serving_default"
SERVE_EXAMPLES = "serve_examples"
TRANSFORM_FEATURES = "transform_features"
EVAL_EXAMPLES = "eval_examples"
PREDICT_TRANSFORMED = "predict_transformed"
OUTPUT, LABELS = "predictions", "labels"


def trace_signatures(
    model: Any,
    graph: TransformGraph,
    inputs: Mapping[str, Any],
    label: str,
    module_path: Path,
) -> dict[str, Any]:
    """Traces every signature.

    Args:
        model: The trained, built `keras.Model`.
        graph: The transform graph.
        inputs: Raw feature -> `tf.TensorSpec` of what serving gives.
        label: The label among the graph's outputs; never an input.
        module_path: The module file, for the messages.

    Returns:
        Signature -> concrete function.

    Raises:
        UserModuleError: The model's inputs are not among what the graph gives at serving, or the
            model does not give one tensor of floats.
    """
    import tensorflow as tf

    served = {name: graph.raw_specs[name] for name in inputs}
    serialized = tf.TensorSpec([None], tf.string, name="examples")

    def apply(raw: Mapping[str, Any]) -> dict[str, Any]:
        return {n: value for n, value in graph.apply(raw).items() if n != label}

    @tf.function(input_signature=[dict(inputs)], autograph=False)
    def transform_features(features: Any) -> Any:
        return apply({n: to_raw(features[n], served[n]) for n in served})

    transform = transform_features.get_concrete_function()
    taken = _taken(model, transform.structured_outputs, module_path)

    @tf.function(input_signature=[taken], autograph=False)
    def predict_transformed(transformed: Any) -> Any:
        return {OUTPUT: _as_predictions(model(dict(transformed), training=False), module_path)}

    def predict(transformed: Mapping[str, Any]) -> Any:
        return predict_transformed({n: transformed[n] for n in taken})

    @tf.function(input_signature=[dict(inputs)], autograph=False)
    def serving_default(features: Any) -> Any:
        return predict(apply({n: to_raw(features[n], served[n]) for n in served}))

    @tf.function(input_signature=[serialized], autograph=False)
    def serve_examples(examples: Any) -> Any:
        return predict(apply(tf.io.parse_example(examples, served)))

    judged = _judged(graph, transform.structured_outputs, label)

    @tf.function(input_signature=[serialized], autograph=False)
    def eval_examples(examples: Any) -> Any:
        outputs = graph.apply(tf.io.parse_example(examples, judged))
        return {**predict(outputs), LABELS: outputs[label]}

    signatures = {
        SIGNATURE: serving_default.get_concrete_function(),
        SERVE_EXAMPLES: serve_examples.get_concrete_function(),
        TRANSFORM_FEATURES: transform,
        EVAL_EXAMPLES: eval_examples.get_concrete_function(),
    }
    if _can_be_inputs(taken):
        signatures[PREDICT_TRANSFORMED] = predict_transformed.get_concrete_function()
    return signatures


def _judged(graph: TransformGraph, served: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The raw features behind the label and behind what is served."""
    sources = graph.sources()
    needed = {name for output in (*served, label) for name in sources[output]}
    return {name: spec for name, spec in graph.raw_specs.items() if name in needed}


def _taken(model: Any, transformed: Mapping[str, Any], module_path: Path) -> dict[str, Any]:
    """Transformed feature that the model takes -> `tf.TensorSpec` with any number of rows."""
    import tensorflow as tf

    names = _input_names(model)
    if names is None:
        names = list(transformed)
    missing = [name for name in names if name not in transformed]
    if missing:
        raise UserModuleError(
            f"The model of {module_path.name} cannot be served",
            received=f"inputs {', '.join(missing)}, which need the label's or training-only columns"
            " or are no output of preprocessing_fn",
            expected=f"inputs among {', '.join(sorted(transformed))}",
            next_step="build the model from these outputs of preprocessing_fn",
        )
    specs = {}
    for name in names:
        spec = transformed[name]
        shape = [None, *spec.shape[1:]] if spec.shape.rank else None
        specs[name] = tf.TensorSpec(shape, spec.dtype, name if _can_be_inputs(names) else None)
    return specs


def _can_be_inputs(names: Iterable[str]) -> bool:
    """Whether they can, and keep their names where `tf.saved_model.load` loads the model."""
    names = list(names)
    return not refused_names(names) and all(argument_name(name) == name for name in names)


def _input_names(model: Any) -> list[str] | None:
    """Names of the model's inputs; None for a subclassed model, which picks among all."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return list(structure)
    inputs = getattr(model, "inputs", None)
    return None if inputs is None else [tensor.name for tensor in inputs]


def _as_predictions(output: Any, module_path: Path) -> Any:
    """The model's output as `[batch, ...] float32`: mixed precision gives float16."""
    import tensorflow as tf

    is_tensor = tf.is_tensor(output)
    if not is_tensor or not output.dtype.is_floating:
        raise UserModuleError(
            f"The model of {module_path.name} cannot be served",
            received=f"an output of type {output.dtype.name}"
            if is_tensor
            else f"an output that is a {type(output).__name__}",
            expected="one tensor of floats",
        )
    if output.shape.rank == 1:
        output = output[:, tf.newaxis]
    return tf.cast(output, tf.float32)
