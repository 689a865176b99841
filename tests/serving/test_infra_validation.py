"""InfraBlessing: a real server process that passes, fails, and cannot be judged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import psutil
import pytest
from tests.docker_engine import IMAGE, run_engine

from mlproject.sections import InfraSection
from serving.infra_validation import (
    InfraBlessing,
    TrialRequest,
    over_budget,
    validate_infra,
)
from serving.model_server import ModelServer
from serving.trial.compare import difference
from serving.trial.docker import find_image
from serving.trial.local import LocalServer
from serving.trial.page import infra_page

SOURCE = Path(__file__).parents[2] / "src"
FARE = {
    "x": np.array([1.5], np.float32),
    "n": np.array([2], np.int64),
    "s": np.array([b"\xc3\xa9t\xc3\xa9"], object),
}


def no_note(text: str) -> None:
    """Takes no notice."""


def trial(
    model: Path,
    *requests: dict[str, np.ndarray],
    note: Callable[[str], None] = no_note,
    **section: Any,
) -> InfraBlessing:
    wanted = InfraSection(**{"server": "local", "requests": 10, **section})
    blessing = validate_infra(TrialRequest(model, "fare", requests, wanted), note)
    assert not servers(), "a server was left behind"
    return blessing


def servers() -> list[psutil.Process]:
    """The running servers of trials that this process started."""
    found = psutil.Process().children(recursive=True)
    return [p for p in found if p.is_running() and "serving.trial.process" in p.cmdline()]


@pytest.fixture(scope="session")
def odd_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models that load and must not be served.

    random: x -> another number at each call.
    hungry: n int64 -> n, through 4 n bytes of memory.
    """
    import tensorflow as tf

    root = tmp_path_factory.mktemp("odd-models")

    class Random(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def call(self, x):
            return {"predictions": x + tf.random.uniform(tf.shape(x))}

    class Hungry(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="n")])
        def call(self, n):
            much = tf.ones([tf.reduce_max(n)], tf.float32) * tf.cast(n[0], tf.float32)
            return {"predictions": tf.cast(n, tf.float32) + tf.reduce_sum(tf.sort(much)) * 0}

    for name, module in (("random", Random()), ("hungry", Hungry())):
        tf.saved_model.save(module, str(root / name), signatures=module.call)
    return {path.name: path for path in root.iterdir()}


def test_a_model_that_answers_as_in_a_session_is_blessed(saved_models: dict[str, Path]) -> None:
    many = {name: np.repeat(array, 3) for name, array in FARE.items()}
    notes: list[str] = []
    blessing = trial(saved_models["fare"], FARE, many, note=notes.append)
    assert blessing.verdict == "INFRA_BLESSED", blessing
    assert blessing.reasons[0].startswith("2 requests over REST and gRPC answered by the local")
    measured = blessing.measurements
    assert 0 < measured["rest_p50_ms"] <= measured["rest_p95_ms"] < 5000
    assert 0 < measured["grpc_p50_ms"] <= measured["grpc_p95_ms"] < 5000
    assert 50 < measured["memory_mb"] < 4096
    assert 0 < measured["start_s"] < 120
    assert "the local server answers after" in notes[0]
    page = infra_page(blessing, InfraSection())
    assert page.startswith("# INFRA_BLESSED\n")
    assert "| memory_mb |" in page
    assert json.loads(json.dumps(blessing.as_value()))["server"] == "local"


@pytest.mark.parametrize("name", ["rest_p95_ms", "grpc_p95_ms", "memory_mb", "start_s"])
def test_each_budget_is_held_by_its_own_measurement(name: str) -> None:
    section = InfraSection(max_latency_ms=10, max_memory_mb=10, max_start_s=10)
    within = {"rest_p95_ms": 10.0, "grpc_p95_ms": 10.0, "memory_mb": 10.0, "start_s": 10.0}
    assert over_budget(section, within) == []
    (reason,) = over_budget(section, {**within, name: 10.5})
    assert reason.startswith("10.5 ")
    assert reason.endswith(", 10 allowed")
    assert len(over_budget(section, {**within, name: float("nan")})) == 1


@pytest.mark.slow
def test_every_budget_that_is_passed_is_told_with_its_figure(
    saved_models: dict[str, Path],
) -> None:
    blessing = trial(saved_models["fare"], FARE, max_latency_ms=0.001)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert len(blessing.reasons) == 2
    assert "over REST, 0.001 allowed" in blessing.reasons[0]
    assert "over gRPC, 0.001 allowed" in blessing.reasons[1]
    assert "answers now" in blessing.log
    assert "    " + blessing.log.splitlines()[-1] in infra_page(blessing, InfraSection())


