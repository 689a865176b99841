"""Which version answers: hot swap, broken versions, pins, requests in flight."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mlproject.errors import ServingError
from serving.export import export_version
from serving.model_server import ModelServer
from serving.model_server.status import Code
from serving.model_server.version_folders import versions_in
from serving.model_server.versions import State

ROW = {"x": 1.0, "n": 1, "s": "a"}


@pytest.fixture
def base_path(saved_models: dict[str, Path], tmp_path: Path) -> Path:
    export_version(saved_models["fare"], tmp_path / "fare", 1)
    return tmp_path / "fare"


@pytest.fixture
def server(base_path: Path) -> Iterator[ModelServer]:
    with ModelServer({"fare": base_path}, rest_port=0, grpc_port=0, poll_wait_s=0.02) as running:
        running.wait_until_available(60)
        yield running


def wait_for(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def states(server: ModelServer, model: str = "fare") -> dict[int, State]:
    return {status.version: status.state for status in server.status(model)}


def score(server: ModelServer, **params: Any) -> float:
    response = httpx.post(f"{server.rest_url}/v1/models/fare:predict", json={"instances": [ROW]})
    assert response.status_code == 200, response.text
    return response.json()["predictions"][0]["score"]


def test_a_new_version_takes_over_and_the_old_one_is_unloaded(
    server: ModelServer, base_path: Path, saved_models: dict[str, Path]
) -> None:
    assert score(server) == 2.0
    export_version(saved_models["fare_plus_100"], base_path, 10)
    wait_for(lambda: states(server) == {10: State.AVAILABLE, 1: State.END})
    assert score(server) == 102.0
    old = httpx.post(f"{server.rest_url}/v1/models/fare/versions/1:predict", json={"inputs": {}})
    assert old.status_code == 404


def test_no_request_fails_while_versions_are_swapped(
    server: ModelServer, base_path: Path, saved_models: dict[str, Path]
) -> None:
    stop, scores, failures = threading.Event(), set(), []

    def ask() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                url = f"{server.rest_url}/v1/models/fare:predict"
                response = client.post(url, json={"instances": [ROW]})
                if response.status_code == 200:
                    scores.add(response.json()["predictions"][0]["score"])
                else:
                    failures.append(response.text)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for version in range(2, 8):
            name = "fare_plus_100" if version % 2 == 0 else "fare"
            export_version(saved_models[name], base_path, version)
            wait_for(lambda version=version: states(server).get(version) is State.AVAILABLE)
            time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert scores == {2.0, 102.0}
    wait_for(lambda: sorted(states(server).values()) == [State.AVAILABLE] + [State.END] * 6)


def test_a_broken_version_shows_its_error_and_the_good_one_goes_on(
    server: ModelServer, base_path: Path, saved_models: dict[str, Path]
) -> None:
    shutil.copytree(saved_models["broken"], base_path / "2")
    wait_for(lambda: states(server).get(2) is State.END)
    assert score(server) == 2.0
    broken, good = server.status("fare")
    assert (good.version, good.state) == (1, State.AVAILABLE)
    assert broken.code is not Code.OK
    assert "saved_model.pb" in broken.message
    reported = httpx.get(f"{server.rest_url}/v1/models/fare/versions/2").json()
    assert reported["model_version_status"][0]["status"]["error_code"] == broken.code.name
    export_version(saved_models["fare_plus_100"], base_path, 3)
    wait_for(lambda: states(server).get(3) is State.AVAILABLE)
    assert score(server) == 102.0


def test_a_version_that_failed_half_copied_is_tried_again_when_it_is_whole(
    server: ModelServer, base_path: Path, saved_models: dict[str, Path]
) -> None:
    (base_path / "2").mkdir()
    (base_path / "2" / "saved_model.pb").write_bytes(b"half")
    wait_for(lambda: states(server).get(2) is State.END)
    shutil.copytree(saved_models["fare_plus_100"], base_path / "2", dirs_exist_ok=True)
    wait_for(lambda: states(server).get(2) is State.AVAILABLE)
    assert score(server) == 102.0


def test_deleted_folders_do_not_take_the_model_away(server: ModelServer, base_path: Path) -> None:
    shutil.rmtree(base_path)
    time.sleep(0.1)
    assert states(server) == {1: State.AVAILABLE}
    assert score(server) == 2.0


def test_a_pinned_version_stays_when_newer_ones_come(
    server: ModelServer, base_path: Path, saved_models: dict[str, Path]
) -> None:
    export_version(saved_models["fare_plus_100"], base_path, 2)
    server.set_version("fare", 1)
    export_version(saved_models["fare_plus_100"], base_path, 3)
    time.sleep(0.15)
    assert score(server) == 2.0
    server.set_version("fare", 2)  # answers as soon as the call is back
    assert score(server) == 102.0
    server.set_version("fare", None)
    assert states(server)[3] is State.AVAILABLE


@pytest.mark.parametrize("kind", ["missing", "broken"])
def test_pinning_a_version_that_does_not_load_changes_nothing(
    server: ModelServer, base_path: Path, saved_models: dict[str, Path], kind: str
) -> None:
    server.set_version("fare", 1)
    if kind == "broken":
        shutil.copytree(saved_models["broken"], base_path / "7")
    with pytest.raises(ServingError, match=r"version 7 of model 'fare' .*version 1 goes on"):
        server.set_version("fare", 7)
    assert score(server) == 2.0
    assert states(server)[1] is State.AVAILABLE


def test_pinning_an_unknown_model_gives_the_closest_name(server: ModelServer) -> None:
    with pytest.raises(ServingError, match=r"did you mean 'fare'\?"):
        server.set_version("fair", 1)


def test_a_server_may_start_on_a_pinned_version(
    base_path: Path, saved_models: dict[str, Path]
) -> None:
    export_version(saved_models["fare_plus_100"], base_path, 2)
    with ModelServer(
        {"fare": base_path}, rest_port=0, grpc_port=0, pinned_versions={"fare": 1}
    ) as running:
        running.wait_until_available(60)
        assert states(running) == {1: State.AVAILABLE}
        assert score(running) == 2.0


def test_a_request_ends_on_the_version_it_began_on(
    tmp_path: Path, saved_models: dict[str, Path]
) -> None:
    base_path = tmp_path / "double"
    export_version(saved_models["double"], base_path, 1)
    export_version(saved_models["double"], base_path, 2)
    with ModelServer(
        {"double": base_path}, rest_port=0, grpc_port=0, pinned_versions={"double": 1}
    ) as running:
        running.wait_until_available(60)
        with running._manager.acquire("double") as (version, model):  # as both APIs do
            running.set_version("double", 2)
            assert states(running, "double") == {2: State.AVAILABLE, 1: State.UNLOADING}
            signature = model.signatures["serving_default"]
            answer = model.predict(signature, {"x": np.array([1.5], np.float32)})
        assert (version, answer["y"].tolist()) == (1, [3.0])
        wait_for(lambda: states(running, "double")[1] is State.END)


def test_only_plain_numbers_are_versions(tmp_path: Path) -> None:
    for name in ("1", "12", "007", ".exporting-3-ab", "3.tmp", "-4", "²", "v5", "9" * 30):
        (tmp_path / name).mkdir()
    (tmp_path / "6").write_text("a file")
    assert versions_in(tmp_path) == {
        1: tmp_path / "1",
        7: tmp_path / "007",
        12: tmp_path / "12",
    }
    assert versions_in(tmp_path / "nowhere") == {}


@pytest.fixture
def keeping(
    base_path: Path, saved_models: dict[str, Path], loads: list[Path]
) -> Iterator[ModelServer]:
    """A server that keeps the version before: 1 gave 2.0, and 10, which gives 102.0, answers."""
    export_version(saved_models["fare_plus_100"], base_path, 10)
    with ModelServer(
        {"fare": base_path},
        rest_port=0,
        grpc_port=0,
        pinned_versions={"fare": 1},
        keep_previous=True,
    ) as running:
        running.wait_until_available(60)
        running.set_version("fare", 10)
        yield running


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that models were loaded from, in order."""
    import serving.model_server.version_opener as module

    loaded: list[Path] = []
    real = module.LoadedModel

    def load(path: Path, *args: Any) -> Any:
        loaded.append(path)
        return real(path, *args)

    monkeypatch.setattr(module, "LoadedModel", load)
    return loaded


