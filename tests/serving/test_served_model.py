"""One model's versions, with a loader that is told what fails: no TensorFlow, no threads."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.model_config import ModelConfig, VersionPolicy
from serving.model_server.background import Background
from serving.model_server.options import ManagerOptions
from serving.model_server.served_model import ServedModel
from serving.model_server.status import Code, StatusError
from serving.model_server.version_folders import LocalSource, VersionFolder
from serving.model_server.versions import State

LATEST = VersionPolicy()


class Model:
    """Stands for a loaded model."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class Bench:
    """A served model whose loads are made by hand."""

    def __init__(self, base_path: Path, config: ModelConfig, options: ManagerOptions) -> None:
        self.base_path = base_path
        self.broken: set[int] = set()
        self.loaded: list[int] = []
        self.models: list[Model] = []
        self.during_load: Callable[[], None] = lambda: None
        self.served = ServedModel(
            config, LocalSource(base_path), options, self.load, lambda: None, Background()
        )

    def load(self, folder: VersionFolder, version: int) -> Any:
        self.loaded.append(version)
        self.during_load()
        if version in self.broken:
            raise StatusError(Code.DATA_LOSS, f"version {version} is broken")
        self.models.append(Model())
        return self.models[-1]

    def put(self, *names: str | int) -> None:
        for name in names:
            (self.base_path / str(name)).mkdir(exist_ok=True)

    def turn(self, now: float = 1e12) -> None:
        """A look, then every load that is due, as the manager does it."""
        self.served.look()
        while ready := self.served.to_load(now):
            assert self.served.claim(ready[0])
            self.served.load(ready[0])
        self.settle()

    def settle(self) -> None:
        """Until idle versions are unloaded, which threads do."""
        deadline = time.monotonic() + 10
        while any(
            status.state is State.UNLOADING and not self.busy(status.version)
            for status in self.served.statuses()
        ):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def busy(self, version: int) -> bool:
        entry = self.served._table.managed.get(version)
        return bool(entry and entry.live and entry.live.in_flight)

    @property
    def states(self) -> dict[int, str]:
        return {status.version: status.state.name for status in self.served.statuses()}


def bench(
    tmp_path: Path,
    policy: VersionPolicy = LATEST,
    default: int | None = None,
    **options: Any,
) -> Bench:
    base_path = tmp_path / "m"
    base_path.mkdir(exist_ok=True)
    config = ModelConfig("m", str(base_path), policy, {}, default)
    given = {"max_load_retries": 0} | options
    return Bench(base_path, config, ManagerOptions(**given))


def held_version(model: ServedModel, version: int | None = None) -> int:
    with model.acquire(version) as (number, _):
        return number


@pytest.mark.parametrize(
    ("policy", "loaded", "answers"),
    [
        (VersionPolicy(), [10], 10),
        (VersionPolicy("latest", 2), [10, 9], 10),
        (VersionPolicy("all"), [10, 9, 2], 10),
        (VersionPolicy("specific", versions=(2, 9, 77)), [9, 2], 9),
    ],
)
def test_a_policy_decides_what_is_loaded_the_newest_first(
    tmp_path: Path, policy: VersionPolicy, loaded: list[int], answers: int
) -> None:
    made = bench(tmp_path, policy)
    made.put(2, 9, 10, "x", ".hidden")
    made.turn()
    assert made.loaded == loaded
    assert made.states == dict.fromkeys(loaded, "AVAILABLE")
    assert held_version(made.served) == answers
    for version in loaded:
        assert held_version(made.served, version) == version
    with pytest.raises(StatusError, match=r"^Servable not found for request: Specific\(m, 77\)$"):
        made.served.acquire(77)


