"""The Docker target on a real engine; the image is a stand-in with TensorFlow Serving's flags."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.docker_engine import run_engine

from mlproject.errors import ConfigError, ServingError
from mlproject.registry.integrity import model_digest
from mlproject.sections.deployment import DeploymentSection
from serving.export import export_version
from serving.targets.base import DeployedVersion, Deployment, Place, open_target
from serving.targets.docker import DockerTarget
from serving.targets.front_process import FrontProcess
from serving.targets.local_ports import free_ports

pytestmark = pytest.mark.docker
ROW = {"x": 1.0, "n": 2, "s": "a"}


@pytest.fixture(scope="module")
def docker_host() -> Iterator[str]:
    yield from run_engine()


class Fare:
    """Versions of the model `fare` in a base path, and their deployments."""

    def __init__(self, base_path: Path, models: dict[str, Path]) -> None:
        self.base_path = base_path
        self._models = models

    def version(self, number: int, model: str = "fare") -> DeployedVersion:
        folder = export_version(self._models[model], self.base_path, number)
        return DeployedVersion(number, folder, model_digest(folder), ROW)

    def deployment(
        self, *versions: DeployedVersion, champion: int, challenger: int = 0, **config: object
    ) -> Deployment:
        labels = {"stable": champion} | ({"canary": challenger} if challenger else {})
        section = DeploymentSection.model_validate(
            {"start_timeout_s": 60, "memory": "4Gi"} | config
        )
        return Deployment("fare", versions, champion, labels, section)


@pytest.fixture
def fare(tmp_path: Path, saved_models: dict[str, Path]) -> Fare:
    return Fare(tmp_path / "models" / "fare", saved_models)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def target(docker_host: str, tmp_path: Path, said: list[str]) -> Iterator[DockerTarget]:
    place = Place(tmp_path / "home", {**os.environ, "DOCKER_HOST": docker_host}, said.append)
    opened = open_target("docker", place)
    assert isinstance(opened, DockerTarget)
    yield opened
    opened.stop("fare")


class Asker:
    """Asks without a pause, on one connection that is kept alive, until it is told to stop."""

    def __init__(self, url: str) -> None:
        self.answers: list[float] = []
        self.errors: list[str] = []
        self._url = f"{url}/v1/models/fare:predict"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Asker:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=20) as http:
            while not self._stop.is_set():
                try:
                    answer = http.post(self._url, json={"instances": [ROW]})
                    self.answers.append(answer.json()["predictions"][0]["score"])
                except (httpx.HTTPError, KeyError) as err:
                    self.errors.append(repr(err))
                time.sleep(0.01)


def ask(url: str, path: str = "") -> float:
    answer = httpx.post(f"{url}/v1/models/fare{path}:predict", json={"instances": [ROW]})
    return float(answer.json()["predictions"][0]["score"])


def test_a_model_is_deployed_moved_to_a_new_version_rolled_back_and_stopped(
    target: DockerTarget, fare: Fare, said: list[str]
) -> None:
    assert target.status("fare").state == "absent"
    first = target.deploy(fare.deployment(fare.version(1), champion=1))
    assert (first.state, first.versions, first.labels) == ("running", (1,), {"stable": 1})
    assert ask(first.rest_url) == 3.0
    with Asker(first.rest_url) as asker:
        new = fare.version(2, "fare_plus_100")
        second = target.deploy(fare.deployment(fare.version(1), new, champion=2))
        assert (second.rest_url, second.facts["container"]) == (
            first.rest_url,
            first.facts["container"],
        )
        assert (second.versions, second.labels) == ((1, 2), {"stable": 2})
        assert ask(second.rest_url, "/labels/stable") == 103.0
        assert ask(second.rest_url, "/versions/1") == 3.0
        back = target.reload(fare.deployment(fare.version(1), new, champion=1))
        assert (back.versions, back.labels) == ((1,), {"stable": 1})
        assert any("version 2 is not loaded" in line for line in said)
    assert asker.errors == []
    assert set(asker.answers) == {3.0, 103.0}
    assert "predict" in target.logs("fare", 200) or target.logs("fare", 200)
    target.stop("fare")
    assert target.status("fare").state == "absent"
    with pytest.raises(httpx.ConnectError):
        ask(first.rest_url)


def test_another_configuration_takes_over_without_a_failed_request(
    target: DockerTarget, fare: Fare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.targets.docker.DRAIN_S", 3.0)  # this client is never silent
    first = target.deploy(fare.deployment(fare.version(1), champion=1))
    with Asker(first.rest_url) as asker:
        while not asker.answers:
            time.sleep(0.01)
        batched = fare.deployment(fare.version(1), champion=1, batching={"max_batch_size": 8})
        second = target.deploy(batched)
        time.sleep(0.3)
    assert second.rest_url == first.rest_url
    assert second.facts["container"] != first.facts["container"]
    assert asker.errors == []
    assert set(asker.answers) == {3.0}
    assert second.state == "running"


@pytest.mark.slow
def test_a_version_that_does_not_load_replaces_nothing(target: DockerTarget, fare: Fare) -> None:
    first = target.deploy(fare.deployment(fare.version(1), champion=1))
    broken = fare.deployment(fare.version(1), fare.version(2, "broken"), champion=2)
    with pytest.raises(ServingError, match="Version 2 of 'fare'"):
        target.deploy(broken)
    after = target.status("fare")
    assert (after.state, after.versions, after.labels) == ("running", (1,), {"stable": 1})
    assert ask(first.rest_url) == 3.0


@pytest.mark.slow
def test_a_first_version_that_does_not_load_leaves_no_container(
    target: DockerTarget, fare: Fare, docker_host: str
) -> None:
    import docker

    with pytest.raises(ServingError, match="Version 1 of 'fare'"):
        target.deploy(fare.deployment(fare.version(1, "broken"), champion=1))
    assert target.status("fare").state == "absent"
    client = docker.DockerClient(base_url=docker_host)
    assert client.containers.list(all=True) == []
    client.close()


@pytest.mark.slow
def test_a_challenger_is_loaded_only_where_clients_ask_for_labels(
    target: DockerTarget, fare: Fare
) -> None:
    versions = fare.version(1), fare.version(2, "fare_plus_100")
    kept_out = target.deploy(fare.deployment(*versions, champion=1, challenger=2))
    assert (kept_out.versions, kept_out.labels) == ((1,), {"stable": 1})
    let_in = target.deploy(fare.deployment(*versions, champion=1, challenger=2, canary=True))
    assert (let_in.versions, let_in.labels) == ((1, 2), {"stable": 1, "canary": 2})
    assert ask(let_in.rest_url, "/labels/canary") == 103.0
    assert ask(let_in.rest_url, "/labels/stable") == 3.0


@pytest.mark.slow
def test_a_server_that_dies_comes_back_with_its_labels(
    target: DockerTarget, fare: Fare, docker_host: str
) -> None:
    import docker

    status = target.deploy(fare.deployment(fare.version(1), champion=1))
    client = docker.DockerClient(base_url=docker_host)
    container = client.containers.get(status.facts["container"])
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while target.status("fare").facts["restarts"] == 0 or target.status("fare").state != "running":
        assert time.monotonic() < deadline, target.status("fare")
        time.sleep(0.2)
    client.close()
    assert ask(status.rest_url, "/labels/stable") == 3.0


@pytest.mark.slow
def test_two_deployments_at_once_wait_for_each_other_and_leave_one_container(
    target: DockerTarget, fare: Fare, said: list[str], docker_host: str
) -> None:
    import docker

    version = fare.version(1)
    both = [
        fare.deployment(version, champion=1, batching={"max_batch_size": size}) for size in (4, 8)
    ]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(target.deploy, both))
    assert any("waiting for another deployment" in line for line in said)
    assert len({status.rest_url for status in found}) == 1
    client = docker.DockerClient(base_url=docker_host)
    (left,) = client.containers.list(all=True)
    assert left.name == target.status("fare").facts["container"]
    left.stop(timeout=1)  # by hand; the next one takes its place, on other ports of its own
    ports = free_ports()
    moved = target.deploy(
        fare.deployment(version, champion=1, rest_port=ports[0], grpc_port=ports[1])
    )
    assert moved.rest_url == f"http://127.0.0.1:{ports[0]}"
    assert ask(moved.rest_url) == 3.0
    kept = target.deploy(fare.deployment(version, champion=1, rest_port=free_ports()[0]))
    assert kept.facts["container"] == moved.facts["container"]
    assert (kept.rest_url != moved.rest_url, ask(kept.rest_url)) == (True, 3.0)
    client.close()


def test_stop_without_an_engine_frees_the_ports_and_says_what_is_left(tmp_path: Path) -> None:
    said: list[str] = []
    environ = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:9"}
    target = open_target("docker", Place(tmp_path, environ, said.append))
    target.stop("fare")  # nothing was deployed: no engine is asked
    folder = tmp_path / "deployments" / "fare" / "docker"
    folder.mkdir(parents=True)
    front, ports = FrontProcess(folder, environ), free_ports()
    front.hold(ports, (1, 1))
    with pytest.raises(ServingError, match="No Docker engine answers"):
        target.stop("fare")
    assert not front.alive()
    assert "container is left" in said[-1]
    (folder / "state.json").write_text("{}")
    with pytest.raises(ServingError, match=r"state\.json"):
        target.status("fare")


def test_an_engine_elsewhere_is_refused(tmp_path: Path, fare: Fare) -> None:
    target = open_target("docker", Place(tmp_path, {"DOCKER_HOST": "tcp://127.0.0.1:9"}))
    with pytest.raises((ConfigError, ServingError), match="Docker engine"):
        target.deploy(fare.deployment(fare.version(1), champion=1))


@pytest.mark.slow
def test_a_baked_image_serves_with_nothing_mounted(
    fare: Fare, docker_host: str, tmp_path: Path
) -> None:
    import docker

    from serving.targets.image import build_image

    versions = fare.version(1), fare.version(2, "fare_plus_100")
    file = tmp_path / "image.tar"
    environ = {"DOCKER_HOST": docker_host}
    built = build_image(fare.deployment(*versions, champion=2), environ, print, save=file)
    assert (built.tag, built.versions) == ("benison/fare:2", (1, 2))
    assert file.stat().st_size > 1_000
    client = docker.DockerClient(base_url=docker_host)
    client.images.remove(built.tag)
    (loaded,) = client.images.load(file.read_bytes())
    container = client.containers.run(
        loaded.id, detach=True, ports={"8501/tcp": ("127.0.0.1", 0)}, auto_remove=True
    )
    try:
        container.reload()
        port = container.attrs["NetworkSettings"]["Ports"]["8501/tcp"][0]["HostPort"]
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                assert ask(url, "/labels/stable") == 103.0
                break
            except (httpx.HTTPError, KeyError):
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert ask(url, "/versions/1") == 3.0
    finally:
        container.remove(force=True)
        client.close()


def test_a_build_on_an_image_that_cannot_be_had_is_an_error(fare: Fare, docker_host: str) -> None:
    from serving.targets.image import build_image

    wanted = fare.deployment(fare.version(1), champion=1, image="nowhere.invalid/serving:1")
    with pytest.raises(ServingError, match="could not be had"):
        build_image(wanted, {"DOCKER_HOST": docker_host}, print)
