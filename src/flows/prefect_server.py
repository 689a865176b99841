"""Which Prefect server a run talks to: the configured one, one that `benison ui` runs, or its own.

A run's own server lives as long as the run, on a free loopback port, over the database in the
platform's home; so the Prefect UI shows the run later. It is started as a process before the
heavy imports, which overlap with its start.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlproject.errors import PlatformError
from mlproject.settings import Settings
from mlproject.tracking import shown_uri

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
HEALTH_TIMEOUT_S = 2.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
RUNNING_FILE = "server.json"


def prefect_environment(settings: Settings) -> dict[str, str]:
    """Prefect's settings for this machine: offline, and everything in the platform's home."""
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_HOME": str(prefect_home(settings)),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_COLORS": "false",
    }


def prefect_home(settings: Settings) -> Path:
    """The folder of Prefect's database and logs."""
    return settings.home / "prefect"


@dataclass
class OwnServer:
    """A Prefect server process of this run.

    Attributes:
        process: The process.
        url: Its API.
        log: What it prints.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def wait(self) -> None:
        """Waits until it answers.

        Raises:
            PlatformError: It died, or did not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if answers(self.url):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise PlatformError(
            "Starting the embedded Prefect server failed",
            received=f"exit code {self.process.poll()}; see {self.log}",
            expected=f"an answer within {START_TIMEOUT_S:.0f} s",
            next_step="look at the log, or start `benison ui` and run again",
        )

    def stop(self) -> None:
        """Stops it, by force if it does not listen."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def prefect_api(settings: Settings) -> Iterator[OwnServer | None]:
    """Sets this process up for a Prefect API; starts a server if there is none.

    Call before Prefect is imported, and `wait()` for the server that is yielded before the first
    flow runs.

    Yields:
        The server that was started for this run, or None where one runs already.

    Raises:
        PlatformError: The configured server does not answer.
    """
    for name, value in prefect_environment(settings).items():
        os.environ.setdefault(name, value)
    known = configured_server(settings)
    if known:
        os.environ["PREFECT_API_URL"] = known
        yield None
        return
    server = start_own_server(settings)
    os.environ["PREFECT_API_URL"] = server.url
    try:
        yield server
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.stop()


def start_own_server(settings: Settings) -> OwnServer:
    """Starts `prefect server` on a free loopback port, to die with this process."""
    home = prefect_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = home / "embedded-server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--no-services", "--no-ui"]
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
    return OwnServer(process, f"http://127.0.0.1:{port}/api", log)


def configured_server(settings: Settings) -> str | None:
    """The API of PREFECT_API_URL or of `benison ui`; None where there is neither.

    Raises:
        PlatformError: PREFECT_API_URL is set, and nothing answers there.
    """
    url = settings.prefect_api_url
    if url is None:
        return running_server(settings)
    # A server that wants to know who asks is one too; Prefect Cloud has no such page.
    if _health(url) not in (200, 401, 403) and ".prefect.cloud" not in url:
        raise PlatformError(
            "The Prefect server does not answer",
            received=f"PREFECT_API_URL={shown_uri(url)}",
            expected="a Prefect API, such as http://127.0.0.1:4200/api",
            next_step="start it (`benison ui` runs one), or unset PREFECT_API_URL",
        )
    return url


def running_server(settings: Settings) -> str | None:
    """The API of a server that `benison ui` runs over this home, if it answers."""
    file = prefect_home(settings) / RUNNING_FILE
    try:
        url = str(json.loads(file.read_text(encoding="utf-8"))["api_url"])
    except (OSError, ValueError, KeyError):
        return None
    return url if answers(url) else None


def answers(url: str) -> bool:
    """True where a server says at `<url>/health` that it is well."""
    return _health(url) == 200


def _health(url: str) -> int | None:
    """The status of a server's health page, or None; no proxy stands before this machine."""
    try:
        local = urllib.parse.urlsplit(url).hostname in LOOPBACK
        proxies = urllib.request.ProxyHandler({} if local else None)
        opener = urllib.request.build_opener(proxies)
        with opener.open(f"{url.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_S) as response:
            return int(response.status)
    except urllib.error.HTTPError as err:
        return err.code
    except (OSError, ValueError, http.client.HTTPException):
        return None


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def die_with_parent() -> None:
    """In the child: ends with its parent even if that is killed (Linux's PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
