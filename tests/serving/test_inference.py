"""Classify, Regress and MultiInference on real models with TF1-style signatures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.model_server.loader import LoadedModel
from serving.model_server.options import SessionOptions
from serving.model_server.status import Code, StatusError

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def load(example_models: dict[str, Path]) -> Callable[[str], LoadedModel]:
    loaded: dict[str, LoadedModel] = {}

    def once(name: str) -> LoadedModel:
        if name not in loaded:
            loaded[name] = LoadedModel(example_models[name])
        return loaded[name]

    return once


def examples(*rows: dict[str, float], context: dict[str, float] | None = None) -> Any:
    from tensorflow_serving.apis.input_pb2 import Input

    message = Input()
    if context is None:
        listed = message.example_list
        listed.SetInParent()
    else:
        listed = message.example_list_with_context
        fill(listed.context, context)
    for row in rows:
        fill(listed.examples.add(), row)
    return message


def fill(example: Any, row: dict[str, float]) -> None:
    for name, value in row.items():
        example.features.feature[name].float_list.value.append(value)


def tasks(*heads: tuple[str, str] | tuple[str, str, str], rows: int = 1) -> Any:
    from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest

    request = MultiInferenceRequest(input=examples(*[{"x": i + 1.0} for i in range(rows)]))
    for signature, method, *name in heads:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = name[0] if name else "multi_head"
        task.model_spec.signature_name = signature
    return request


def values(result: Any) -> list[float]:
    return [regression.value for regression in result.regressions]


def pairs(result: Any) -> list[list[tuple[str, float]]]:
    return [[(c.label, c.score) for c in row.classes] for row in result.classifications]


def test_examples_become_their_serialized_form() -> None:
    from serving.model_server.inference import serialized_examples

    message = examples({"x": 1.0}, {}, {"x": 3.0, "y": 4.0})
    array = serialized_examples(message)
    assert (array.dtype, array.shape) == (np.dtype(object), (3,))
    parsed = [type(message.example_list.examples[0]).FromString(data) for data in array]
    assert parsed == list(message.example_list.examples)


def test_a_context_is_merged_into_each_example_whose_own_features_win() -> None:
    import tensorflow as tf

    from serving.model_server.inference import serialized_examples

    array = serialized_examples(examples({"x": 1.0}, {"y": 5.0}, context={"x": 9.0, "z": 7.0}))
    found = [
        {name: list(f.float_list.value) for name, f in parsed.features.feature.items()}
        for parsed in map(tf.train.Example.FromString, array)
    ]
    assert found == [{"x": [1.0], "z": [7.0]}, {"x": [9.0], "y": [5.0], "z": [7.0]}]


def test_no_example_is_refused() -> None:
    from tensorflow_serving.apis.input_pb2 import Input

    from serving.model_server.inference import serialized_examples

    for message in (Input(), examples(), examples(context={"x": 1.0})):
        with pytest.raises(StatusError, match=r"^Input is empty\.$") as caught:
            serialized_examples(message)
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_classify_gives_labels_and_scores(load: Callable[[str], LoadedModel]) -> None:
    from serving.model_server.inference import classify

    rows = examples({"x": 2.0}, {"x": 0.0})
    model = load("classifier")
    expected = [[("low", -2.0), ("high", 2.0)], [("low", 0.0), ("high", 0.0)]]
    assert pairs(classify(model, "", rows)) == expected
    assert pairs(classify(model, "serving_default", rows)) == expected
    assert pairs(classify(model, "labels", rows))[0] == [("low", 0.0), ("high", 0.0)]
    assert pairs(classify(model, "scores", rows))[0] == [("", -2.0), ("", 2.0)]  # a predict method


def test_regress_gives_a_value_an_example_for_both_shapes(
    load: Callable[[str], LoadedModel],
) -> None:
    from serving.model_server.inference import regress

    rows = examples({"x": 2.0}, {"x": 0.0}, {"x": -1.0})
    assert values(regress(load("regressor"), "", rows)) == [6.0, 0.0, -3.0]
    half = load("half_plus_two")
    assert values(regress(half, "regress_x_to_y", rows)) == [3.0, 2.0, 1.5]
    assert values(regress(half, "regress_x2_to_y3", rows)) == [3.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("model", "signature", "text"),
    [
        ("classifier", "nope", "No signature was found with the name: nope"),
        ("regressor", "", "Expected classification signature outputs to contain at least one of"),
        ("multi_head", "two_inputs", "Expected one input Tensor."),
        ("multi_head", "renamed", "No classification inputs found in SignatureDef: "),
        ("multi_head", "cube", "Expected Tensor shape: [batch_size num_classes] but got [1,1,1]"),
        ("classifier", "probabilities", 'contain at least one of "classes" or "scores"'),
    ],
)
def test_classify_refuses_a_signature_that_does_not_classify(
    load: Callable[[str], LoadedModel], model: str, signature: str, text: str
) -> None:
    from serving.model_server.inference import classify

    with pytest.raises(StatusError) as caught:
        classify(load(model), signature, examples({"x": 1.0}))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("model", "signature", "text"),
    [
        ("regressor", "nope", "No signature was found with the name: nope"),
        ("classifier", "", "Expected one output Tensor."),
        ("classifier", "scores", "No regression outputs found in SignatureDef: "),
        ("multi_head", "two_inputs", "Expected one input Tensor."),
        ("multi_head", "renamed", "No regression inputs found in SignatureDef: "),
        (
            "multi_head",
            "no_batch",
            "Input batch size did not match output batch size: 2 vs. 1",
        ),
        ("multi_head", "integers", "Expected output Tensor of DT_FLOAT.  Got: DT_INT64"),
    ],
)
def test_regress_refuses_a_signature_that_does_not_regress(
    load: Callable[[str], LoadedModel], model: str, signature: str, text: str
) -> None:
    from serving.model_server.inference import regress

    with pytest.raises(StatusError) as caught:
        regress(load(model), signature, examples({"x": 1.0}, {"x": 2.0}))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert text in caught.value.message


def test_an_example_without_a_required_feature_is_the_models_error(
    load: Callable[[str], LoadedModel],
) -> None:
    from serving.model_server.inference import regress

    with pytest.raises(StatusError, match="Feature: x") as caught:
        regress(load("regressor"), "", examples({"y": 1.0}))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_multi_inference_runs_all_heads_at_once(load: Callable[[str], LoadedModel]) -> None:
    from serving.model_server.inference import multi_inference

    request = tasks(("kind", CLASSIFY), ("price", REGRESS), ("price2", REGRESS), rows=2)
    kind, price, price2 = multi_inference(load("multi_head"), 7, request).results
    assert pairs(kind.classification_result) == [[("", 1.0), ("", -1.0)], [("", 2.0), ("", -2.0)]]
    assert values(price.regression_result) == [2.0, 4.0]
    assert values(price2.regression_result) == [4.0, 8.0]
    spec = price.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("multi_head", "price", 7)


@pytest.mark.parametrize(
    ("heads", "code", "text"),
    [
        (
            [("price", REGRESS), ("price", REGRESS)],
            Code.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: price",
        ),
        (
            [("price", REGRESS), ("kind", CLASSIFY, "another")],
            Code.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [("price", REGRESS, "")],
            Code.INVALID_ARGUMENT,
            "Found ModelSpec with an empty model name.",
        ),
        (
            [("price", REGRESS), ("nope", REGRESS)],
            Code.INVALID_ARGUMENT,
            "Requested signature not found in model graph: nope",
        ),
        (
            [("price", "tensorflow/serving/predict")],
            Code.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            [("price", REGRESS), ("numbers", REGRESS)],
            Code.INVALID_ARGUMENT,
            "Input tensor must be the same for all Signatures.",
        ),
        ([("price", CLASSIFY)], Code.INVALID_ARGUMENT, "Expected classification signature outputs"),
    ],
)
def test_multi_inference_refuses_tasks_that_do_not_fit(
    load: Callable[[str], LoadedModel], heads: list[Any], code: Code, text: str
) -> None:
    from serving.model_server.inference import multi_inference

    with pytest.raises(StatusError) as caught:
        multi_inference(load("multi_head"), 1, tasks(*heads))
    assert caught.value.code is code
    assert text in caught.value.message


def test_multi_inference_feeds_signatures_with_an_input_of_their_own_the_same_examples(
    load: Callable[[str], LoadedModel],
) -> None:
    from serving.model_server.inference import multi_inference

    request = tasks(("price", REGRESS), ("other", REGRESS), rows=2)
    price, other = multi_inference(load("multi_head"), 1, request).results
    assert values(price.regression_result) == [2.0, 4.0]
    assert values(other.regression_result) == [1.0, 2.0]


def test_method_names_are_looked_at_where_the_server_is_told_to(
    example_models: dict[str, Path],
) -> None:
    from serving.model_server.inference import classify, multi_inference, regress

    options = SessionOptions(check_method_names=True)
    classifier = LoadedModel(example_models["classifier"], options)
    assert classify(classifier, "labels", examples({"x": 1.0})).classifications
    with pytest.raises(StatusError, match="Was: tensorflow/serving/predict") as caught:
        classify(classifier, "scores", examples({"x": 1.0}))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "Expected classification signature method_name to be " in caught.value.message
    heads = LoadedModel(example_models["multi_head"], options)
    with pytest.raises(StatusError, match="Expected regression signature method_name to be "):
        regress(heads, "kind", examples({"x": 1.0}))
    with pytest.raises(StatusError, match=f"Was: {REGRESS}"):
        multi_inference(heads, 1, tasks(("price", CLASSIFY)))


def test_multi_inference_of_no_task_or_no_example_is_refused(
    load: Callable[[str], LoadedModel],
) -> None:
    from serving.model_server.inference import multi_inference

    with pytest.raises(StatusError, match="ModelSpec has no name specified"):
        multi_inference(load("multi_head"), 1, tasks())
    with pytest.raises(StatusError, match="Input is empty"):
        multi_inference(load("multi_head"), 1, tasks(("price", REGRESS), rows=0))
