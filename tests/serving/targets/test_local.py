"""The target `local` with real models in a real server: changes, deaths, refusals.

One server serves all tests of this file but two; each test deploys what it begins with.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import PlatformError, ServingError
from mlproject.sections import DeploymentSection
from serving.export import export_version
from serving.targets.base import TOKEN_VARIABLE, DeployedVersion, Deployment, Place, TargetStatus
from serving.targets.local import LocalTarget, open_target

FARE, PLUS, BROKEN, DOUBLE = 1, 2, 3, 4  # versions
ROW = {"x": 1.0, "n": 2, "s": "hi"}
ANSWERS = {FARE: 3.0, PLUS: 103.0}


@pytest.fixture(scope="module")
def base(saved_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported versions of the model `fare`."""
    folder = tmp_path_factory.mktemp("exported") / "fare"
    for number, name in ((FARE, "fare"), (PLUS, "fare_plus_100"), (DOUBLE, "double")):
        export_version(saved_models[name], folder, number)
    (folder / str(BROKEN)).mkdir()
    (folder / str(BROKEN) / "saved_model.pb").write_bytes(b"this is no model")
    return folder


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Lines of progress."""
    return []


@pytest.fixture(scope="module")
def target(
    base: Path, said: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalTarget]:
    """The target of a home, version 1 deployed."""
    place = Place(tmp_path_factory.mktemp("home"), environment(), said.append)
    target = open_target(place)
    try:
        target.deploy(deployment(base, FARE))
        yield target
    finally:
        target.stop("fare")


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in (TOKEN_VARIABLE, "COVERAGE_PROCESS")}
    return kept | more


def deployment(
    base: Path, default: int, *others: int, canary: int = 0, **section: Any
) -> Deployment:
    labels = {"stable": default} | ({"canary": canary} if canary else {})
    numbers = sorted({default, *others, *labels.values()})
    versions = tuple(DeployedVersion(n, base / str(n), "", ROW) for n in numbers)
    config = DeploymentSection.model_validate({"start_timeout_s": 120.0, **section})
    return Deployment("fare", versions, default, labels, config)


def ask(url: str, where: str = "", token: str = "") -> float:
    """The answer of a version; unlabelled and unnumbered by default."""
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    body = json.dumps({"instances": [ROW]}).encode()
    request = urllib.request.Request(f"{url}/v1/models/fare{where}:predict", body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return float(json.load(answer)["predictions"][0]["score"])


def state_of(target: LocalTarget) -> dict[str, Any]:
    file = target._place.folder("fare") / "state.json"
    return dict(json.loads(file.read_text()))


def await_status(target: LocalTarget, holds: Callable[[TargetStatus], bool]) -> TargetStatus:
    deadline = time.monotonic() + 90
    while not holds(status := target.status("fare")):
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    return status


@contextmanager
def requester(url: str) -> Iterator[list[float]]:
    """Asks all the time, each time over a new connection; errors are raised at the end."""
    answers: list[float] = []
    errors: list[Exception] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                answers.append(ask(url))
            except OSError as err:  # HTTPError is one too
                errors.append(err)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert errors == []


def test_what_is_deployed_answers_and_its_status_is_told(target: LocalTarget, base: Path) -> None:
    status = target.deploy(deployment(base, FARE, PLUS))
    assert (status.state, status.versions, status.default_version) == ("running", (1, 2), 1)
    assert status.labels == {"stable": 1}
    assert ask(status.rest_url) == ANSWERS[FARE]  # though version 2 is newer
    assert ask(status.rest_url, "/labels/stable") == ANSWERS[FARE]
    assert ask(status.rest_url, "/versions/2") == ANSWERS[PLUS]
    host, port = status.grpc_address.split(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    assert status.facts["pid"] == state_of(target)["server_pid"]
    log = target.logs("fare", 500)
    assert "supervisor: started the server" in log
    assert f"REST {status.rest_url}" in log
    assert len(target.logs("fare", 2).splitlines()) == 2


def test_no_request_fails_while_versions_change(target: LocalTarget, base: Path) -> None:
    url = target.deploy(deployment(base, FARE)).rest_url
    pid = state_of(target)["server_pid"]
    with requester(url) as answers:
        target.deploy(deployment(base, PLUS, FARE))
        assert ask(url) == ANSWERS[PLUS]
        target.deploy(deployment(base, FARE, PLUS, canary=PLUS))
        assert ask(url) == ANSWERS[FARE]
        assert ask(url, "/labels/canary") == ANSWERS[PLUS]
        status = target.reload(deployment(base, PLUS))
        assert status.labels == {"stable": PLUS}
    assert set(answers) == set(ANSWERS.values())
    assert len(answers) > 100
    assert state_of(target)["server_pid"] == pid
    await_status(target, lambda status: status.versions == (PLUS,))


@pytest.mark.parametrize(
    ("bad", "why"), [(BROKEN, "saved_model.pb"), (DOUBLE, "refuses its sample row")]
)
def test_a_bad_version_replaces_nothing(
    bad: int, why: str, target: LocalTarget, base: Path
) -> None:
    url = target.deploy(deployment(base, FARE)).rest_url
    with requester(url) as answers, pytest.raises(ServingError) as caught:
        target.deploy(deployment(base, bad, FARE))
    assert why in str(caught.value.received)
    assert set(answers) == {ANSWERS[FARE]}
    status = target.status("fare")
    assert (status.state, status.default_version) == ("running", FARE)
    assert status.labels == {"stable": FARE}


def test_a_bad_challenger_keeps_no_champion_back(target: LocalTarget, base: Path) -> None:
    target.deploy(deployment(base, FARE))
    with pytest.raises(ServingError, match="deployed in part: version 2 answers"):
        target.deploy(deployment(base, PLUS, FARE, canary=BROKEN))
    status = target.status("fare")
    assert (status.state, status.versions, status.labels) == ("running", (1, 2), {"stable": 2})
    assert status.detail.startswith("version 3: ")


def test_a_server_that_is_killed_answers_again_with_its_labels(
    target: LocalTarget, base: Path
) -> None:
    before = target.deploy(deployment(base, FARE, PLUS, canary=PLUS))
    os.kill(state_of(target)["server_pid"], signal.SIGKILL)
    await_status(target, lambda status: status.state == "starting")
    after = await_status(target, lambda status: status.state == "running")
    assert (after.rest_url, after.versions) == (before.rest_url, before.versions)
    assert after.labels == {"stable": FARE, "canary": PLUS}
    assert after.default_version == FARE
    assert ask(after.rest_url) == ANSWERS[FARE]
    assert after.facts["restarts"] == 1
    assert after.facts["last_error"] == "the server died of signal SIGKILL"


def test_a_killed_supervisor_is_told_and_the_next_deployment_begins_anew(
    target: LocalTarget, base: Path
) -> None:
    before = target.deploy(deployment(base, FARE))
    state = state_of(target)
    os.kill(state["pid"], signal.SIGKILL)
    failed = await_status(target, lambda status: status.state == "failed")
    assert "its supervisor was killed" in failed.detail
    with pytest.raises(ServingError, match="no server of it runs here"):
        target.reload(deployment(base, FARE))
    # At once: the server of before may still be on its way out, on the same ports.
    after = target.deploy(deployment(base, PLUS, FARE, batching={"max_batch_size": 8}))
    assert after.rest_url == before.rest_url
    assert ask(after.rest_url) == ANSWERS[PLUS]
    assert state_of(target)["server_pid"] != state["server_pid"]
    command = json.loads((target._place.folder("fare") / "spec.json").read_text())["command"]
    assert "--enable_batching=true" in command


@pytest.mark.slow
def test_flags_that_cannot_be_used_bring_the_server_of_before_back(
    target: LocalTarget, base: Path
) -> None:
    section = {"batching": {"max_batch_size": 8}}
    before = target.deploy(deployment(base, PLUS, FARE, **section))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match="does not come to answer") as caught:
            target.deploy(deployment(base, PLUS, FARE, rest_port=port))
    assert f"Opening REST port {port}" in str(caught.value.received)
    after = target.status("fare")
    assert (after.state, after.rest_url, after.versions) == ("running", before.rest_url, (1, 2))
    assert ask(after.rest_url) == ANSWERS[PLUS]


def test_a_trial_by_its_number_answers_without_a_label(target: LocalTarget, base: Path) -> None:
    section = {"batching": {"max_batch_size": 8}}
    target.deploy(deployment(base, PLUS, **section))
    trial = replace(deployment(base, FARE, **section), labels={})
    status = target.deploy(trial)
    assert (status.default_version, status.labels) == (FARE, {})
    assert ask(status.rest_url) == ANSWERS[FARE]


def test_two_deployments_at_once_come_one_after_another(
    target: LocalTarget, base: Path, said: list[str]
) -> None:
    section = {"batching": {"max_batch_size": 8}}
    target.deploy(deployment(base, PLUS, **section))
    errors: list[Exception] = []

    def deploy(number: int) -> None:
        try:
            target.deploy(deployment(base, number, FARE, PLUS, **section))
        except ServingError as err:
            errors.append(err)

    threads = [threading.Thread(target=deploy, args=(number,)) for number in (FARE, PLUS, FARE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert "waiting for another deployment of this model to end" in said
    status = target.status("fare")
    assert status.labels == {"stable": status.default_version}
    assert ask(status.rest_url) == ANSWERS[int(status.default_version or 0)]


def test_stop_ends_it_and_a_token_is_asked_for_once_it_is_set(
    target: LocalTarget, base: Path
) -> None:
    target.stop("fare")
    stopped = target.status("fare")
    assert (stopped.state, stopped.versions, stopped.facts["pid"]) == ("stopped", (), None)
    with pytest.raises(OSError, match="refused"):
        ask(stopped.rest_url)
    target.stop("fare")  # no error
    guarded = open_target(
        replace(target._place, environ=environment(**{TOKEN_VARIABLE: "secret-1"}))
    )
    status = guarded.deploy(deployment(base, FARE))
    assert status.state == "running"
    assert ask(status.rest_url, token="secret-1") == ANSWERS[FARE]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(status.rest_url)
    assert target.status("fare").state != "running"  # without the token
    folder = target._place.folder("fare")
    assert not [f for f in folder.iterdir() if f.is_file() and b"secret-1" in f.read_bytes()]


def test_a_first_deployment_that_fails_leaves_nothing_running(base: Path, tmp_path: Path) -> None:
    target = open_target(Place(tmp_path, environment()))
    assert target.status("fare").state == "absent"
    target.stop("fare")  # nothing there, and no error
    with pytest.raises(ServingError, match="Version 3 of 'fare' does not come to answer"):
        target.deploy(deployment(base, BROKEN))
    status = target.status("fare")
    assert status.state == "stopped"
    assert not (state := state_of(target))["server_pid"], state


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"host": 1}'])
def test_a_damaged_record_says_what_to_do(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "deployments" / "fare"
    folder.mkdir(parents=True)
    (folder / "deployment.json").write_text(text)
    with pytest.raises(ServingError, match="what was deployed from this machine failed") as caught:
        open_target(Place(tmp_path, {})).status("fare")
    assert "then deploy again" in str(caught.value.next_step)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_name_that_leaves_the_home_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="cannot be deployed"):
        open_target(Place(tmp_path, {})).status(name)
