"""Classify, Regress and MultiInference over their protos, for both APIs.

The checks, their order and their texts are those of TensorFlow Serving's classifier.cc,
regressor.cc, multi_inference.cc and util.cc. A signature's method name is not looked at unless the
server is told to: `tf.saved_model.save` writes `tensorflow/serving/predict` into every one.
Imported only where requests are served: it imports the API's protos at the top.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow.core.framework.types_pb2 import DT_STRING
from tensorflow_serving.apis.inference_pb2 import MultiInferenceResponse

from serving.model_server.inference_results import (
    CLASSES,
    OUTPUTS,
    SCORES,
    classification_result,
    regression_result,
)
from serving.model_server.loader import LoadedModel
from serving.model_server.signature import DEFAULT_SIGNATURE, Array, Tensors
from serving.model_server.status import Code, StatusError, invalid
from serving.model_server.wire_views import serialized_input

CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

_INPUTS = "inputs"


def serialized_examples(input_proto: Any) -> Array:
    """Serialize the examples of a request, each with the context merged in.

    A feature of the example wins over one of the same name in the context, because protobuf keeps
    the later of two map entries.

    Args:
        input_proto: `tensorflow.serving.Input`.

    Returns:
        [n] object array of bytes, each a serialized `tf.train.Example`.

    Raises:
        StatusError: INVALID_ARGUMENT when there is no example.
    """
    parsed = serialized_input().FromString(input_proto.SerializeToString())
    kind = parsed.WhichOneof("kind")
    examples = list(getattr(parsed, kind).examples) if kind else []
    if not examples:
        raise invalid("Input is empty.")
    if kind == "example_list_with_context":
        context = parsed.example_list_with_context.context
        if context:
            examples = [context + example for example in examples]
    return np.array(examples, dtype=object)


def classify(model: LoadedModel, signature_name: str, input_proto: Any) -> Any:
    """Classify the examples of a request.

    Args:
        model: The model that answers.
        signature_name: The signature; empty for `serving_default`.
        input_proto: `tensorflow.serving.Input`.

    Returns:
        `ClassificationResult`: for each example its classes with label, score or both.

    Raises:
        StatusError: The signature does not classify, the input is empty, or the model refused it.
    """
    name = signature_name or DEFAULT_SIGNATURE
    definition = _definition(model, name, f"No signature was found with the name: {name}")
    _check_classification(model, definition)
    examples = serialized_examples(input_proto)
    return classification_result(_run(model, name, examples), len(examples))


def regress(model: LoadedModel, signature_name: str, input_proto: Any) -> Any:
    """Compute one value for each example of a request.

    Args:
        model: The model that answers.
        signature_name: The signature; empty for `serving_default`.
        input_proto: `tensorflow.serving.Input`.

    Returns:
        `RegressionResult`: one value for each example.

    Raises:
        StatusError: The signature does not regress, the input is empty, or the model refused it.
    """
    name = signature_name or DEFAULT_SIGNATURE
    definition = _definition(model, name, f"No signature was found with the name: {name}")
    _check_regression(model, definition)
    examples = serialized_examples(input_proto)
    return regression_result(_run(model, name, examples)[OUTPUTS], len(examples))


def multi_inference(model: LoadedModel, version: int, request: Any) -> Any:
    """Run several heads of a model on the same examples, in one run of its session.

    Args:
        model: The model that answers.
        version: Its version, for the answer.
        request: `MultiInferenceRequest`.

    Returns:
        `MultiInferenceResponse`: a result for each task, in the order of the tasks.

    Raises:
        StatusError: A task names another model, a signature twice or none that is there, another
            method than classify and regress, or a signature that takes no examples.
    """
    if not request.tasks:
        raise invalid("ModelSpec has no name specified.")
    definitions = _task_definitions(model, request.tasks)
    feeds = {definition.inputs[_INPUTS].name for definition in definitions.values()}
    fetches = sorted(
        {info.name for definition in definitions.values() for info in definition.outputs.values()}
    )
    examples = serialized_examples(request.input)
    run = model.run(dict.fromkeys(sorted(feeds), examples), fetches)
    values = dict(zip(fetches, run, strict=True))
    response = MultiInferenceResponse()
    for task, (name, definition) in zip(request.tasks, definitions.items(), strict=True):
        outputs = {key: values[info.name] for key, info in definition.outputs.items()}
        result = response.results.add()
        result.model_spec.name = task.model_spec.name
        result.model_spec.signature_name = name
        result.model_spec.version.value = version
        if task.method_name == CLASSIFY_METHOD:
            head = classification_result(outputs, len(examples))
            result.classification_result.CopyFrom(head)
        else:
            head = regression_result(outputs[OUTPUTS], len(examples))
            result.regression_result.CopyFrom(head)
    return response


def _task_definitions(model: LoadedModel, tasks: Any) -> dict[str, Any]:
    """The signature of each task by name, once all tasks are found to fit together."""
    definitions: dict[str, Any] = {}
    for task in tasks:
        spec = task.model_spec
        if not spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if spec.name != tasks[0].model_spec.name:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name in definitions:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        definition = _definition(
            model, name, f"Requested signature not found in model graph: {name}"
        )
        if task.method_name == CLASSIFY_METHOD:
            _check_classification(model, definition)
        elif task.method_name == REGRESS_METHOD:
            _check_regression(model, definition)
        else:
            raise StatusError(
                Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}"
            )
        first = next(iter(definitions.values()), definition)
        _check_same_input(first.inputs[_INPUTS], definition.inputs[_INPUTS])
        definitions[name] = definition
    return definitions


def _check_same_input(first: Any, other: Any) -> None:
    # `tf.saved_model.save` gives each signature an input of its own; all take the same examples.
    if first.name != other.name and (first.dtype, other.dtype) != (DT_STRING, DT_STRING):
        raise invalid("Input tensor must be the same for all Signatures.")


def _definition(model: LoadedModel, name: str, absent: str) -> Any:
    definition = model.signature_defs.get(name)
    if definition is None:
        raise invalid(absent)
    return definition


def _check_method(model: LoadedModel, definition: Any, kind: str, method: str) -> None:
    if model.checks_method_names and definition.method_name != method:
        raise invalid(
            f"Expected {kind} signature method_name to be {method}. Was: {definition.method_name}"
        )


def _check_classification(model: LoadedModel, definition: Any) -> None:
    _check_method(model, definition, "classification", CLASSIFY_METHOD)
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if _INPUTS not in definition.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {definition}")
    if CLASSES not in definition.outputs and SCORES not in definition.outputs:
        raise invalid(
            "Expected classification signature outputs to contain at least one of "
            f'"{CLASSES}" or "{SCORES}". Signature was: {definition}'
        )


def _check_regression(model: LoadedModel, definition: Any) -> None:
    _check_method(model, definition, "regression", REGRESS_METHOD)
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if _INPUTS not in definition.inputs:
        raise invalid(f"No regression inputs found in SignatureDef: {definition}")
    if OUTPUTS not in definition.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {definition}")


def _run(model: LoadedModel, name: str, examples: Array) -> Tensors:
    signature = model.signatures.get(name)
    if signature is None:
        raise invalid(f"Signature {name} has an input or output that is not a dense tensor")
    return model.predict(signature, {_INPUTS: examples})