def test_leading_zeros_make_a_version(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put("00000123", "99")
    made.turn()
    assert made.states == {123: "AVAILABLE"}


def test_the_new_version_is_loaded_before_the_old_one_goes(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1)
    made.turn()
    made.put(2)
    seen: list[dict[int, str]] = []
    made.during_load = lambda: seen.append(made.states)
    made.turn()
    assert seen == [{1: "AVAILABLE", 2: "LOADING"}]
    assert made.states == {1: "END", 2: "AVAILABLE"}
    assert [model.closed for model in made.models] == [True, False]


def test_a_deleted_version_gives_way_to_the_one_before(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1, 2)
    made.turn()
    (made.base_path / "2").rmdir()
    made.turn()
    assert made.states == {1: "AVAILABLE", 2: "END"}
    assert held_version(made.served) == 1


def test_versions_that_are_all_deleted_are_unloaded_unless_they_are_to_stay(tmp_path: Path) -> None:
    for stay, state in ((False, "END"), (True, "AVAILABLE")):
        made = bench(tmp_path, versions_always_present=stay)
        made.put(1)
        made.turn()
        (made.base_path / "1").rmdir()
        made.turn()
        assert made.states == {1: state}
        made.served.close()


def test_a_base_path_that_is_away_changes_nothing(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1)
    made.turn()
    made.base_path.rename(tmp_path / "away")
    made.turn()
    assert made.states == {1: "AVAILABLE"}


def test_a_broken_version_never_replaces_a_good_one(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1)
    made.turn()
    made.broken.add(2)
    made.put(2)
    made.turn()
    assert made.states == {1: "AVAILABLE", 2: "END"}
    failed = made.served.statuses()[0]
    assert (failed.code, failed.message) == (Code.DATA_LOSS, "version 2 is broken")
    made.turn()
    assert made.loaded == [1, 2], "nothing changed, so nothing is tried again"
    made.broken.clear()
    (made.base_path / "2" / "mended").touch()
    made.turn()
    assert made.states == {1: "END", 2: "AVAILABLE"}
    assert made.served.statuses()[0].code is Code.OK


def test_an_error_that_nobody_foresaw_ends_the_load_and_the_old_version_answers(
    tmp_path: Path,
) -> None:
    it = bench(tmp_path)
    it.put(1)
    it.turn()

    def run_out() -> None:
        raise MemoryError("no more")

    it.during_load = run_out
    it.put(2)
    with pytest.raises(MemoryError):
        it.turn()
    assert it.states == {1: "AVAILABLE", 2: "END"}
    assert held_version(it.served) == 1


def test_a_failed_load_is_tried_again_at_its_time_and_then_given_up(tmp_path: Path) -> None:
    made = bench(tmp_path, max_load_retries=2, load_retry_interval_s=60.0)
    made.put(1)
    made.broken.add(1)
    start = time.monotonic()
    made.turn(start)
    assert (made.loaded, made.states) == ([1], {1: "LOADING"})
    assert made.served.wanted_failure() is None
    due = made.served.next_due()
    assert due is not None
    assert 59 < due - start < 70
    made.turn(due - 1)
    assert made.loaded == [1]
    made.turn(due)
    made.turn(due)  # the third try is due a minute later
    assert (made.loaded, made.states) == ([1, 1], {1: "LOADING"})
    made.turn()
    assert (made.loaded, made.states) == ([1, 1, 1], {1: "END"})
    failure = made.served.wanted_failure()
    assert failure is not None
    assert failure.message == "version 1 is broken"
    assert made.served.next_due() is None


def test_changed_files_are_tried_at_once(tmp_path: Path) -> None:
    made = bench(tmp_path, max_load_retries=5)
    made.put(1)
    made.broken.add(1)
    made.turn(time.monotonic())
    made.broken.clear()
    (made.base_path / "1" / "more").touch()
    made.turn(time.monotonic())
    assert made.states == {1: "AVAILABLE"}


def test_files_that_change_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1)
    changes = [Path(tmp_path / "m" / "1" / name) for name in ("a", "b")]
    made.during_load = lambda: changes.pop().touch() if changes else None
    made.turn(time.monotonic())
    assert (made.loaded, made.states) == ([1], {1: "LOADING"})
    assert made.served.next_due() is not None, "it is looked at again without a poll"
    made.turn()
    assert made.loaded == [1, 1, 1]
    assert made.states == {1: "AVAILABLE"}
    assert [model.closed for model in made.models] == [True, True, False]


def test_a_version_that_is_unwanted_before_it_is_tried_again_is_given_up(tmp_path: Path) -> None:
    made = bench(tmp_path, max_load_retries=5)
    made.put(1)
    made.broken.add(1)
    made.turn(time.monotonic())
    made.put(2)
    made.turn(time.monotonic())
    assert made.states == {1: "END", 2: "AVAILABLE"}
    assert made.served.next_due() is None