def test_a_model_that_does_not_load_is_not_blessed(saved_models: dict[str, Path]) -> None:
    blessing = trial(saved_models["broken"], FARE)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "the server did not load the model" in blessing.reasons[0]
    assert "did not load" in blessing.log


@pytest.mark.slow
def test_a_request_that_the_model_refuses_is_not_blessed(saved_models: dict[str, Path]) -> None:
    blessing = trial(saved_models["fare"], {"x": FARE["x"]})
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "REST status 400" in blessing.reasons[0]


@pytest.mark.slow
def test_answers_that_are_not_finite_are_not_blessed(saved_models: dict[str, Path]) -> None:
    lost = {**FARE, "x": np.array([np.nan], np.float32)}
    blessing = trial(saved_models["fare"], FARE, lost)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "request 2 of 2 over REST: the output 'score' is no finite number" in blessing.reasons[0]


@pytest.mark.slow  # `test_each_api_must_answer_as_a_session` asks a server that runs already
def test_answers_that_differ_from_a_session_s_are_not_blessed(odd_models: dict[str, Path]) -> None:
    blessing = trial(odd_models["random"], {"x": np.array([1.0, 2.0], np.float32)})
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "the output 'predictions' is" in blessing.reasons[0]
    assert "in a Session" in blessing.reasons[0]


@pytest.mark.parametrize(
    ("asker", "said"), [("grpc_asker.GrpcAsker", "over gRPC"), ("rest.RestAsker", "over REST")]
)
def test_each_api_must_answer_as_a_session(
    saved_models: dict[str, Path],
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    asker: str,
    said: str,
) -> None:
    running = MagicMock(kind="local", rest_url=server.rest_url, grpc_address=server.grpc_address)
    running.death.return_value, running.memory_mb.return_value = None, 1.0
    monkeypatch.setattr("serving.infra_validation.choose_server", lambda *_: running)
    assert trial(saved_models["fare"], FARE).verdict == "INFRA_BLESSED"
    answer = {"score": [3.6], "greeting": ["\u00e9t\u00e9!"]}
    monkeypatch.setattr(f"serving.trial.{asker}.ask", lambda *_: answer)
    blessing = trial(saved_models["fare"], FARE)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert f"request 1 of 1 {said}: the output 'score' is 3.6, and 3.5" in blessing.reasons[0]


@pytest.mark.slow
def test_a_server_that_takes_too_much_memory_is_stopped(odd_models: dict[str, Path]) -> None:
    huge = {"n": np.array([1_000_000_000], np.int64)}  # 4 GB
    blessing = trial(odd_models["hungry"], huge, max_memory_mb=900)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "it was stopped, since it took more than 900 MiB" in blessing.reasons[0]


def test_a_server_that_takes_too_much_memory_while_it_starts_is_stopped(
    saved_models: dict[str, Path],
) -> None:
    blessing = trial(saved_models["fare"], FARE, max_memory_mb=25)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "it was stopped, since it took more than 25 MiB" in blessing.reasons[0]


def test_a_server_that_dies_is_not_blessed(saved_models: dict[str, Path]) -> None:
    def kill(text: str) -> None:
        for process in servers():
            process.send_signal(signal.SIGKILL)
            with suppress(psutil.NoSuchProcess):  # the trial may have seen its end already
                while process.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.01)

    blessing = trial(saved_models["fare"], FARE, note=kill)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "no answer over REST" in blessing.reasons[0]
    assert "it died of signal SIGKILL" in blessing.reasons[0]


