"""/invocations beside the scoring server of MLflow itself: the same rows, the same answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.export import export_version
from serving.model_server import ModelServer

COLUMNS = {
    "x": "float",
    "n": "int",
    "s": "string",
    "tags": "string list",
    "floats": "float list",
    "square": "float list",
}
FULL = {
    "x": 0.1,
    "n": 7,
    "s": "a",
    "tags": ["p", "q"],
    "floats": [1.5],
    "square": [[1.0, 2.0], [3.0, 4.5]],
}


class MlflowApp:
    """Asks MLflow's application without a port."""

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app)

    def request(self, method: str, path: str, **content: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://mlflow", trust_env=False
            ) as client:
                return await client.request(method, path, **content)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self.request("POST", path, **content)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    class Rows(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.float32, name="x"),
                tf.TensorSpec([None], tf.int64, name="n"),
                tf.TensorSpec([None], tf.string, name="s"),
                tf.TensorSpec([None, None], tf.string, name="tags"),
                tf.TensorSpec([None, None], tf.float32, name="floats"),
                tf.TensorSpec([None, 2, 2], tf.float32, name="square"),
            ]
        )
        def rows(
            self, x: Any, n: Any, s: Any, tags: Any, floats: Any, square: Any
        ) -> dict[str, Any]:
            here = tf.logical_not(tf.math.is_nan(floats))
            return {
                "x": x[:, None],
                "n": n,
                "s": tf.strings.join([s, "!"]),
                "tags": tf.strings.reduce_join(tags, axis=1, separator="|"),
                "floats": tf.reduce_sum(tf.where(here, floats, 0.0), axis=1),
                "square": square[:, 1, :],
            }

    module, folder = Rows(), tmp_path_factory.mktemp("rows") / "saved_model"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.rows})
    return folder


@pytest.fixture(scope="module")
def mlflow_app(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The application that `mlflow models serve` runs, with the flavour of a registered model."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import scoring_server
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    import mlproject.pyfunc_model

    folder = tmp_path_factory.mktemp("flavour") / "model"
    columns = {name: "string" if kind == "string" else AnyType() for name, kind in COLUMNS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder.parent}/mlflow.db")
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(Path(mlproject.pyfunc_model.__file__)),
            artifacts={"saved_model": saved_model.as_uri()},
            signature=ModelSignature(
                inputs=Schema([ColSpec(t, name, required=False) for name, t in columns.items()])
            ),
            pip_requirements=["mlflow"],
        )
        app = scoring_server.init(mlflow.pyfunc.load_model(str(folder)))
        yield MlflowApp(app)


