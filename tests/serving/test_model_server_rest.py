"""The REST API over loopback."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from serving.export import export_version
from serving.model_server import ModelServer

ROWS = [{"x": 1.5, "n": 2, "s": "a"}, {"x": 0.1, "n": 0, "s": ""}]
PREDICTIONS = [{"score": 3.5, "greeting": "a!"}, {"score": 0.1, "greeting": "!"}]


@pytest.fixture(scope="module")
def http(server: ModelServer) -> Any:
    with httpx.Client(base_url=server.rest_url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("where", ["fare", "fare/versions/3", "%66are"])
def test_predict_in_row_format(http: httpx.Client, where: str) -> None:
    response = http.post(f"/v1/models/{where}:predict", json={"instances": ROWS})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"predictions": PREDICTIONS}


def test_predict_in_column_format(http: httpx.Client) -> None:
    columns = {"x": [1.5, 0.1], "n": [2, 0], "s": ["a", ""]}
    response = http.post("/v1/models/fare:predict", json={"inputs": columns})
    assert response.json() == {"outputs": {"score": [3.5, 0.1], "greeting": ["a!", "!"]}}


def test_one_input_and_one_output_go_without_names(http: httpx.Client) -> None:
    response = http.post("/v1/models/double:predict", json={"instances": [1, 2.5]})
    assert response.json() == {"predictions": [2.0, 5.0]}


def test_nan_goes_in_and_comes_out(http: httpx.Client) -> None:
    response = http.post("/v1/models/double:predict", content='{"instances": [NaN, -Infinity]}')
    assert response.text == '{"predictions":[NaN,-Infinity]}'


def test_a_signature_by_name_and_bytes_in_and_out(http: httpx.Client) -> None:
    body = {"signature_name": "raw", "instances": [{"b64": "/w=="}]}
    response = http.post("/v1/models/fare:predict", json=body)
    assert response.json() == {"predictions": [{"b64": "/w=="}]}


def test_a_keras_export_predicts_what_it_predicts_in_keras(
    http: httpx.Client, saved_models: dict[str, Path]
) -> None:
    import tensorflow as tf

    batch = [[0.1, 0.2, 0.3], [-1.0, 5.0, 2.0]]
    loaded = tf.saved_model.load(str(saved_models["keras"]))
    expected = loaded.serve(tf.constant(batch))
    response = http.post("/v1/models/keras:predict", json={"instances": batch})
    assert response.status_code == 200
    np.testing.assert_allclose(response.json()["predictions"], expected, rtol=1e-5)


def test_status_has_the_form_of_tensorflow_serving(http: httpx.Client) -> None:
    expected = {
        "model_version_status": [
            {
                "version": "3",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert http.get("/v1/models/fare").json() == expected
    assert http.get("/v1/models/fare/versions/3").json() == expected


@pytest.mark.parametrize("path", ["/v1/models/fare", "/v1/models/fare/versions/3"])
def test_metadata_has_the_form_of_tensorflow_serving(http: httpx.Client, path: str) -> None:
    metadata = http.get(f"{path}/metadata").json()
    assert metadata["model_spec"] == {"name": "fare", "signature_name": "", "version": "3"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "raw", "total"} <= signatures.keys()
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"]["n"]["dtype"] == "DT_INT64"
    assert default["inputs"]["n"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert default["outputs"].keys() == {"score", "greeting"}


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("POST", "/v1/models/fare/versions/9:predict", 404, "request: Specific(fare, 9)"),
        ("POST", "/v1/models/fare/labels/stable:predict", 400, "version label: stable"),
        ("POST", "/v1/models/fare:classify", 400, "key 'examples' is expected and was not found"),
        ("POST", "/v1/models/fare:Predict", 400, "Malformed request: POST /v1/models/fare:Predict"),
        ("POST", "/v1/foo", 400, "Malformed request"),
        ("GET", "/v1/foo", 400, "Malformed request"),
        ("POST", "/v1/models", 400, "Malformed request"),
        ("POST", "/v1/models/fare/metadata", 400, "Malformed request"),
        ("GET", "/v1/models/fare/version/3", 400, "Malformed request"),
        ("POST", "/v1/models/fare/label/some:regress", 400, "Malformed request"),
        ("POST", "/v1/models/fare/versions/3/labels/some:regress", 400, "Malformed request"),
        ("POST", f"/v1/models/fare/versions/{2**64 - 1}:regress", 400, "Failed to convert version"),
        ("GET", "/v1/models/debug/fare", 400, "Malformed request"),
        ("PUT", "/v1/models/fare", 400, "Malformed request: PUT /v1/models/fare"),
        ("OPTIONS", "/v1/models/fare", 400, "Malformed request: OPTIONS /v1/models/fare"),
        ("POST", "/v1/models/fare:explain", 400, "Malformed request: POST /v1/models/fare:explain"),
        ("POST", "/v1/models/fare", 400, "Malformed request"),
        ("GET", "/v1/models/fare:predict", 400, "Malformed request"),
        ("DELETE", "/v1/models/fare", 400, "Malformed request"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/fare/versions/9", 404, "Could not find version 9 of model fare"),
        ("GET", f"/v1/models/fare/versions/{2**63}", 400, "Failed to convert version"),
        ("GET", f"/v1/models/fare/versions/{'9' * 5000}", 400, "Failed to convert version"),
        ("GET", "/v1/models/fare/versions/-1", 400, "Malformed request"),
        ("GET", "/v1/models/fare/versions/abc", 400, "Malformed request"),
        ("GET", "/v1/models/other/metadata", 404, "Servable not found for request"),
        ("GET", "/v1/models/..%2F..%2Fetc%2Fpasswd", 404, "any versions of model ../../etc/passwd"),
        ("POST", "/v1/models/..%2Ffare:predict", 404, "Latest(../fare)"),
        ("GET", "/v1/models/%00", 404, "Could not find any versions"),
        ("GET", "/v1/models/%ff%fe", 404, "Could not find any versions"),
        ("GET", "/v2/health", 404, "Malformed request: GET /v2/health"),
    ],
)
def test_a_wrong_path_gets_its_status_and_an_error(
    http: httpx.Client, method: str, path: str, status: int, error: str
) -> None:
    response = http.request(method, path, json={"instances": ROWS} if method == "POST" else None)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert error in response.json()["error"]


def test_a_path_with_dots_reaches_no_file(server: ModelServer) -> None:
    address = urlsplit(server.rest_url)
    with socket.create_connection((address.hostname, address.port)) as raw:
        raw.sendall(b"GET /v1/models/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"instances": [{"x": "1", "n": 2, "s": "a"}]}, "is not of expected type: float"),
        ({"instances": ROWS, "signature_name": "nope"}, 'name: "nope" not found in signature def'),
        ({"instances": ROWS, "signature_name": "__saved_model_init_op"}, "not found in signature"),
        ({"inputs": {"x": [1.0, 2.0], "n": [1, 2, 3], "s": ["a"]}}, "Incompatible shapes"),
        ({"signature_name": "total", "instances": [1.0, 2.0]}, "has no shape information"),
    ],
)
def test_a_request_that_does_not_fit_is_400(
    http: httpx.Client, body: dict[str, Any], error: str
) -> None:
    response = http.post("/v1/models/fare:predict", json=body)
    assert response.status_code == 400
    assert error in response.json()["error"]


def test_a_body_over_the_limit_is_413(http: httpx.Client) -> None:
    body = b" " * 100_001
    assert http.post("/v1/models/fare:predict", content=body).status_code == 413
    chunks = (body[start : start + 1000] for start in range(0, len(body), 1000))
    response = http.post("/v1/models/fare:predict", content=chunks)
    assert response.status_code == 413
    assert "100000 bytes" in response.json()["error"]
    assert http.post("/v1/models/double:predict", json={"instances": [1]}).status_code == 200


def test_a_slow_model_holds_up_no_other_request(
    saved_models: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("slow", "double"):
        export_version(saved_models[name], tmp_path / name, 1)
    bases = {name: tmp_path / name for name in ("slow", "double")}
    with (
        ModelServer(bases, rest_port=0, grpc_port=0, threads=4) as running,
        httpx.Client(base_url=running.rest_url, trust_env=False, timeout=60) as http,
        ThreadPoolExecutor(1) as thread,
    ):
        running.wait_until_available(60)
        turns = {"instances": [200_000]}
        slow = thread.submit(http.post, "/v1/models/slow:predict", json=turns)
        live = running._manager.models["slow"].live()
        assert live is not None
        while not (live.in_flight or slow.done()):
            time.sleep(0.002)
        answer = http.post("/v1/models/double:predict", json={"instances": [1]})
        assert not slow.done()
        assert answer.json() == {"predictions": [2.0]}
        assert slow.result().json() == {"predictions": [200_000]}
