"""Registered models of a test's own, on SQLite, on PostgreSQL and through a server of MLflow.

Versions are made with MLflow's client alone: a stage asks for tags and no model. A store is made
once a module; each test has models of its own names in it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import Postgres
from tests.mlproject.promotion.memory import MemoryClient

from flows.prefect_server import free_port
from mlproject.promotion import settling as settling_module
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.promotion.standing import Standing
from mlproject.registry import BLESSING_TAG, INFRA_TAG, Registry, VersionInfo
from mlproject.registry.names import STAGE_TAG
from mlproject.registry.projection import PROJECTED_TAG
from mlproject.sections.registry import RegistrySection
from mlproject.settings import Settings, read_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Model:
    """A registered model, and who changes its stages.

    Attributes:
        name: Its name; nothing is registered until the first version.
        clock: The promoter's clock, at noon of a day in March.
        promoter: The stages.
    """

    def __init__(self, settings: Settings, name: str, registry: Registry | None = None) -> None:
        self.settings = settings
        self.name = name
        self.clock = Clock()
        self.promoter = Promoter(settings, registry, self.clock)
        self.client = self.promoter.registry.client

    def version(
        self, blessing: str = "BLESSED", infra: str = "INFRA_BLESSED", run_id: str | None = None
    ) -> VersionInfo:
        """A new version, without files."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):
            self.client.create_registered_model(self.name)
        tags = {BLESSING_TAG: blessing, INFRA_TAG: infra}
        made = self.client.create_model_version(self.name, "s3://bucket/none", run_id, tags=tags)
        return VersionInfo(self.name, int(made.version), tags, run_id)

    def move(self, version: VersionInfo, *stages: Stage, **ask: Any) -> None:
        """Takes a version from stage to stage."""
        for stage in stages:
            self.promoter.move(version, replace(Ask(stage, f"to {stage}", "ann"), **ask))

    def champion(self) -> VersionInfo:
        """A new version, in production."""
        version = self.version()
        self.move(version, Stage.STAGING, Stage.PRODUCTION)
        return version

    def policy(self, **section: Any) -> None:
        self.promoter.projection.set_policy(self.name, RegistrySection(**section))

    def standing(self) -> Standing:
        return self.promoter.standing(self.name)

    def events(self) -> list[str]:
        return [entry.event for entry in self.promoter.history(self.name)]

    def by_hand(self, alias: str, version: int | None) -> None:
        """Moves an alias in MLflow, or deletes it."""
        if version is None:
            self.client.delete_registered_model_alias(self.name, alias)
        else:
            self.client.set_registered_model_alias(self.name, alias, str(version))

    def aliases(self) -> dict[str, int]:
        found = self.client.get_registered_model(self.name).aliases
        return {alias: int(version) for alias, version in found.items()}

    def tags(self) -> Mapping[str, str]:
        return dict(self.client.get_registered_model(self.name).tags)

    def stage_tags(self) -> dict[int, str]:
        versions = self.promoter.registry.versions(self.name)
        return {v.version: v.tags.get(STAGE_TAG, "none") for v in versions}

    def state(self) -> object:
        """All that a refused call must leave as it was."""
        return self.promoter.history(self.name), self.aliases(), self.stage_tags()

    def check(self, standing: Standing | None = None) -> Standing:
        """MLflow shows what the ledger adds up to; its standing."""
        standing = standing or self.standing()
        champion, before, next_ = standing.champion, standing.previous, standing.challenger
        wanted = {"champion": champion, "previous": before, "challenger": next_}
        assert self.aliases() == {alias: v for alias, v in wanted.items() if v is not None}
        assert self.stage_tags() == {v: str(standing.stage(v)) for v in self.stage_tags()}
        assert self.tags().get(PROJECTED_TAG, "0") == str(standing.entries)
        assert [*standing.stages.values()].count(Stage.PRODUCTION) <= 1
        return standing


def memory_model(monkeypatch: pytest.MonkeyPatch, name: str = "taxi") -> Model:
    """A model without MLflow."""
    client = MemoryClient()
    for module in ("mlproject.registry.registry", "mlproject.tracking.tracker"):
        monkeypatch.setattr(f"{module}.connect", lambda _: client)
    settings = read_settings({"BENISON_HOME": "/nowhere"})
    return Model(settings, name, Registry(settings))


@contextlib.contextmanager
def mlflow_server(
    folder: Path, port: int, *options: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of MLflow on SQLite, once it answers; its whole group is ended."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "mlartifacts"), *options]
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    with open(folder / "server.log", "ab") as log:
        process = subprocess.Popen(
            command,
            env={**kept, **quiet, **environment},
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        ends = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, (folder / "server.log").read_text()[-2_000:]
            assert time.monotonic() < ends, (folder / "server.log").read_text()[-2_000:]
            time.sleep(0.2)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a server at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def sqlite_settings(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a store on SQLite of the module's own."""
    home = tmp_path_factory.mktemp("promotion")
    shutil.copy(empty_store, home / "mlflow.db")
    return read_settings({"BENISON_HOME": str(home)}, home)


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow]),
        pytest.param("server", marks=pytest.mark.slow),
    ],
)
def any_settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings with a store on SQLite, on PostgreSQL, and with a server before it."""
    home = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_settings")
    elif request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        database = f"promotion_{request.module.__name__.rpartition('.')[2]}"
        postgres.execute(f"CREATE DATABASE {database}")
        uri = postgres.url.rpartition("/")[0] + f"/{database}"
        yield read_settings({"BENISON_HOME": str(home), "MLFLOW_TRACKING_URI": uri}, home)
    else:
        port = free_port()
        with mlflow_server(home, port):
            uri = f"http://127.0.0.1:{port}"
            yield read_settings({"BENISON_HOME": str(home), "MLFLOW_TRACKING_URI": uri}, home)


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    """Names that no other test has."""
    return (f"taxi-{number}" for number in itertools.count(1))


@pytest.fixture(autouse=True)
def look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process is about, unless a test starts one."""
    monkeypatch.setattr(settling_module, "LOOK_AGAIN_S", 0.0)


@pytest.fixture(scope="module")
def registry(sqlite_settings: Settings) -> Registry:
    return Registry(sqlite_settings)


@pytest.fixture(scope="module")
def any_registry(any_settings: Settings) -> Registry:
    return Registry(any_settings)


@pytest.fixture
def model(sqlite_settings: Settings, registry: Registry, names: Iterator[str]) -> Model:
    """A model on SQLite."""
    return Model(sqlite_settings, next(names), registry)


@pytest.fixture
def any_model(any_settings: Settings, any_registry: Registry, names: Iterator[str]) -> Model:
    """A model on each store."""
    return Model(any_settings, next(names), any_registry)


@pytest.fixture
def named_model(sqlite_settings: Settings, registry: Registry) -> Callable[[str], Model]:
    """A model of a name on SQLite."""
    return lambda name: Model(sqlite_settings, name, registry)


@pytest.fixture
def two_inserts() -> Iterator[Callable[[type], None]]:
    """Has the first two sessions that insert such a row alone wait until both are about to."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    kinds: set[type] = set()
    both, count = threading.Barrier(2), itertools.count()

    def wait(session: Session, *_: object) -> None:
        if session.new and {type(row) for row in session.new} == kinds and next(count) < 2:
            both.wait(60)

    event.listen(Session, "before_flush", wait)
    yield kinds.add
    event.remove(Session, "before_flush", wait)