@pytest.fixture(scope="module")
def http(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    base = tmp_path_factory.mktemp("served") / "rows"
    export_version(saved_model, base, 1)
    with ModelServer({"rows": base}, rest_port=0, grpc_port=0, max_request_bytes=100_000) as server:
        server.wait_until_available(60)
        with httpx.Client(base_url=server.rest_url, trust_env=False) as client:
            yield client


SAME = [
    {"dataframe_records": [FULL]},
    {"dataframe_records": [FULL, {"square": [1, 2, 3, 4]}]},
    {"dataframe_records": [{**FULL, "x": None, "n": None, "s": None, "tags": None}, FULL]},
    {"dataframe_records": [{**FULL, "unknown": 1, "floats": [1, 2, 3]}, FULL]},
    {"dataframe_records": [{**FULL, "s": 7}, {**FULL, "n": 2**53}]},
    {"dataframe_records": [{**FULL, "x": 3e38}, {**FULL, "x": 3}]},
    {"dataframe_split": {"columns": list(FULL), "data": [list(FULL.values())] * 2}},
    {"dataframe_split": {"columns": ["square"], "data": [[[1, 2, 3, 4]]], "index": [5]}},
    {"instances": [FULL, FULL]},
    {"inputs": {"square": [[1, 2, 3, 4]] * 2, "x": [0.5, 0.25], "n": [1, 2]}},
    {"dataframe_records": [FULL], "params": {"a": 1}},
    {"dataframe_records": [FULL], "other": 1},
]


@pytest.mark.parametrize("body", SAME, ids=range(len(SAME)))
def test_the_same_rows_get_the_same_answer(
    http: httpx.Client, mlflow_app: Any, body: dict[str, Any]
) -> None:
    ours = http.post("/invocations", json=body)
    theirs = mlflow_app.post("/invocations", json=body)
    assert (ours.status_code, theirs.status_code) == (200, 200), (ours.text, theirs.text)
    # As text: NaN is not equal to itself.
    ordered = [json.dumps(answer.json(), sort_keys=True) for answer in (ours, theirs)]
    assert ordered[0] == ordered[1]
    assert ours.headers["content-type"] == theirs.headers["content-type"]


REFUSED: list[tuple[str | bytes, str]] = [
    ("", "application/json"),
    ("{", "application/json"),
    (b"\xff", "application/json"),
    ("[]", "application/json"),
    ("1", "application/json"),
    ("{}", "application/json"),
    ('{"instances": [1], "inputs": [1]}', "application/json"),
    ('{"dataframe_records": {"a": 1}}', "application/json"),
    ('{"dataframe_records": 1}', "application/json"),
    ('{"dataframe_split": []}', "application/json"),
    ('{"dataframe_split": {"columns": ["x"]}}', "application/json"),
    ('{"dataframe_split": {"columns": ["x"], "data": [[1, 2]]}}', "application/json"),
    ('{"dataframe_split": {"columns": ["x"], "data": [[1]], "more": 1}}', "application/json"),
    (json.dumps({"dataframe_records": [{**FULL, "x": "a"}]}), "application/json"),
    (json.dumps({"dataframe_records": [{**FULL, "n": 1.5}]}), "application/json"),
    (json.dumps({"dataframe_records": [{**FULL, "square": [1, 2]}]}), "application/json"),
    (json.dumps({"dataframe_records": [{**FULL, "floats": [1, None]}]}), "application/json"),
    (json.dumps({"dataframe_records": [{**FULL, "tags": "p"}]}), "application/json"),
    (json.dumps({"dataframe_records": [{"x": 1}]}), "application/json"),
    ("", "text/csv"),
    ("{}", "application/xml"),
    ("{}", "text/plain; charset=utf-8"),
    ("{}", "application/json; charset=latin-1"),
    ("{}", "application/json; version=1"),
]


@pytest.mark.parametrize(("body", "content_type"), REFUSED, ids=range(len(REFUSED)))
def test_what_mlflow_refuses_is_refused_with_its_status_and_code(
    http: httpx.Client, mlflow_app: Any, body: str | bytes, content_type: str
) -> None:
    headers = {"content-type": content_type}
    ours = http.post("/invocations", content=body, headers=headers)
    theirs = mlflow_app.post("/invocations", content=body, headers=headers)
    assert ours.status_code == theirs.status_code, (ours.text, theirs.text[:300])
    assert ours.status_code in (400, 415)
    if ours.status_code == 400:
        assert ours.json()["error_code"] == theirs.json()["error_code"]
        assert ours.json()["message"]
    else:
        assert ours.headers["content-type"].startswith("text/plain")


def test_what_a_csv_row_leaves_out_is_named(http: httpx.Client) -> None:
    text = "x,n,s\n0.5,7,007\n,,\n"
    response = http.post("/invocations", content=text, headers={"content-type": "text/csv"})
    assert response.status_code == 400  # `square` cannot be left out
    assert "Column 'square' must hold lists of 4 values" in response.json()["message"]


def test_bytes_are_base64(http: httpx.Client) -> None:
    rows = [{**FULL, "s": {"b64": "Yg=="}}]
    response = http.post("/invocations", json={"instances": rows})
    assert response.json()["predictions"][0]["s"] == "YiE=\n"  # b"b!"


@pytest.mark.parametrize(("path", "status"), [("/invocations/rows", 200), ("/invocations/x", 404)])
def test_a_model_may_be_named(http: httpx.Client, path: str, status: int) -> None:
    response = http.post(path, json={"dataframe_records": [FULL]})
    assert response.status_code == status
    if status == 404:
        assert response.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_with_several_models_one_has_to_be_named(
    saved_models: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("double", "keras"):
        export_version(saved_models[name], tmp_path / name, 1)
    names = {name: tmp_path / name for name in ("double", "keras")}
    with ModelServer(names, rest_port=0, grpc_port=0) as server:
        server.wait_until_available(60)
        with httpx.Client(base_url=server.rest_url, trust_env=False) as client:
            refused = client.post("/invocations", json={"instances": [1.5]})
            assert refused.status_code == 400
            assert "['double', 'keras']" in refused.json()["message"]
            double = client.post("/invocations/double", json={"instances": [1.5]})
            assert double.json() == {"predictions": [{"y": 3.0}]}
            text = "x\n1.5\n2\n"
            headers = {"content-type": "text/csv"}
            rows = client.post("/invocations/double", content=text, headers=headers)
            assert rows.json() == {"predictions": [{"y": 3.0}, {"y": 4.0}]}
            keras = client.post("/invocations/keras", json={"inputs": [[1, 2, 3]]})
            assert next(iter(keras.json()["predictions"][0].values())) == pytest.approx(
                client.post("/v1/models/keras:predict", json={"instances": [[1, 2, 3]]}).json()[
                    "predictions"
                ][0][0]
            )


def test_health_and_version_are_those_of_mlflow(http: httpx.Client, mlflow_app: Any) -> None:
    for path in ("/ping", "/health", "/version"):
        ours, theirs = http.get(path), mlflow_app.get(path)
        assert (ours.status_code, ours.text) == (theirs.status_code, theirs.text)
        assert ours.headers["content-type"] == theirs.headers["content-type"]
        assert http.post(path).status_code == 405
    assert http.get("/invocations").status_code == 405
    assert http.get("/pingpong").status_code == 404


def test_a_server_whose_model_does_not_load_is_not_healthy(tmp_path: Path) -> None:
    with ModelServer({"absent": tmp_path / "absent"}, rest_port=0, grpc_port=0) as server:
        assert httpx.get(f"{server.rest_url}/health", trust_env=False).status_code == 503
        asked = httpx.post(
            f"{server.rest_url}/invocations", json={"instances": [1]}, trust_env=False
        )
        assert (asked.status_code, asked.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
