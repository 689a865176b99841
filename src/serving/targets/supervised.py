"""A supervised server, seen from outside: started, looked at, ended. Its folder:

<home>/deployments/<model>/
  deploy.lock         held while somebody deploys or stops
  deployment.json     what was deployed: configuration, ports
  models.config       ModelServerConfig that the server reads, again and again
  batching.config     BatchingParameters, where there is batching
  spec.json           the server's command
  supervisor.lock     held by the supervisor for as long as it lives
  state.json          what the supervisor tells of itself and the server
  server.log, server.log.1 ...    what the server printed
  supervisor.err      why a supervisor died, if it did
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import serving
from mlproject.artifacts import translate_os_errors
from mlproject.errors import BusyError, ServingError
from mlproject.whole_file import write_whole
from serving.targets.supervisor import (
    LOG,
    OLD_LOGS,
    RUNS_ALREADY,
    SPEC,
    Spec,
    SupervisorState,
    is_supervised,
    read_spec,
    read_state,
)

DEPLOY_LOCK, ERRORS = "deploy.lock", "supervisor.err"
STARTS_WITHIN_S = 30.0
MARGIN_S = 10.0  # of a supervisor, beyond the server's drain
_POLL_S = 0.05


class SupervisedServer:
    """The server of a folder.

    Args:
        folder: `<home>/deployments/<model>`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def running(self) -> bool:
        """Whether a supervisor keeps it running."""
        return is_supervised(self.folder)

    def state(self) -> SupervisorState | None:
        """What the supervisor, or the last one, told last."""
        return read_state(self.folder)

    def spec(self) -> Spec | None:
        """What is supervised, or was last."""
        try:
            return read_spec(self.folder)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def start(self, spec: Spec, environ: Mapping[str, str]) -> None:
        """Starts a supervisor, which outlives this process; the server comes up behind it.

        Args:
            spec: What it supervises.
            environ: The environment of both.

        Raises:
            ServingError: It could not be started.
        """
        with translate_os_errors("Starting a supervisor", self.folder):
            write_whole(self.folder / SPEC, spec.to_json())
            with (self.folder / ERRORS).open("wb") as errors:
                done = subprocess.run(
                    [sys.executable, "-m", "serving.targets.supervisor", str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    env={**environ, "PYTHONPATH": python_path(environ)},
                    check=False,
                )
        if done.returncode not in (0, RUNS_ALREADY):
            raise self._did_not_start(f"exit status {done.returncode}")
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._told():
            if not self.running:
                raise self._did_not_start("it ended at once")
            if time.monotonic() > deadline:
                raise self._did_not_start(f"no word of it within {STARTS_WITHIN_S:g} s")
            time.sleep(_POLL_S)

    def stop(self, say: Callable[[str], None]) -> None:
        """Ends supervisor and server; what a killed supervisor left behind, too."""
        state, spec = self.state(), self.spec()
        drain_s = spec.drain_s if spec else MARGIN_S
        if state is not None and self.running and not state.supervisor.end(drain_s + MARGIN_S):
            say("the supervisor did not end: killed")
        state = self.state()
        if state is not None and state.server is not None and state.server.alive:
            say(f"ending the server, process {state.server.pid}, of a supervisor that was killed")
            state.server.end(drain_s)

    def log(self, lines: int) -> str:
        """The last lines that the server printed."""
        found: list[str] = []
        for number in range(OLD_LOGS + 1):
            file = self.folder / (f"{LOG}.{number}" if number else LOG)
            if len(found) >= lines or not file.exists():
                break
            found = file.read_text(encoding="utf-8", errors="replace").splitlines() + found
        return "\n".join(found[-lines:])

    @contextmanager
    def locked(self, wait_s: float, say: Callable[[str], None]) -> Iterator[None]:
        """Lets one process at a time deploy or stop.

        Raises:
            BusyError: Another one does, for longer than `wait_s`.
        """
        with translate_os_errors("Opening the deployment's folder", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / DEPLOY_LOCK).open("a")
        with file:
            deadline, told = time.monotonic() + wait_s, False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as err:
                    if time.monotonic() > deadline:
                        raise BusyError(
                            f"Somebody else deploys '{self.folder.name}' just now",
                            received=f"{file.name} is held, after {wait_s:g} s",
                            next_step="wait until it is done, then run this again",
                        ) from err
                    if not told:
                        say("waiting for another deployment of this model to end")
                        told = True
                    time.sleep(_POLL_S)
            yield

    def _told(self) -> bool:
        state = self.state()
        return state is not None and state.supervisor.alive and self.running

    def _did_not_start(self, why: str) -> ServingError:
        try:
            said = (self.folder / ERRORS).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            said = ""
        last = f": {said.splitlines()[-1]}" if said else ""
        return ServingError(
            "Starting the supervisor failed",
            received=f"{why}{last}",
            next_step=f"look at {self.folder / ERRORS}",
        )


def python_path(environ: Mapping[str, str]) -> str:
    """`PYTHONPATH` for a process that shall find this package whatever its working folder is."""
    source = str(Path(next(iter(serving.__path__))).resolve().parent)
    given = filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))
    return os.pathsep.join([source, *(str(Path(path).resolve()) for path in given)])
