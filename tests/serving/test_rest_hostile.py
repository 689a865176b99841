"""Requests that no friend sends, to the function behind the REST port and to the port itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.export import export_version
from serving.model_config import ModelConfig
from serving.model_server import ModelServer
from serving.model_server.invocations import answer_as_mlflow
from serving.model_server.manager import ModelManager
from serving.model_server.rest_api import Answer, handle

HOST = b"Host: x\r\n"


@pytest.fixture(scope="module")
def port(server: ModelServer) -> tuple[str, int]:
    address = urlsplit(server.rest_url)
    return str(address.hostname), int(address.port or 0)


@pytest.fixture(scope="module")
def manager(
    saved_models: dict[str, Path],
    example_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModelManager]:
    """Three models, which are asked without a port."""
    root = tmp_path_factory.mktemp("hostile")
    sources = {
        "fare": saved_models["fare"],
        "double": saved_models["double"],
        "classifier": example_models["classifier"],
    }
    for name, source in sources.items():
        export_version(source, root / name, 1)
    running = ModelManager(ModelConfig(name, str(root / name)) for name in sources)
    running.start()
    assert running.wait_until_available(60) == []
    yield running
    running.close()


def talk(port: tuple[str, int], *pieces: bytes, until: int = 1) -> list[tuple[int, bytes]]:
    """Send bytes over a new connection; the status and body of each answer, up to a number."""
    with connected(port) as (connection, stream):
        for piece in pieces:
            connection.sendall(piece)
        answers = (read_answer(stream) for _ in range(until))
        return [answer for answer in answers if answer is not None]


@contextmanager
def connected(port: tuple[str, int]) -> Iterator[tuple[socket.socket, BinaryIO]]:
    with (
        socket.create_connection(port, timeout=30) as connection,
        connection.makefile("rb") as stream,
    ):
        yield connection, stream


def read_answer(stream: BinaryIO) -> tuple[int, bytes] | None:
    line = stream.readline()
    if not line:
        return None
    length = 0
    while (header := stream.readline().strip().lower()) != b"":
        if header.startswith(b"content-length:"):
            length = int(header.split(b":")[1])
    return int(line.split()[1]), stream.read(length)


def post(body: bytes, headers: bytes = b"", path: bytes = b"/v1/models/double:predict") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %b HTTP/1.1\r\n%b%b%b\r\n%b" % (path, HOST, length, headers, body)


GOOD = b'{"instances": [1.5]}'
ANSWER = (200, b'{"predictions":[3.0]}')


def test_one_connection_carries_many_requests_even_at_once(port: tuple[str, int]) -> None:
    bad = post(b"{")
    answers = talk(port, (post(GOOD) + bad) * 5, until=10)
    assert answers[::2] == [ANSWER] * 5
    assert [status for status, _ in answers[1::2]] == [400] * 5


def test_a_body_in_chunks_is_read(port: tuple[str, int]) -> None:
    head = (
        b"POST /v1/models/double:predict HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (GOOD[:3], GOOD[3:9], GOOD[9:])]
    assert talk(port, head, *chunks, b"0\r\n\r\n") == [ANSWER]
    assert [status for status, _ in talk(port, head, b"nonsense\r\n")] == [400]


def test_a_client_may_wait_before_it_sends_the_body(port: tuple[str, int]) -> None:
    request = post(GOOD, b"Expect: 100-continue\r\n")
    head, body = request.split(b"\r\n\r\n")
    with socket.create_connection(port, timeout=10) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_body_that_is_too_large_is_not_even_asked_for(port: tuple[str, int]) -> None:
    head = b"POST /v1/models/double:predict HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n"
    assert talk(port, head + b"Content-Length: 100001\r\n\r\n")[0][0] == 413


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /v1/models/double:predict HTTP/1.1\r\nContent-Length: 50\r\nHost: x\r\n\r\n" + GOOD,
        b"POST /v1/models/double:predict HTTP/1.1\r\nContent-Length: -5\r\nHost: x\r\n\r\n",
        b"POST /v1/models/double:predict HTTP/1.1\r\nContent-Length: 1x\r\nHost: x\r\n\r\n",
        b"\x00\x01\x02\x03" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/models/double HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/models/%00%ff%2e%2e%2f HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/models/\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_a_broken_request_is_no_fault_of_the_server(
    port: tuple[str, int], request_bytes: bytes
) -> None:
    with socket.create_connection(port, timeout=10) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(100)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert talk(port, post(GOOD)) == [ANSWER]


HUGE = [
    b"[" * 100_000,
    b'{"instances": ' + b"[" * 90_000,
    b'{"instances": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"instances": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    b'{"instances": [' + b"9" * 90_000 + b"]}",
    b'{"instances": [NaN, ' + b"9" * 90_000 + b"]}",
    b'{"instances": [1e400]}',
    b'{"instances": [NaN, 1e400]}',
    b'{"instances": [-1e400, Infinity]}',
    b'{"instances": ["\\ud800"]}',
    b'{"instances": ["\xff\xfe"]}',
    b'{"instances": [[' + b"[]," * 20_000 + b"[]]]}",
    b'{"instances": [' + b"{}," * 20_000 + b"{}]}",
    b'{"inputs": {"x": {"b64": {"b64": "AA=="}}}}',
    b'{"signature_name": "\\ud800\\udc00", "instances": [1]}',
    b'{"signature_name": "' + b"a" * 50_000 + b'", "instances": [1]}',
    b'{"examples": [{"x": ' + b"[" * 500 + b"]" * 500 + b"}]}",
    b'{"examples": [{"x": [1.0, NaN, -Infinity]}]}',
    b'{"examples": [{"": 1.0}]}',
    b'{"dataframe_split": {"columns": [["a"], {"b": 1}], "data": [[1, 2]]}}',
    b'{"dataframe_split": {"columns": ["x", "x"], "data": [[1, 2]]}}',
    b'{"dataframe_split": {"columns": ["x"], "data": [[1]], "index": [[1, 2], 3]}}',
    b'{"dataframe_records": [{"x": {"a": 1}}, 7, null]}',
    b'{"inputs": {"x": [[1], 2]}}',
    b'{"inputs": {"n": 99999999999999999999, "x": 1}}',
    b'{"instances": null}',
    b"x," + b"a," * 20_000 + b"\n" + b"1," * 20_000,
    b'"x\n1\n',
    b"x\n1,2\n3\n",
]


def ask_everywhere(manager: ModelManager, body: bytes) -> list[Answer]:
    paths = ("fare:predict", "double:predict", "classifier:classify", "classifier:regress")
    answers = [handle(manager, "POST", f"/v1/models/{path}", body) for path in paths]
    for name, kind in (("fare", "application/json"), ("double", "text/csv")):
        answers.append(answer_as_mlflow(manager, "POST", f"/invocations/{name}", body, kind))
    return answers


def check(answers: list[Answer]) -> None:
    for answer in answers:
        assert answer.status in (200, 400), answer
        assert len(answer.body) < 3000 or answer.status == 200
        json.loads(answer.body)


@pytest.mark.parametrize("body", HUGE, ids=range(len(HUGE)))
def test_no_huge_or_odd_body_is_a_fault_of_the_server(manager: ModelManager, body: bytes) -> None:
    check(ask_everywhere(manager, body))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**24, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**400])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([{"b64": "YQ=="}, {"b64": "*"}, {"b64": 1}, "\ud800", "NaN"])
)
KEYS = ["x", "n", "s", "b64", "data", "columns", "index", "a"]
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=10,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "x": SCALARS | st.floats(width=32),
            "n": SCALARS | st.integers(0, 9),
            "s": SCALARS,
        },
    )
    | VALUES,
    max_size=4,
)
TOP = ["instances", "inputs", "examples", "context", "dataframe_records", "dataframe_split"]
DOCUMENTS = st.dictionaries(
    st.sampled_from([*TOP, "signature_name", "params"]),
    VALUES | ROWS | st.sampled_from(["raw", "total", "scores", "labels", "serving_default"]),
    max_size=3,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """JSON, and JSON with bytes cut off, changed or put in."""
    body = json.dumps(draw(DOCUMENTS), ensure_ascii=draw(st.booleans())).encode(
        "utf-8", "surrogatepass"
    )
    if draw(st.integers(0, 3)):
        return body
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.binary(max_size=4)) + body[draw(st.integers(at, len(body))) :]


def test_no_body_is_a_fault_of_the_server(manager: ModelManager) -> None:
    @given(body=bodies())
    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    def ask(body: bytes) -> None:
        check(ask_everywhere(manager, body))

    ask()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_none_of_ten_thousand_bodies_is_a_fault_of_the_server(manager: ModelManager) -> None:
    @given(body=bodies())
    @settings(max_examples=10_000, deadline=None, derandomize=True, database=None)
    def ask(body: bytes) -> None:
        check(ask_everywhere(manager, body))

    ask()


def test_no_body_ends_the_server(port: tuple[str, int]) -> None:
    with connected(port) as (connection, stream):

        @given(body=bodies(), model=st.sampled_from([b"fare", b"double", b"keras"]))
        @settings(max_examples=100, deadline=None, derandomize=True, database=None)
        def ask(body: bytes, model: bytes) -> None:
            connection.sendall(post(body, path=b"/v1/models/%b:predict" % model))
            answer = read_answer(stream)
            assert answer is not None
            assert answer[0] in (200, 400), answer
            json.loads(answer[1])

        ask()
    assert talk(port, post(GOOD)) == [ANSWER]