def test_a_request_ends_on_its_version_and_the_last_one_unloads_it(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1)
    made.turn()
    with made.served.acquire(None) as (version, model), made.served.acquire(1):
        made.put(2)
        made.turn()
        assert (version, made.states) == (1, {1: "UNLOADING", 2: "AVAILABLE"})
        assert not model.closed
        with pytest.raises(StatusError, match="Specific"):
            made.served.acquire(1)
    made.settle()
    assert made.states[1] == "END"
    assert model.closed


def test_a_version_that_comes_back_while_its_last_request_runs_is_loaded_anew(
    tmp_path: Path,
) -> None:
    made = bench(tmp_path, VersionPolicy("specific", versions=(1,)))
    made.put(1, 2)
    made.turn()
    with made.served.acquire(None) as (_, first):
        made.served.configure(
            ModelConfig("m", str(made.base_path), VersionPolicy("specific", versions=(2,)))
        )
        made.turn()
        made.served.configure(
            ModelConfig("m", str(made.base_path), VersionPolicy("specific", versions=(1,)))
        )
        made.turn()
        assert made.states == {1: "AVAILABLE", 2: "END"}
        assert not first.closed
    deadline = time.monotonic() + 10
    while not first.closed:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert made.states[1] == "AVAILABLE"
    assert held_version(made.served) == 1


def test_another_base_path_is_loaded_before_the_old_one_goes(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1)
    made.turn()
    other = tmp_path / "other"
    (other / "1").mkdir(parents=True)
    made.during_load = lambda: seen.append(held_version(made.served))
    seen: list[int] = []
    made.served.configure(ModelConfig("m", str(other)), LocalSource(other))
    made.turn()
    assert seen == [1]
    assert [model.closed for model in made.models] == [True, False]
    assert made.states == {1: "AVAILABLE"}


def test_the_default_version_answers_though_a_newer_one_is_loaded(tmp_path: Path) -> None:
    made = bench(tmp_path, VersionPolicy("specific", versions=(3, 4)), default=3)
    made.put(3, 4)
    made.turn()
    assert made.loaded == [3, 4], "what answers by default is loaded first"
    assert held_version(made.served) == 3
    assert held_version(made.served, 4) == 4


def test_what_answers_stays_until_the_new_default_does(tmp_path: Path) -> None:
    made = bench(tmp_path, VersionPolicy("specific", versions=(3,)), default=3)
    made.put(3, 4, 5)
    made.turn()
    seen = []
    made.during_load = lambda: seen.append(held_version(made.served))
    made.broken.add(5)
    policy = VersionPolicy("specific", versions=(4, 5))
    made.served.configure(ModelConfig("m", str(made.base_path), policy, {}, 5))
    made.turn()
    assert seen == [3, 3]
    assert made.states == {3: "AVAILABLE", 4: "AVAILABLE", 5: "END"}
    assert held_version(made.served) == 3, "the default is broken: what answered goes on"
    made.served.configure(ModelConfig("m", str(made.base_path), policy, {}, 4))
    made.settle()
    assert held_version(made.served) == 4
    assert made.states == {3: "END", 4: "AVAILABLE", 5: "END"}


def test_a_pin_moves_at_once_and_back_without_a_load(tmp_path: Path) -> None:
    made = bench(tmp_path, keep_previous=True)
    made.put(1, 2, 3)
    made.turn()
    for version in (1, 3, 1, None):
        made.served.set_version(version)
        assert held_version(made.served) == (version or 3)
    assert made.loaded == [3, 1]
    assert made.states == {1: "AVAILABLE", 3: "AVAILABLE"}
    made.served.set_version(2)
    made.settle()
    assert made.states == {1: "END", 2: "AVAILABLE", 3: "AVAILABLE"}


def test_without_its_pin_a_model_has_its_policy_again(tmp_path: Path) -> None:
    made = bench(tmp_path, VersionPolicy("latest", 2))
    made.put(1, 2, 3)
    made.turn()
    made.served.set_version(1)
    made.settle()
    assert made.states == {1: "AVAILABLE", 2: "END", 3: "END"}
    made.served.set_version(None)
    made.turn()
    assert made.states == {1: "END", 2: "AVAILABLE", 3: "AVAILABLE"}


