"""The process that keeps a model server running: `python -m serving.targets.supervisor FOLDER`.

It leaves the terminal, starts the command of `spec.json`, starts it again when it dies, writes what
it prints to `server.log`, and ends it on SIGTERM. It imports nothing heavy. The server's standard
input is a pipe from here: it closes when this process ends, however it ends, and the server, which
is run by `serving.trial.process`, ends then too.

Waits grow from 0.5 s to 30 s while the server dies young, and begin anew once it ran for a minute.
It never gives up: what kept the server from starting (memory, a port) may go away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any

from mlproject.whole_file import write_whole
from serving.targets.processes import ProcessId, process_id

SPEC, STATE, LOG, LOCK = "spec.json", "state.json", "server.log", "supervisor.lock"
RUNS_ALREADY = 3  # exit code
FIRST_WAIT_S, LONGEST_WAIT_S, STABLE_S = 0.5, 30.0, 60.0
LOG_BYTES, OLD_LOGS = 5_000_000, 3
LINE_BYTES = 100_000
KILLED_WITHIN_S = 10.0


@dataclass(frozen=True)
class Spec:
    """What is supervised.

    Attributes:
        command: The server's command line.
        environment: Variables beside those of the supervisor.
        drain_s: How long the server may take to end.
        stable_s: How long it must run for a death to be no young one.
        first_wait_s: Before it is started again the first time.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    drain_s: float
    stable_s: float = STABLE_S
    first_wait_s: float = FIRST_WAIT_S

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self), indent=1)


@dataclass
class SupervisorState:
    """What the supervisor tells of itself, in `state.json`.

    Attributes:
        pid, started: The supervisor's process.
        server_pid, server_started: The server's; 0 where there is none.
        phase: `running`, `waiting` (to start it again), `stopped`.
        restarts: How often it was started again.
        young_deaths: How often in a row it died within a minute of its start.
        last_error: How it ended last; empty where it never did.
        next_start: When it is started again, in seconds since 1970; 0 where it runs.
    """

    pid: int
    started: float
    server_pid: int = 0
    server_started: float = 0.0
    phase: str = "waiting"
    restarts: int = 0
    young_deaths: int = 0
    last_error: str = ""
    next_start: float = 0.0

    @property
    def supervisor(self) -> ProcessId:
        """The supervisor's process."""
        return ProcessId(self.pid, self.started)

    @property
    def server(self) -> ProcessId | None:
        """The server's process, or None."""
        return ProcessId(self.server_pid, self.server_started) if self.server_pid else None


def read_spec(folder: Path) -> Spec:
    """Reads `spec.json`."""
    values: dict[str, Any] = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    return Spec(**{**values, "command": tuple(values["command"])})


def read_state(folder: Path) -> SupervisorState | None:
    """Reads `state.json`; None where there is none, or it is damaged."""
    try:
        return SupervisorState(**json.loads((folder / STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_supervised(folder: Path) -> bool:
    """Whether a supervisor runs: the system lets go of its lock however it ends."""
    try:
        with (folder / LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class Supervisor:
    """Keeps the server of a folder running.

    Args:
        folder: With its spec; state and log are written there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spec = read_spec(folder)
        self._wake = threading.Event()
        self._ends = False
        here = process_id(os.getpid())
        self._state = SupervisorState(os.getpid(), here.started if here else 0.0)
        self._log = _rotating_log(folder / LOG)

    def run(self) -> None:
        """Returns when it was told to end, the server gone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._end_orphan()
        while not self._ends:
            self._run_once()
        self._set(phase="stopped", next_start=0.0)
        self._say("stopped")

    def _end(self, *_: object) -> None:
        self._ends = True
        self._wake.set()

    def _end_orphan(self) -> None:
        """Ends the server of a supervisor that was killed, which may still hold the ports."""
        before = read_state(self._folder)
        if before and before.server and before.server.alive:
            self._say(f"ending the server {before.server.pid} of a supervisor that was killed")
            before.server.end(self._spec.drain_s)

    def _run_once(self) -> None:
        """Starts the server, waits until it has ended, and then until it may be started again."""
        began = time.monotonic()
        self._wake.clear()
        try:
            server = self._start()
        except OSError as err:
            ended = f"it could not be started: {err}"
        else:
            watcher = threading.Thread(target=self._watch, args=(server,), daemon=True)
            watcher.start()
            while server.poll() is None and not self._ends:
                self._wake.wait()
            if self._ends:
                self._end_server(server)
                watcher.join(1.0)
                return
            watcher.join(1.0)
            ended = _ending(server.returncode)
        young = time.monotonic() - began < self._spec.stable_s
        deaths = self._state.young_deaths + 1 if young else 0
        wait_s = min(self._spec.first_wait_s * 2 ** min(max(deaths - 1, 0), 16), LONGEST_WAIT_S)
        self._say(f"{ended}; it is started again in {wait_s:g} s")
        self._set(
            phase="waiting",
            server_pid=0,
            young_deaths=deaths,
            last_error=ended,
            next_start=time.time() + wait_s,
        )
        self._wake.clear()
        if not self._ends:
            self._wake.wait(wait_s)
        self._state.restarts += 1

    def _start(self) -> subprocess.Popen[bytes]:
        spec = self._spec
        server = subprocess.Popen(
            spec.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **spec.environment},
            start_new_session=True,
        )
        known = process_id(server.pid)
        self._set(
            phase="running",
            server_pid=server.pid,
            server_started=known.started if known else 0.0,
            next_start=0.0,
        )
        self._say(f"started the server, process {server.pid}")
        return server

    def _watch(self, server: subprocess.Popen[bytes]) -> None:
        """Writes what the server prints, and wakes the main thread when it has ended."""
        stream: IO[bytes] = server.stdout  # type: ignore[assignment]
        while line := stream.readline(LINE_BYTES):
            self._log.info(line.decode(errors="replace").rstrip("\n"))
        server.wait()
        self._wake.set()

    def _end_server(self, server: subprocess.Popen[bytes]) -> None:
        """Lets the server drain; kills it when that takes too long."""
        self._say("ending the server")
        server.terminate()
        try:
            server.wait(self._spec.drain_s)
        except subprocess.TimeoutExpired:
            self._say(f"it did not end within {self._spec.drain_s:g} s: killed")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait(KILLED_WITHIN_S)
        self._set(server_pid=0, server_started=0.0)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._state, name, value)
        with contextlib.suppress(OSError):  # a full disk must not end the server
            write_whole(self._folder / STATE, json.dumps(asdict(self._state), indent=1))

    def _say(self, text: str) -> None:
        self._log.info("%s supervisor: %s", time.strftime("%Y-%m-%d %H:%M:%S"), text)


def _ending(code: int) -> str:
    if code < 0:
        return f"the server died of signal {signal.Signals(-code).name}"
    return f"the server ended with exit status {code}"


def _rotating_log(file: Path) -> logging.Logger:
    logging.raiseExceptions = False  # a full disk must not end the server
    handler = RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=OLD_LOGS, encoding="utf-8")
    log = logging.getLogger("benison.supervisor")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


def main(folder: Path) -> int:
    """Takes the folder's lock, leaves the caller's session, and supervises from there on.

    Returns:
        In the caller's process 0 once a supervisor runs, or RUNS_ALREADY; in the supervisor
        itself 0 at its end.
    """
    lock = (folder / LOCK).open("a")  # held until the process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return RUNS_ALREADY
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    Supervisor(folder).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
