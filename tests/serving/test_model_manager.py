"""Models that come, go and change in a running manager: real SavedModels, no ports."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlproject.errors import ConfigError
from serving.export import export_version
from serving.model_config import ModelConfig, VersionPolicy, to_text
from serving.model_server.manager import ModelManager
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code, StatusError
from serving.model_server.versions import State

FAST = {"poll_wait_s": 0.02, "max_load_retries": 0}
ALL = VersionPolicy("all")
ROW = {"x": np.float32([1]), "n": np.int64([1]), "s": np.array([b"a"], object)}


def config(base_path: Path, name: str = "fare", **fields: Any) -> ModelConfig:
    return ModelConfig(name, str(base_path), **fields)


@contextmanager
def managing(*configs: ModelConfig, **options: Any) -> Iterator[ModelManager]:
    manager = ModelManager(configs, ManagerOptions(**{**FAST, **options}))
    manager.start()
    try:
        yield manager
    finally:
        manager.close()


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def states(manager: ModelManager, name: str = "fare") -> dict[int, str]:
    try:
        return {status.version: status.state.name for status in manager.statuses(name)}
    except StatusError:
        return {}


def score(manager: ModelManager, *spec: Any, name: str = "fare") -> float:
    with manager.acquire(name, *spec) as (_, model):
        return float(model.predict(model.signatures["serving_default"], ROW)["score"][0])


@pytest.fixture
def base_path(saved_models: dict[str, Path], tmp_path: Path) -> Path:
    export_version(saved_models["fare"], tmp_path / "fare", 1)
    return tmp_path / "fare"


@pytest.fixture
def put(saved_models: dict[str, Path], base_path: Path) -> Callable[..., None]:
    def put(version: int, model: str = "fare_plus_100") -> None:
        export_version(saved_models[model], base_path, version)

    return put


def test_sixteen_requesters_see_no_failure_while_versions_swap(
    base_path: Path, put: Callable[..., None]
) -> None:
    stop, scores, failures = threading.Event(), set(), []
    counts = [0] * 16

    with managing(config(base_path)) as manager:
        assert manager.wait_until_available(60) == []

        def ask(place: int) -> None:
            while not stop.is_set():
                try:
                    scores.add(score(manager))
                except Exception as err:  # noqa: BLE001 - whatever it is, the test fails
                    failures.append(repr(err))
                counts[place] += 1
                time.sleep(0.002)

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(16)]
        for thread in threads:
            thread.start()
        for version in range(2, 8):
            put(version, "fare_plus_100" if version % 2 == 0 else "fare")
            wait_for(lambda version=version: states(manager).get(version) == "AVAILABLE")
        shutil.rmtree(base_path / "7")  # back to 6, from disk
        wait_for(lambda: states(manager)[7] == "END")
        wait_for(lambda: min(counts) > 10)
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert scores == {2.0, 102.0}
        assert score(manager) == 102.0
        wait_for(lambda: set(states(manager).values()) == {"AVAILABLE", "END"})


def test_a_half_copied_version_waits_until_it_is_whole(
    base_path: Path, saved_models: dict[str, Path]
) -> None:
    with managing(config(base_path), max_load_retries=5) as manager:
        manager.wait_until_available(60)
        whole, part = saved_models["fare_plus_100"], base_path / "2"
        part.mkdir()
        wait_for(lambda: states(manager).get(2) == "LOADING")
        shutil.copy(whole / "saved_model.pb", part)
        time.sleep(0.1)
        (part / "variables").mkdir()
        shutil.copy(whole / "variables" / "variables.index", part / "variables")
        data = (whole / "variables" / "variables.data-00000-of-00001").read_bytes()
        (part / "variables" / "variables.data-00000-of-00001").write_bytes(data[:2])
        time.sleep(0.3)
        assert score(manager) == 2.0
        assert states(manager)[1] == "AVAILABLE"
        (part / "variables" / "variables.data-00000-of-00001").write_bytes(data)
        wait_for(lambda: states(manager) == {1: "END", 2: "AVAILABLE"})
        assert score(manager) == 102.0


@pytest.mark.parametrize("damage", ["truncated", "no variables", "empty", "a file", "no tag"])
def test_a_damaged_version_ends_with_its_error(
    base_path: Path, saved_models: dict[str, Path], damage: str
) -> None:
    folder = base_path / "2"
    if damage != "a file":
        shutil.copytree(saved_models["fare_plus_100"], folder)
    if damage == "truncated":
        graph = folder / "saved_model.pb"
        graph.write_bytes(graph.read_bytes()[:-1000])
    elif damage == "no variables":
        shutil.rmtree(folder / "variables")
    elif damage == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif damage == "a file":
        folder.write_text("")
    tags = {}
    if damage == "no tag":
        from serving.model_server.options import SessionOptions

        tags = {"session": SessionOptions(tags=("serve", "gpu"))}
    with managing(config(base_path, policy=ALL), **tags) as manager:
        wait_for(lambda: states(manager).get(1) in ("AVAILABLE", "END"))
        if damage == "a file":
            assert states(manager) == {1: "AVAILABLE"}
            return
        wait_for(lambda: states(manager).get(2) == "END")
        broken = manager.statuses("fare", 2)[0]
        assert broken.code is not Code.OK
        assert str(folder) in broken.message
        assert states(manager)[1] == ("END" if damage == "no tag" else "AVAILABLE")
        if damage == "no tag":
            assert broken.code is Code.NOT_FOUND


def test_a_symlinked_version_and_a_text_graph_are_loaded(
    base_path: Path, saved_models: dict[str, Path]
) -> None:
    from google.protobuf import text_format
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    os.symlink(saved_models["fare_plus_100"], base_path / "00000020")
    text = base_path / "30"
    shutil.copytree(saved_models["fare"], text)
    graph = SavedModel.FromString((text / "saved_model.pb").read_bytes())
    (text / "saved_model.pbtxt").write_text(text_format.MessageToString(graph))
    (text / "saved_model.pb").unlink()
    os.symlink(base_path / "nowhere", base_path / "40")
    with managing(config(base_path, policy=ALL)) as manager:
        wait_for(lambda: set(states(manager).values()) == {"AVAILABLE"})
        assert sorted(states(manager)) == [1, 20, 30]
        assert [score(manager, version) for version in (1, 20, 30)] == [2.0, 102.0, 2.0]


def test_a_load_that_is_tried_again_does_not_hold_up_other_models(
    base_path: Path, saved_models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(saved_models["broken"], tmp_path / "bad" / "1")
    models = (config(tmp_path / "bad", "bad"), config(base_path))
    with managing(
        *models, max_load_retries=2, load_retry_interval_s=0.4, initial_load_threads=1
    ) as manager:
        wait_for(lambda: states(manager) == {1: "AVAILABLE"})
        assert states(manager, "bad") == {1: "LOADING"}
        assert score(manager) == 2.0
        silent = manager.wait_until_available(30)
        assert [model.name for model in silent] == ["bad"]
        assert manager.statuses("bad")[0].state is State.END


def test_labels_move_in_two_phases(base_path: Path, put: Callable[..., None]) -> None:
    with managing(config(base_path, policy=ALL)) as manager:
        manager.wait_until_available(60)
        manager.reload([config(base_path, policy=ALL, labels={"stable": 1})])
        assert score(manager, None, "stable") == 2.0
        both = config(base_path, policy=ALL, labels={"stable": 1, "canary": 2})
        with pytest.raises(StatusError) as caught:
            manager.reload([both])
        assert (caught.value.code, caught.value.message) == (
            Code.FAILED_PRECONDITION,
            "Request to assign label to version 2 of model fare, which is not currently "
            "available for inference",
        )
        with pytest.raises(StatusError, match=r"^Unrecognized servable version label: canary$"):
            score(manager, None, "canary")
        put(2)
        wait_for(lambda: states(manager).get(2) == "AVAILABLE")
        manager.reload([both])
        assert (score(manager, None, "stable"), score(manager, None, "canary")) == (2.0, 102.0)
        assert manager.statuses("fare", None, "canary")[0].version == 2
        shutil.rmtree(base_path / "2")
        wait_for(lambda: states(manager)[2] == "END")
        with pytest.raises(StatusError, match=r"Servable not found for request: Specific\(fare, 2"):
            score(manager, None, "canary")


def test_labels_of_versions_that_are_not_loaded_need_leave(base_path: Path) -> None:
    labelled = config(base_path, labels={"stable": 1})
    with pytest.raises(ConfigError, match="Request to assign label to version 1 of model fare"):
        ModelManager([labelled])
    with managing(labelled, labels_for_unavailable=True) as manager:
        manager.wait_until_available(60)
        assert score(manager, None, "stable") == 2.0
        manager.reload([config(base_path, labels={"stable": 1, "canary": 9})])
        with pytest.raises(StatusError, match="is not currently available"):
            manager.reload([config(base_path, labels={"stable": 9})])
    with managing(labelled, any_labels_for_unavailable=True) as manager:
        manager.reload([config(base_path, labels={"stable": 9})])


def test_a_reload_replaces_everything_and_waits_for_new_models(
    base_path: Path, saved_models: dict[str, Path], tmp_path: Path
) -> None:
    for version in (1, 2):
        export_version(saved_models["fare_plus_100"], tmp_path / "tip", version)
    with managing(config(base_path)) as manager:
        manager.wait_until_available(60)
        specific = VersionPolicy("specific", versions=(1,))
        manager.reload([config(tmp_path / "tip", "tip", policy=specific)])
        assert score(manager, name="tip") == 102.0
        assert states(manager, "tip") == {1: "AVAILABLE"}
        with pytest.raises(StatusError, match=r"^Servable not found for request: Latest\(fare\)$"):
            score(manager)
        wait_for(lambda: states(manager) == {1: "END"})
        manager.reload([config(base_path), config(tmp_path / "tip", "tip", policy=ALL)])
        assert score(manager) == 2.0
        wait_for(lambda: states(manager, "tip") == {1: "AVAILABLE", 2: "AVAILABLE"})
        manager.reload([])
        wait_for(lambda: states(manager) == {1: "END"} and manager.configs == ())


def test_a_reload_that_cannot_be_served_changes_nothing(base_path: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    good = config(base_path)
    with managing(good) as manager:
        manager.wait_until_available(60)
        for wrong, code, text in (
            ([config(base_path, "")], Code.INVALID_ARGUMENT, "without a name"),
            ([good, good], Code.INVALID_ARGUMENT, "Illegal to list model fare multiple times"),
            ([ModelConfig("m", "")], Code.INVALID_ARGUMENT, "Expected model m to have an absolute"),
            ([config(tmp_path / "x", "m")], Code.INVALID_ARGUMENT, "Could not find base path"),
            ([config(tmp_path / "empty", "m")], Code.NOT_FOUND, "Unable to find a numerical"),
            ([config(base_path, labels={"a": 9})], Code.FAILED_PRECONDITION, "Request to assign"),
        ):
            with pytest.raises(StatusError, match=text) as caught:
                manager.reload(wrong)
            assert caught.value.code is code
            assert manager.configs == (good,)
            assert score(manager) == 2.0


def test_a_reload_with_a_model_that_does_not_load_says_which(
    base_path: Path, saved_models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(saved_models["broken"], tmp_path / "bad" / "3")
    with managing(config(base_path)) as manager:
        manager.wait_until_available(60)
        with pytest.raises(StatusError) as caught:
            manager.reload([config(base_path), config(tmp_path / "bad", "bad")])
        assert caught.value.code is Code.UNKNOWN
        assert caught.value.message.startswith(
            "1 model(s) did not become available: {{{name: bad version: 3} due to error: "
        )
        assert score(manager) == 2.0


def test_a_config_file_is_followed(
    base_path: Path,
    saved_models: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    export_version(saved_models["fare_plus_100"], tmp_path / "tip", 7)
    file = tmp_path / "models.config"
    first, both = [config(base_path)], [config(base_path), config(tmp_path / "tip", "tip")]
    file.write_text(to_text(first))
    with managing(*first) as manager:
        manager.watch_config(file, 0.02)
        manager.wait_until_available(60)
        file.write_text(to_text(both))
        wait_for(lambda: states(manager, "tip") == {7: "AVAILABLE"})
        assert score(manager, name="tip") == 102.0
        for wrong in ("model_config_list {", "", to_text(both * 2)):
            caplog.clear()
            file.write_text(wrong)
            wait_for(lambda: "changes nothing" in caplog.text)
            time.sleep(0.1)
            assert caplog.text.count("changes nothing") == 1
            assert len(manager.configs) == 2
        file.unlink()
        time.sleep(0.05)
        assert score(manager, name="tip") == 102.0
        file.write_text(to_text(both[1:]))
        wait_for(lambda: states(manager) == {1: "END"})


def test_a_base_path_that_cannot_be_looked_at_holds_up_no_other_model(base_path: Path) -> None:
    unreadable = config(Path("/" + "a" * 300), "unreadable")  # the system refuses the name
    with managing(unreadable, config(base_path)) as manager:
        wait_for(lambda: states(manager) == {1: "AVAILABLE"})
        with pytest.raises(StatusError, match="Could not find base path") as caught:
            manager.reload([config(base_path), config(Path("/" + "b" * 300), "unreadable")])
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_asking_for_what_is_not_there_says_so_as_upstream(base_path: Path) -> None:
    with managing(config(base_path)) as manager:
        manager.wait_until_available(60)
        for ask, code, text in (
            (lambda: manager.acquire(""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified"),
            (lambda: manager.acquire("x"), Code.NOT_FOUND, r"Latest\(x\)"),
            (lambda: manager.acquire("x", 3), Code.NOT_FOUND, r"Specific\(x, 3\)"),
            (lambda: manager.acquire("x", None, "l"), Code.INVALID_ARGUMENT, "version label: l"),
            (lambda: manager.statuses(""), Code.INVALID_ARGUMENT, "Missing model name in request"),
            (lambda: manager.statuses("x"), Code.NOT_FOUND, "find any versions of model x"),
            (lambda: manager.statuses("fare", 9), Code.NOT_FOUND, "find version 9 of model fare"),
            (lambda: manager.statuses("fare", None, "l"), Code.INVALID_ARGUMENT, "label: l"),
        ):
            with pytest.raises(StatusError, match=text) as caught:
                ask()
            assert caught.value.code is code


def test_requests_may_be_batched(base_path: Path) -> None:
    from serving.model_server.batching import BatchingParameters

    batches: list[Sequence[int]] = []

    class Recorder:
        def batch(self, _pool: str, request_rows: Sequence[int], *_sizes: Any) -> None:
            batches.append(request_rows)

    # Only the eighth request ends the wait of the others.
    parameters = BatchingParameters(max_batch_size=8, batch_timeout_micros=3_600_000_000)
    options = {"batching": parameters, "batch_recorder": Recorder()}
    with managing(config(base_path), **options) as manager:
        manager.wait_until_available(60)
        answers: list[float] = []
        chosen: list[str] = []

        def ask_for_one_output() -> None:
            with manager.acquire("fare") as (_, model):
                chosen.extend(model.predict(model.signatures["serving_default"], ROW, ["greeting"]))

        asks = [lambda: answers.append(score(manager))] * 7 + [ask_for_one_output]
        threads = [threading.Thread(target=ask, daemon=True) for ask in asks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert answers == [2.0] * 7
        assert chosen == ["greeting"]
        assert batches == [[1] * 8]
    with pytest.raises(StatusError, match=r"closed|not found"):
        score(manager)


@pytest.mark.slow
def test_memory_stays_flat_over_fifty_swaps(base_path: Path, put: Callable[..., None]) -> None:
    def resident_mib() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    with managing(config(base_path)) as manager:
        manager.wait_until_available(60)
        measured = []
        for version in range(2, 72):
            put(version)
            wait_for(lambda version=version: states(manager).get(version) == "AVAILABLE")
            assert score(manager) == 102.0
            shutil.rmtree(base_path / str(version - 1))
            measured.append(resident_mib())
        early, late = np.median(measured[15:25]), np.median(measured[-10:])
        assert late - early < 8, f"{early:.0f} MiB -> {late:.0f} MiB"