def test_the_version_before_takes_over_again_without_a_load(
    keeping: ModelServer, loads: list[Path]
) -> None:
    assert score(keeping) == 102.0
    assert states(keeping) == {1: State.AVAILABLE, 10: State.AVAILABLE}
    url = f"{keeping.rest_url}/v1/models/fare/versions/1:predict"
    assert httpx.post(url, json={"instances": [ROW]}).json()["predictions"][0]["score"] == 2.0
    keeping.set_version("fare", 1)
    assert score(keeping) == 2.0
    keeping.set_version("fare", 10)
    assert score(keeping) == 102.0
    assert [path.name for path in loads] == ["1", "10"]


def test_a_third_version_sends_the_oldest_away(
    keeping: ModelServer, base_path: Path, saved_models: dict[str, Path]
) -> None:
    export_version(saved_models["fare"], base_path, 11)
    keeping.set_version("fare", 11)
    wait_for(lambda: states(keeping)[1] is State.END)
    assert states(keeping) == {1: State.END, 10: State.AVAILABLE, 11: State.AVAILABLE}


def test_a_kept_version_whose_files_changed_is_loaded_anew(
    keeping: ModelServer, base_path: Path, saved_models: dict[str, Path], loads: list[Path]
) -> None:
    shutil.rmtree(base_path / "1")
    export_version(saved_models["fare_plus_100"], base_path, 1)
    keeping.set_version("fare", 1)
    assert score(keeping) == 102.0
    assert [path.name for path in loads] == ["1", "10", "1"]
    assert states(keeping)[1] is State.AVAILABLE