def test_a_new_version_replaces_the_one_before_the_previous(tmp_path: Path) -> None:
    made = bench(tmp_path, keep_previous=True)
    for version in (1, 2, 3):
        made.put(version)
        seen: list[int] = []
        made.during_load = lambda seen=seen: seen.append(made.served.available_version)
        made.turn()
        assert seen == [None if version == 1 else version - 1]
    assert made.states == {1: "END", 2: "AVAILABLE", 3: "AVAILABLE"}


@pytest.mark.parametrize("kind", ["missing", "broken"])
def test_a_pin_that_does_not_load_changes_nothing(tmp_path: Path, kind: str) -> None:
    made = bench(tmp_path)
    made.put(1, *([2] if kind == "broken" else []))
    made.broken.add(2)
    made.turn()
    made.served.set_version(1)
    with pytest.raises(StatusError):
        made.served.set_version(2)
    assert held_version(made.served) == 1
    assert made.served.config is not None
    assert made.served.config.default_version == 1


def test_requests_that_race_with_swaps_never_get_a_closed_model(tmp_path: Path) -> None:
    made = bench(tmp_path)
    made.put(1)
    made.turn()
    stop, failures = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                with made.served.acquire(None) as (_, model):
                    if model.closed:
                        failures.append("closed")
            except StatusError as err:
                failures.append(err.message)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 30):
        made.put(version)
        made.turn()
    stop.set()
    for thread in threads:
        thread.join()
    made.settle()
    assert failures == []
    assert sum(not model.closed for model in made.models) == 1


@pytest.mark.parametrize("seed", range(25))
def test_any_sequence_of_changes_keeps_the_promises(tmp_path: Path, seed: int) -> None:
    """Versions come, go, break, mend, are pinned and held, in any order.

    What answered goes on answering; after a last look the wanted versions are what is loaded.
    """
    random_ = random.Random(seed)
    policy = random_.choice([LATEST, VersionPolicy("latest", 2), VersionPolicy("all")])
    made = bench(
        tmp_path,
        policy,
        keep_previous=random_.random() < 0.3,
        versions_always_present=True,
    )
    made.put(5)
    made.turn()
    holds = []
    for _ in range(40):
        version = random_.randint(1, 9)
        folder = made.base_path / str(version)
        action = random_.choice(["put", "drop", "break", "mend", "pin", "follow", "hold", "let"])
        if action == "put":
            made.put(version)
        elif action == "drop" and folder.exists():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        elif action == "break":
            made.broken.add(version)
        elif action == "mend" and folder.exists():
            made.broken.discard(version)
            (folder / f"mended-{random_.random()}").touch()
        elif action in ("pin", "follow"):
            try:
                made.served.set_version(version if action == "pin" else None)
            except StatusError:
                pass
            else:
                assert action == "follow" or held_version(made.served) == version
        elif action == "hold":
            held = made.served.acquire(None)
            holds.append((held, held.__enter__()[1]))
        elif action == "let" and holds:
            holds.pop()[0].__exit__(None, None, None)
        if random_.random() < 0.7:
            made.turn()
        with made.served.acquire(None) as (_, model):
            assert not model.closed
        assert not any(model.closed for _, model in holds)
    for held, _ in holds:
        held.__exit__(None, None, None)
    made.broken.clear()
    for folder in made.base_path.iterdir():
        (folder / "mended").touch()
    made.put(11)
    made.served.set_version(None)
    made.turn()
    made.settle()
    assert held_version(made.served) == 11
    loaded = {version for version, state in made.states.items() if state == "AVAILABLE"}
    kept = {made.served._table.previous} if made.served._options.keep_previous else set()
    wanted = set(policy.chosen(int(folder.name) for folder in made.base_path.iterdir()))
    assert wanted <= loaded <= wanted | kept
    deadline = time.monotonic() + 10
    while sum(not model.closed for model in made.models) != len(loaded):
        assert time.monotonic() < deadline, "a model that nobody wants stayed open"
        time.sleep(0.001)