@pytest.mark.slow
def test_a_model_that_hangs_is_not_blessed(
    saved_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.trial.rest.REQUEST_TIMEOUT_S", 1.0)
    monkeypatch.setattr("serving.trial.local.STOP_S", 1.0)
    blessing = trial(saved_models["slow"], {"n": np.array([10**12], np.int64)})
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "no answer over REST within 1 s" in blessing.reasons[0]


def test_a_server_that_does_not_start_in_its_time_is_not_blessed(
    saved_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.trial.local.STOP_S", 0.1)
    blessing = trial(saved_models["fare"], FARE, max_start_s=0.2)
    assert blessing.verdict == "INFRA_NOT_BLESSED"
    assert "0.2 s" in blessing.reasons[0]


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
def test_a_machine_that_can_start_no_server_is_not_validated(
    saved_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr("serving.trial.local.sys.executable", program)
    blessing = trial(saved_models["fare"], FARE)
    assert blessing.verdict == "NOT_VALIDATED"
    assert "could be started" in blessing.reasons[0] or "did not start" in blessing.reasons[0]


def test_without_anything_to_ask_nothing_is_validated(saved_models: dict[str, Path]) -> None:
    blessing = trial(saved_models["fare"])
    assert blessing.verdict == "NOT_VALIDATED"
    assert "no warm-up requests" in blessing.reasons[0]


@pytest.mark.slow
def test_docker_that_cannot_be_had_is_not_validated_and_auto_takes_the_local_server(
    saved_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    asked = trial(saved_models["fare"], FARE, server="docker")
    assert asked.verdict == "NOT_VALIDATED"
    assert asked.reasons[0].startswith("infra_validation.server is docker, but")
    notes: list[str] = []
    auto = trial(saved_models["fare"], FARE, server="auto", note=notes.append)
    assert auto.verdict == "INFRA_BLESSED"
    assert auto.server == "local"
    assert notes[0].startswith("the local server tries the model: ")


def test_an_interrupt_stops_the_server(
    saved_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        assert servers()
        raise KeyboardInterrupt

    # While it starts: a server that answers already costs seconds of TensorFlow more.
    monkeypatch.setattr(LocalServer, "wait_for_addresses", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trial(saved_models["fare"], FARE)
    assert not servers()


@pytest.mark.slow
def test_a_server_ends_with_a_starter_that_is_killed(
    saved_models: dict[str, Path], tmp_path: Path
) -> None:
    code = f"""
        import sys, time
        sys.path.insert(0, {str(SOURCE)!r})
        from pathlib import Path
        from serving.trial.local import LocalServer
        with LocalServer(Path({str(saved_models["fare"])!r}), "fare", 4096) as server:
            server.wait_for_addresses(60)
            print(server.pid, server.rest_url, flush=True)
            time.sleep(60)
    """
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid, url = starter.stdout.readline().split()
    assert url.startswith("http://127.0.0.1:")
    server = psutil.Process(int(pid))
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 20
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server outlived its starter"
        time.sleep(0.1)


def test_the_server_process_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    code = """
        import os, sys
        read, write = os.pipe()
        os.dup2(read, 0)  # standard input that stays open
        sys.argv = ["x", "--model_name=m", f"--model_base_path={sys.argv[1]}", "--port=auto",
                    "--rest_api_port=auto"]
        import serving.model_server.program as program
        import serving.trial.process as process
        def tell(*_):  # the server answers by now
            heavy = ("keras", "tf_keras", "tensorflow_transform", "mlflow", "prefect", "pandas",
                     "pyarrow", "apache_beam", "matplotlib", "sklearn")
            loaded = [name for name in heavy if sys.modules.get(name) is not None]
            print("loaded:", loaded, "tensorflow" in sys.modules, flush=True)
            os._exit(0)
        program.StopSignals.wait = tell
        process.main()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        timeout=120,
    )
    assert "loaded: [] True" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([[0.5], [0.25]], None),
        ([[0.500001], [0.25]], None),
        ([[0.51], [0.25]], "is 0.51, and 0.5 in a Session"),
        ([[0.5], [float("nan")]], "is no finite number"),
        ([0.5, 0.25], "has the shape (2,), and (2, 1) in a Session"),
        ([[0.5]], "has the shape (1, 1)"),
        ([["a"], ["b"]], "which are no numbers"),
        ([[0.5], []], "which are no numbers"),
        (None, "is missing"),
    ],
)
def test_an_output_must_be_that_of_a_session(found: Any, said: str | None) -> None:
    wrong = difference(found, np.array([[0.5], [0.25]], np.float32))
    assert wrong == said if said is None else said in (wrong or "")


def test_large_outputs_are_compared_relative_to_their_size() -> None:
    wanted = np.array([1e6], np.float32)
    assert difference([1e6 + 5], wanted) is None
    assert difference([1e6 + 50], wanted) is not None


@pytest.fixture
def docker_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An engine with a stand-in for TensorFlow Serving's image."""
    for address in run_engine():
        monkeypatch.setenv("DOCKER_HOST", address)
        yield address


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.usefixtures("docker_host")
def test_a_container_tries_the_model(saved_models: dict[str, Path]) -> None:
    assert find_image() == (IMAGE, "")
    blessing = trial(saved_models["fare"], FARE, server="docker")
    assert blessing.verdict == "INFRA_BLESSED", blessing
    assert blessing.server == "docker"
    broken = trial(saved_models["broken"], FARE, server="docker", max_start_s=20)
    assert broken.verdict == "INFRA_NOT_BLESSED"
    left = subprocess.run(
        ["docker", "ps", "-a", "-q", "--filter", "name=benison-trial-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout == ""
