"""A TensorFlow Serving container for a trial, by the `docker` command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Self

from serving.trial.values import POLL_S, not_blessed, not_validated, tail

IMAGE = "tensorflow/serving"
COMMAND_TIMEOUT_S = 20.0
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"([0-9.]+)\s*([KMGT]?i?B)")


def find_image() -> tuple[str | None, str]:
    """The image of TensorFlow Serving on a Docker engine of this machine.

    Returns:
        The image, or None; and why there is none.
    """
    if shutil.which("docker") is None:
        return None, "there is no `docker` command"
    code, host, said = _docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    if code == 0 and not host.startswith(("unix://", "npipe://")):
        return None, f"the Docker engine {host} is not on this machine, where the model lies"
    names = "{{.Repository}}:{{.Tag}}"
    code, listed, said = _docker("image", "ls", IMAGE, "--format", names)
    if code != 0:
        return None, f"no Docker engine answers: {said}"
    images = [name for name in listed.splitlines() if not name.endswith(":<none>")]
    if not images:
        return None, f"the Docker engine has no image {IMAGE}"
    newest = f"{IMAGE}:latest"
    return newest if newest in images else images[0], ""


class DockerServer:
    """A TensorFlow Serving container on two free loopback ports; always removed at the end.

    Args:
        saved_model_dir: The SavedModel; it is mounted, read-only, as version 1.
        model_name: Its name in requests.
        max_memory_mb: The container's memory limit, in MiB.
        image: The image.
    """

    kind = "docker"

    def __init__(
        self, saved_model_dir: Path, model_name: str, max_memory_mb: float, image: str
    ) -> None:
        self._saved_model = saved_model_dir.resolve()
        self._name = model_name
        self._max_memory_mb = max_memory_mb
        self._image = image
        self._container = f"benison-trial-{uuid.uuid4().hex[:12]}"
        self.rest_url = ""
        self.grpc_address = ""

    def __enter__(self) -> Self:
        source = f"type=bind,source={self._saved_model},target=/models/{self._name}/1,readonly"
        # One MiB more than the budget: what passes it is told by the measurement, with its figure.
        arguments = ["run", "--detach", "--name", self._container, "--mount", source]
        arguments += ["--memory", f"{int(self._max_memory_mb) + 1}m"]
        arguments += ["--publish", "127.0.0.1::8500", "--publish", "127.0.0.1::8501"]
        arguments += ["--env", f"MODEL_NAME={self._name}", self._image]
        try:
            code, _, said = _docker(*arguments, timeout_s=60.0)
        except BaseException:
            self.__exit__()
            raise
        if code != 0:
            self.__exit__()
            raise not_validated(f"no container could be started from {self._image}: {said}")
        return self

    def __exit__(self, *error: object) -> None:
        _docker("rm", "--force", "--volumes", self._container)

    def wait_for_addresses(self, timeout_s: float) -> None:
        """Returns once the ports are known.

        Raises:
            TrialEnded: The container ended before, or took too long.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            rest, grpc = self._port("8501"), self._port("8500")
            if rest and grpc:
                self.rest_url, self.grpc_address = f"http://{rest}", grpc
                return
            death = self.death()
            if death:
                raise not_blessed(f"the container did not start: {death}")
            time.sleep(POLL_S)
        raise not_validated(f"the container published no port within {timeout_s:g} s")

    def death(self) -> str | None:
        """How the container ended, in words; None while it runs."""
        code, text, said = _docker("inspect", "--format", "{{json .State}}", self._container)
        if code != 0:
            return f"it is gone: {said}"
        state = json.loads(text)
        if state.get("Running"):
            return None
        if state.get("OOMKilled"):
            return f"it was stopped, since it took more than {self._max_memory_mb:g} MiB"
        return f"it ended with exit status {state.get('ExitCode')}"

    def memory_mb(self) -> float | None:
        """The memory that the container holds now, in MiB, without the file cache."""
        code, text, _ = _docker(
            "stats", "--no-stream", "--format", "{{.MemUsage}}", self._container
        )
        found = _SIZE.match(text.strip()) if code == 0 else None
        if found is None or found[2] not in _UNITS or float(found[1]) == 0:
            return None
        return float(found[1]) * _UNITS[found[2]] / _UNITS["MiB"]

    def log_tail(self) -> str:
        """The last lines of the container's log."""
        _, out, err = _docker("logs", "--tail", "50", self._container)
        return tail(f"{out}\n{err}")

    def _port(self, port: str) -> str:
        code, text, _ = _docker("port", self._container, f"{port}/tcp")
        return text.splitlines()[0].strip() if code == 0 and text.strip() else ""


def _docker(*arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> tuple[int, str, str]:
    """Exit status, output and error text of a `docker` command; status 1 if it hangs."""
    try:
        done = subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"`docker {arguments[0]}` gave no answer within {timeout_s:g} s"
    except OSError as err:
        return 1, "", str(err)
    return done.returncode, done.stdout.strip(), done.stderr.strip()
