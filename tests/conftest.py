"""What tests of several packages share: a PostgreSQL server of their own, an empty MLflow, and a
short walk for the garbage collector.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from xdist.scheduler import LoadFileScheduling

from mlproject.memory import keep_imported
from mlproject.settings import read_settings

# Files whose tests share a costly fixture, by its name.
TOGETHER = re.compile(
    r"(?P<trained>tests/e2e/test_(cache|integrity|lineage|story)\.py)"
    r"|(?P<outputs>tests/mlproject/preprocessing/)"
)
PASSWORD = "pa:ss/w@rd %"  # what a URL must encode


class Scheduling(LoadFileScheduling):
    """A file's tests run in one process, and so do those of files that belong together."""

    def _split_scope(self, nodeid: str) -> str:
        found = TOGETHER.match(nodeid)
        return str(found.lastgroup) if found else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Takes the place of `--dist loadfile`."""
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Takes the tests and what they import out of later garbage collections.

    Every step of a pipeline, Keras and pytest itself ask for full ones; over the heap of thousands
    of tests with TensorFlow, MLflow and Beam each takes half a second.
    """
    keep_imported()


@pytest.hookimpl(trylast=True)  # when the fixtures of the file are gone
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The same for what the tests of a file imported."""
    if nextitem is None or nextitem.path != item.path:
        keep_imported()


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """The URL of an emulator of Google Cloud Storage, a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["start", "--in-memory", "--host", "127.0.0.1", "--port", str(port), "-q"]
    command = [sys.executable, "-m", "gcp_storage_emulator", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


class Postgres:
    """A PostgreSQL server on 127.0.0.1, with fresh data, for one test session.

    Attributes:
        url: SQLAlchemy URL of its superuser, password included.
        port: TCP port.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        # The server refuses to run as root.
        users = {user.pw_name for user in pwd.getpwall()}
        servant = "postgres" if "postgres" in users else "nobody"
        self._user = servant if os.geteuid() == 0 else None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql://owner:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None
        password = folder / "password"
        password.write_text(PASSWORD)
        if self._user:
            for path in (folder, password):
                shutil.chown(path, self._user)
        options = ["--auth=scram-sha-256", "--username=owner", f"--pwfile={password}"]
        options += ["--encoding=UTF8", "--no-locale", "--no-sync"]
        self._run("initdb", "-D", str(folder / "data"), *options).wait()

    def start(self) -> None:
        """Starts it, unless it runs, and waits until it answers."""
        if self._process is not None:
            return
        settings = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]
        settings += ["-c", f"unix_socket_directories={self._folder}"]
        data = str(self._folder / "data")
        self._process = self._run("postgres", "-D", data, "-p", str(self.port), *settings)
        for _ in range(300):
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"no PostgreSQL: {(self._folder / 'log').read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends it; by default every connection is broken off."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def connect(self) -> Any:
        """A connection of psycopg2 that commits each statement.

        Raises:
            OSError: It does not answer yet.
        """
        import psycopg2

        try:
            connection = psycopg2.connect(self.url.replace("postgresql+psycopg2", "postgresql"))
        except psycopg2.OperationalError as err:
            raise OSError(str(err)) from err
        connection.autocommit = True
        return connection

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Runs statements; the rows of the last."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._binaries / program, *arguments],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )


def _binaries() -> Path | None:
    """The folder of PostgreSQL's programs; Debian keeps them out of the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: p.parts[-3])
    return newest[-1].parent if newest else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server; tests that use it carry the marker `postgres`."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    pytest.importorskip("psycopg2", reason="needs psycopg2: pip install psycopg2-binary")
    folder = Path(tempfile.mkdtemp(prefix="benison-postgres-"))
    server = Postgres(binaries, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and no run: making one takes seconds, copying it none."""
    from mlproject.tracking import connect

    home = tmp_path_factory.mktemp("store")
    connect(read_settings({"BENISON_HOME": str(home)}, home)).search_experiments()
    return home / "mlflow.db"
