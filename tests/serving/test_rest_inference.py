"""Classify and regress over REST: the JSON of examples, and models that answer it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serving.export import export_version
from serving.model_server import ModelServer
from serving.model_server.status import Code, StatusError


def parse(body: dict[str, Any] | str) -> tuple[str, Any]:
    from serving.model_server.examples_json import parse_examples

    return parse_examples((body if isinstance(body, str) else json.dumps(body)).encode())


def features(example: Any) -> dict[str, list[Any]]:
    kinds = {name: feature.WhichOneof("kind") for name, feature in example.features.feature.items()}
    return {
        name: [kind, *(getattr(example.features.feature[name], kind).value if kind else ())]
        for name, kind in kinds.items()
    }


def test_features_have_the_kind_of_their_values() -> None:
    name, message = parse(
        {
            "examples": [
                {"names": ["foo", "bar"], "ratings": [8.0, 9.0], "age": 20, "none": []},
                {"names": "baz", "ratings": 6.5, "mix": [1, True, False], "flag": True},
                {"names": ["b", {"b64": "aGVsbG8="}]},
            ]
        }
    )
    assert name == ""
    first, second, third = map(features, message.example_list.examples)
    assert first == {
        "names": ["bytes_list", b"foo", b"bar"],
        "ratings": ["float_list", 8.0, 9.0],
        "age": ["int64_list", 20],
        "none": [None],
    }
    assert second["mix"] == ["int64_list", 1, 1, 0]
    assert second["flag"] == ["int64_list", 1]
    assert second["ratings"] == ["float_list", 6.5]
    assert third["names"] == ["bytes_list", b"b", b"hello"]


def test_a_context_a_signature_and_numbers_beyond_the_standard() -> None:
    name, message = parse(
        '{"signature_name": "custom", "context": {"query": "pizza"},'
        ' "examples": [{"r": [8.0, NaN, Infinity, -Infinity]}]}'
    )
    assert name == "custom"
    assert message.WhichOneof("kind") == "example_list_with_context"
    assert features(message.example_list_with_context.context) == {
        "query": ["bytes_list", b"pizza"]
    }
    _, *values = features(message.example_list_with_context.examples[0])["r"]
    np.testing.assert_array_equal(values, [8.0, np.nan, np.inf, -np.inf])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "The document is empty"),
        ({"signature_name": ["a"], "examples": [{}]}, "'signature_name' key must be a string"),
        ({"context": [{"a": 1}]}, "Example must be JSON object but got JSON Array"),
        ({"context": {}}, "key 'examples' is expected and was not found"),
        ({"examples": {"a": 1}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [[{"a": 1}]]}, "Example must be JSON object but got JSON Array"),
        (
            {"examples": [{"a": [10, None]}]},
            "Feature: a has element with unexpected JSON type: Nul",
        ),
        ({"examples": [{"a": None}]}, "unexpected JSON type: Null"),
        ({"examples": [{"a": [10, 1.5]}]}, "in feature: a expecting type: int64"),
        ({"examples": [{"a": [1.5, 10]}]}, "in feature: a expecting type: float"),
        ({"examples": [{"a": ["x", 10]}]}, "in feature: a expecting type: bytes"),
        ({"examples": [{"a": [1.5, {"b64": "YQ=="}]}]}, "in feature: a expecting type: float"),
        ({"examples": [{"a": [10, {"t": 1}]}]}, "a has element with unexpected JSON type: Object"),
        ({"examples": [{"a": [[10], 2]}]}, "a has element with unexpected JSON type: Array"),
        ({"examples": [{"a": [2, 2**64 - 13]}]}, "Feature: a has uint64 element. Only int64"),
        ({"examples": [{"a": 1e300}]}, "without loss of precision"),
        ({"examples": [{"a": [0.5, -1e39]}]}, "without loss of precision"),
        ({"examples": [{"a": {"b64": "*"}}]}, "Unable to base64 decode"),
        ('{"examples": [{"\\ud800": NaN}]}', "is not valid Unicode"),
        ('{"examples": [{"a": "\\ud800", "b": NaN}]}', "is not valid Unicode"),
    ],
)
def test_examples_that_are_none_are_refused(body: Any, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse(body)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert error in caught.value.message


def test_answers_of_classify_and_regress() -> None:
    from google.protobuf import text_format
    from tensorflow_serving.apis.classification_pb2 import ClassificationResult
    from tensorflow_serving.apis.regression_pb2 import RegressionResult

    from serving.model_server.json_answer import classify_answer, regress_answer

    classes = text_format.Parse(
        'classifications { classes { label: "c\\"ar" score: 0.2 } classes { score: 0.7 } }'
        "classifications { classes { score: nan } }",
        ClassificationResult(),
    )
    assert classify_answer(classes) == b'{"results":[[["c\\"ar",0.2],["",0.7]],[["",NaN]]]}'
    values = text_format.Parse(
        "regressions { value: 0.2 } regressions { value: inf } regressions { value: 1 }",
        RegressionResult(),
    )
    assert regress_answer(values) == b'{"results":[0.2,Infinity,1.0]}'
    with pytest.raises(StatusError, match="empty ClassificationResults"):
        classify_answer(ClassificationResult())
    with pytest.raises(StatusError, match="empty RegressionResults"):
        regress_answer(RegressionResult())


@pytest.fixture(scope="module")
def http(
    example_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("examples-served")
    for name in ("half_plus_two", "classifier"):
        export_version(example_models[name], root / name, 123)
    bases = {name: root / name for name in ("half_plus_two", "classifier")}
    with ModelServer(bases, rest_port=0, grpc_port=0) as running:
        running.wait_until_available(60)
        with httpx.Client(base_url=running.rest_url, trust_env=False) as client:
            yield client


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("half_plus_two:predict", {"instances": [[1.0], [5.0]]}, {"predictions": [[2.5], [4.5]]}),
        (
            "half_plus_two:regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}, {"x": [2.0]}]},
            {"results": [42.0, 3.0]},
        ),
        (
            "half_plus_two/versions/123:regress",
            {"signature_name": "regress_x_to_y", "context": {"x": 80.0}, "examples": [{}]},
            {"results": [42.0]},
        ),
        (
            "half_plus_two:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]},
            {"results": [[["", 12.0]]]},
        ),
        (
            "classifier:classify",
            {"examples": [{"x": 1.5}, {"x": 0.1}]},
            {"results": [[["low", -1.5], ["high", 1.5]], [["low", -0.1], ["high", 0.1]]]},
        ),
    ],
)
def test_models_answer(http: httpx.Client, path: str, body: dict[str, Any], answer: Any) -> None:
    response = http.post(f"/v1/models/{path}", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.json() == answer


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("half_plus_two:regress", {"signature_name": "none", "examples": [{"x": 1.0}]}, 400),
        ("half_plus_two:regress", {"examples": [{"x": 1.0}]}, 400),
        ("half_plus_two:regress", {"signature_name": "regress_x_to_y", "examples": [{}]}, 400),
        (
            "half_plus_two:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 1}]},
            400,
        ),
        ("half_plus_two/versions/9:classify", {"examples": [{"x": 1.0}]}, 404),
        ("nobody:regress", {"examples": [{"x": 1.0}]}, 404),
    ],
)
def test_models_refuse(http: httpx.Client, path: str, body: dict[str, Any], status: int) -> None:
    response = http.post(f"/v1/models/{path}", json=body)
    assert response.status_code == status, response.text
    assert response.json()["error"]
