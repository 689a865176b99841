"""A pipeline through Beam's portable runner: a job server and a pool of workers, real processes.

Flink and Spark take jobs in the same way, by a job server of their own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlproject.engine import EngineSettings, check_engine, map_partitions
from mlproject.engines.settings import read_engine_settings
from mlproject.errors import EngineError, EngineUnavailable
from mlproject.partitions import Partition

pytestmark = pytest.mark.slow


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def portable(job_port: int, pool_port: int, temp: Path) -> EngineSettings:
    """Settings of the portable runner with a pool of workers."""
    options = (
        f"--runner=PortableRunner --job_endpoint=localhost:{job_port} "
        f"--environment_type=EXTERNAL --environment_config=localhost:{pool_port}"
    )
    env = {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": options}
    return read_engine_settings(env, str(temp))


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[EngineSettings]:
    """A job server and a pool of workers of their own."""
    job_port, pool_port = free_port(), free_port()
    commands = (
        ("portability.local_job_service_main", "--port", str(job_port)),
        ("worker.worker_pool_main", "--service_port", str(pool_port)),
    )
    # The pool starts its workers by `python`, whichever that is.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with (tmp_path / "log").open("wb") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"apache_beam.runners.{module}", *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": path},
            )
            for module, *options in commands
        ]
    for port in (job_port, pool_port):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
    yield portable(job_port, pool_port, tmp_path / "temp")
    for process in processes:
        process.terminate()
        process.wait()


def parts(count: int) -> list[Partition]:
    """Partitions of nothing, for functions that read none."""
    return [Partition(Path("none"), "none", 0, 1, 1, index) for index in range(count)]


def test_values_come_back_from_the_workers_of_a_job_server(settings: EngineSettings) -> None:
    def who(partition: Partition) -> tuple[int, int]:
        return partition.index, os.getpid()

    check_engine(settings)
    values = map_partitions(settings, parts(5), who, "Who")
    assert [index for index, _ in values] == list(range(5))
    assert os.getpid() not in {pid for _, pid in values}


def test_a_failed_job_is_an_error_of_the_engine(settings: EngineSettings) -> None:
    def fail(_partition: Partition) -> None:
        raise ValueError("secret")

    with pytest.raises(EngineError, match="failed on 'beam: PortableRunner'") as caught:
        map_partitions(settings, parts(1), fail, "Fail")
    assert "localhost" not in str(caught.value)


def test_a_job_server_that_is_not_there_is_said_without_its_address(tmp_path: Path) -> None:
    settings = portable(free_port(), free_port(), tmp_path)
    options = (*settings.runner_options, "--job_server_timeout=2")
    absent = EngineSettings("beam", settings.runner, 0, settings.temp_dir, options)
    with pytest.raises(EngineUnavailable, match="does not answer") as caught:
        map_partitions(absent, parts(1), lambda _partition: None, "Nothing")
    assert "localhost" not in str(caught.value)
