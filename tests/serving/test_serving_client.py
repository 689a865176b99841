from __future__ import annotations

import math
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from mlproject.errors import ServingError
from serving import client
from serving.client import ROWS_PER_REQUEST, InputSpec, input_specs, predict_rest
from serving.export import export_version
from serving.model_server import ModelServer


@pytest.fixture
def web_server() -> Iterator[tuple[str, dict[str, Any]]]:
    """A web server that is no model server: it answers what the test puts into `answer`."""
    answer: dict[str, Any] = {"status": 200, "body": b"<html>hello</html>", "wait_s": 0}
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release.wait(answer["wait_s"])
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(answer["body"])))
            self.end_headers()
            self.wfile.write(answer["body"])

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", answer
    release.set()
    http.shutdown()
    thread.join()
    http.server_close()


def test_rows_are_completed_converted_and_predicted(server: ModelServer) -> None:
    rows = [{"x": 1, "n": "2", "s": "a"}, {"n": 1.0}]
    first, second = predict_rest(server.rest_url, "fare", rows)
    assert first == {"score": 3.0, "greeting": "a!"}
    assert math.isnan(second["score"])
    assert second["greeting"] == "!"


def test_a_missing_integer_arrives_as_the_smallest_int64(server: ModelServer) -> None:
    [prediction] = predict_rest(server.rest_url, "fare", [{"x": 0.0}])
    assert prediction["score"] == pytest.approx(-(2.0**63), rel=1e-6)


def test_many_rows_go_in_several_requests_and_stay_in_order(server: ModelServer) -> None:
    count = 2 * ROWS_PER_REQUEST + 1
    rows = [{"x": float(number)} for number in range(count)]
    assert predict_rest(server.rest_url, "double", rows) == [2.0 * n for n in range(count)]


@pytest.fixture(scope="module")
def lists_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of `lists`: any `[batch, n]` float32, two `[batch, 2]` int64, raw `[batch]` string
    -> count of the numbers in `any`, sum of `two`, length of `raw`, and n.
    """
    import tensorflow as tf

    class Lists(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.float32, name="any"),
                tf.TensorSpec([None, 2], tf.int64, name="two"),
                tf.TensorSpec([None], tf.string, name="raw"),
            ]
        )
        def measure(self, any, two, raw):
            numbers = tf.cast(tf.logical_not(tf.math.is_nan(any)), tf.int64)
            return {
                "count": tf.reduce_sum(numbers, axis=1),
                "sum": tf.reduce_sum(two, axis=1),
                "length": tf.strings.length(raw),
                "width": tf.zeros_like(two[:, 0]) + tf.shape(any, tf.int64)[1],
            }

    root = tmp_path_factory.mktemp("lists")
    module = Lists()
    tf.saved_model.save(module, str(root / "saved"), signatures=module.measure)
    export_version(root / "saved", root / "lists", 1)
    with ModelServer({"lists": root / "lists"}, rest_port=0, grpc_port=0) as running:
        running.wait_until_available(60)
        yield running.rest_url


def test_lists_and_bytes_are_sent_and_filled_up(lists_url: str) -> None:
    rows = [
        {"any": [1.0, 2.0], "two": [3, 4], "raw": b"\xff\x00\x00"},
        {"any": (0.5,), "two": "[1, 1]", "raw": {"b64": "YWI="}},
        {"two": np.array([-1, 1])},
    ]
    assert predict_rest(lists_url, "lists", rows) == [
        {"count": 2, "sum": 7, "length": 3, "width": 2},
        {"count": 1, "sum": 2, "length": 2, "width": 2},
        {"count": 0, "sum": 0, "length": 0, "width": 2},
    ]
    [alone] = predict_rest(lists_url, "lists", rows[2:])
    assert alone == {"count": 0, "sum": 0, "length": 0, "width": 1}


def test_a_list_of_the_wrong_length_is_refused_before_it_is_sent(lists_url: str) -> None:
    rows = [{"two": [1, 2]}, {"two": [1, 2, 3]}]
    with pytest.raises(ServingError, match=r"Row 1 .*'two'.*3 values.*2 values") as caught:
        predict_rest(lists_url, "lists", rows)
    assert "status" not in str(caught.value)


def test_long_rows_go_in_requests_that_are_not_too_large(
    lists_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, Any]] = [{"any": [1.0] * n, "two": [n, 0]} for n in (5, 1, 300, 2)]
    whole = predict_rest(lists_url, "lists", rows)
    sent = []
    monkeypatch.setattr(client, "CHARACTERS_PER_REQUEST", 2_500)
    request = client._request

    def counted(*args: Any) -> Any:
        sent.append(args[1])
        return request(*args)

    monkeypatch.setattr(client, "_request", counted)
    assert predict_rest(lists_url, "lists", rows) == whole
    assert [answer["sum"] for answer in whole] == [5, 1, 300, 2]
    assert sent == ["GET", "POST", "POST", "POST", "POST"]
    monkeypatch.setattr(client, "CHARACTERS_PER_REQUEST", 3_500)
    sent.clear()
    assert predict_rest(lists_url, "lists", rows) == whole
    assert sent == ["GET", "POST", "POST"]


def test_no_rows_need_no_server() -> None:
    assert predict_rest("http://127.0.0.1:1", "fare", []) == []


def test_a_version_and_a_signature_can_be_chosen(server: ModelServer) -> None:
    rows = [{"s": b"\xff"}]
    [raw] = predict_rest(server.rest_url, "fare", rows, version=3, signature_name="raw")
    assert raw == {"b64": "/w=="}
    with pytest.raises(ServingError, match=r"status 404.*Specific\(fare, 9\)"):
        predict_rest(server.rest_url, "fare", rows, version=9)


def test_an_unknown_feature_is_refused_with_its_row(server: ModelServer) -> None:
    with pytest.raises(ServingError, match=r"Row 1 has a feature .*'xs'"):
        predict_rest(server.rest_url, "fare", [{"x": 1.0}, {"xs": 1.0}])


def test_an_unknown_signature_gets_the_closest_name(server: ModelServer) -> None:
    with pytest.raises(ServingError, match=r"did you mean 'total'\?"):
        predict_rest(server.rest_url, "fare", [{}], signature_name="totals")


@pytest.mark.parametrize("model", ["other", "../fare", "fare:predict"])
def test_an_unknown_model_gives_the_servers_own_error(server: ModelServer, model: str) -> None:
    with pytest.raises(ServingError) as caught:
        predict_rest(server.rest_url, model, [{}])
    assert f"Servable not found for request: Latest({model})" in str(caught.value)


def test_what_the_model_refuses_gives_the_servers_own_error(server: ModelServer) -> None:
    with pytest.raises(ServingError, match="without loss of precision"):
        predict_rest(server.rest_url, "double", [{"x": 1e300}])


def test_a_server_that_is_not_there_is_named_with_the_command_to_start_one() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(ServingError) as caught:
        predict_rest(url, "fare", [{}])
    assert url in str(caught.value)
    assert "benison serve fare" in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8501", "ftp://x", "http://[", "http://\x00"])
def test_an_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ServingError):
        predict_rest(url, "fare", [{}])


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>hello</html>", "hello"),
        (200, b"[1]", "status 200"),
        (200, b"{}", "Reading the model's metadata failed"),
        (200, b'{"metadata": []}', "Reading the model's metadata failed"),
        (502, b"Bad Gateway", "status 502.*Bad Gateway"),
    ],
)
def test_another_kind_of_server_is_seen(
    web_server: tuple[str, dict[str, Any]], status: int, body: bytes, error: str
) -> None:
    url, answer = web_server
    answer.update(status=status, body=body)
    with pytest.raises(ServingError, match=error):
        predict_rest(url, "fare", [{}])


def test_a_server_that_hangs_is_given_up(web_server: tuple[str, dict[str, Any]]) -> None:
    url, answer = web_server
    answer["wait_s"] = 10
    with pytest.raises(ServingError, match="did not answer in time"):
        predict_rest(url, "fare", [{}], timeout_s=0.2)


def test_a_proxy_in_the_environment_does_not_stand_before_loopback(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert predict_rest(server.rest_url, "double", [{"x": 1.0}]) == [2.0]


def test_input_specs_read_types_and_shapes() -> None:
    def info(dtype: str, *sizes: int, unknown: bool = False) -> dict[str, Any]:
        dims = [{"size": str(size), "name": ""} for size in sizes]
        return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": unknown}}

    inputs = {
        "a": info("DT_FLOAT", -1),
        "b": info("DT_INT64", -1, 3),
        "c": info("DT_STRING", unknown=True),
    }
    metadata = {"metadata": {"signature_def": {"signature_def": {"s": {"inputs": inputs}}}}}
    assert input_specs(metadata, "s") == {
        "a": InputSpec("DT_FLOAT", ()),
        "b": InputSpec("DT_INT64", (3,)),
        "c": InputSpec("DT_STRING", None),
    }
