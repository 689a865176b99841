"""`benison ui` (the MLflow and Prefect servers, the reconciler) and `benison schedule`."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from zoneinfo import available_timezones

from flows.kept_secret import ENCRYPTION_KEY, kept_secret
from flows.options import data_of
from flows.pipeline import Request
from flows.prefect_server import (
    LOOPBACK,
    RUNNING_FILE,
    answers,
    configured_server,
    die_with_parent,
    prefect_environment,
    prefect_home,
)
from mlproject.errors import ConfigError, PlatformError
from mlproject.settings import Settings, read_settings
from mlproject.tracking import quiet_environment, shown_uri
from mlproject.whole_file import write_whole

START_TIMEOUT_S = 120.0
DATABASE = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?:")


def ui(args: argparse.Namespace) -> int:
    """Runs MLflow's and Prefect's servers over the local home until interrupted."""
    if not 0 <= args.reconcile_s < math.inf:
        raise ConfigError(
            "Reading --reconcile-s failed",
            received=str(args.reconcile_s),
            expected="seconds above 0, or 0 for no reconciler",
        )
    settings = read_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    # With a server, a client looks at that one; over a database, a server is what is missing.
    has_database = DATABASE.match(settings.tracking_uri) is not None
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    api_url = f"http://127.0.0.1:{args.prefect_port}/api"
    mlflow_url = f"http://127.0.0.1:{args.mlflow_port}"
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(_process("prefect", _prefect_command(args.prefect_port), settings)),
        ]
        if has_database:
            command = _mlflow_command(settings, args.mlflow_port)
            webhooks = _webhook_environment(settings)
            servers.append(stack.enter_context(_process("mlflow", command, settings, **webhooks)))
        _wait(lambda: answers(api_url), servers[0], "Prefect", settings)
        if has_database:
            _wait(lambda: answers(mlflow_url), servers[1], "MLflow", settings)
        stack.enter_context(_announced(settings, api_url))
        if args.reconcile_s:
            tells = mlflow_url if has_database else _on_this_machine(settings.tracking_uri)
            command = _reconciler_command(tells, args.reconcile_s)
            where = {"PREFECT_API_URL": api_url, "BENISON_HOME": str(settings.home)}
            servers.append(stack.enter_context(_process("reconciler", command, settings, **where)))
        shown = mlflow_url if has_database else shown_uri(settings.tracking_uri)
        print(f"MLflow   {shown}/#/experiments?workflowType=machine_learning")
        print(f"Prefect  http://127.0.0.1:{args.prefect_port}")
        if args.reconcile_s:
            print(f"Aliases, requests and exports are reconciled every {args.reconcile_s:g} s")
        print("Stop with Ctrl-C.", flush=True)
        while not stop.wait(1.0):
            for server in servers:
                if server.poll() is not None:
                    raise PlatformError(
                        "A server of `benison ui` ended by itself",
                        received=f"exit code {server.returncode}",
                        next_step=f"look at the logs in {settings.home / 'logs'}",
                    )
    return 0


def schedule(args: argparse.Namespace) -> int:
    """Registers a scheduled deployment of the training flow, and runs what comes due."""
    request = Request(str(Path(args.project).resolve()), data_of(args))
    name = request.load().config.name
    settings = read_settings()
    _check_schedule(args.cron, args.timezone)
    api_url = configured_server(settings)
    if api_url is None:
        raise PlatformError(
            "Scheduling failed: there is no Prefect server",
            received="no PREFECT_API_URL, and no `benison ui` over this home",
            expected="a server that keeps the schedule",
            next_step="start `benison ui` in another terminal, then run this again",
        )
    os.environ.update(prefect_environment(settings))
    os.environ["PREFECT_API_URL"] = api_url
    os.environ["BENISON_HOME"] = str(settings.home)
    from prefect.schedules import Cron

    from flows.training import training

    print(f"training/{name} is scheduled: {args.cron} ({args.timezone}). Stop with Ctrl-C.")
    training.serve(
        name=name,
        schedule=Cron(args.cron, timezone=args.timezone),
        parameters={
            "project": request.project,
            "data": [str(Path(d).resolve()) if "=" not in d else d for d in request.data],
        },
        print_starting_message=False,
        limit=1,  # a second run would find the pipeline root in use
    )
    return 0


def _check_schedule(cron: str, timezone: str) -> None:
    """Says what Prefect would refuse, before a server is asked."""
    if timezone not in available_timezones():
        raise ConfigError(
            "Reading --timezone failed",
            received=timezone,
            expected="an IANA name, such as UTC or Europe/Berlin",
        )
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as err:
        raise ConfigError(
            "Reading --cron failed",
            received=f"'{cron}'",
            expected="five fields (minute, hour, day, month, weekday), such as '0 3 * * *'",
        ) from err


def _prefect_command(port: int) -> list[str]:
    command = [sys.executable, "-m", "prefect", "server", "start"]
    return [*command, "--host", "127.0.0.1", "--port", str(port)]


def _mlflow_command(settings: Settings, port: int) -> list[str]:
    # One worker and no job runner: two processes and 0.5 GB instead of seven and 1.15 GB.
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    return [*command, "--default-artifact-root", settings.artifact_root.as_uri()]


def _webhook_environment(settings: Settings) -> dict[str, str]:
    """Lets MLflow's server tell the reconciler on this machine what changes."""
    return {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "5",  # seconds until it knows of a new receiver
        # Its own random key would be lost with the process, and with it every webhook.
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": os.environ.get(
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
        )
        or kept_secret(settings.home, ENCRYPTION_KEY),
    }


def _reconciler_command(mlflow_url: str, every_s: float) -> list[str]:
    command = [sys.executable, "-m", "flows.reconciler_service", "--every-s", str(every_s)]
    return [*command, "--mlflow-url", mlflow_url] if mlflow_url else command


def _on_this_machine(uri: str) -> str:
    """The server's URL if it runs here, where it can tell us; empty for one elsewhere."""
    parts = urllib.parse.urlsplit(uri)
    return uri if parts.scheme in ("http", "https") and parts.hostname in LOOPBACK else ""


@contextlib.contextmanager
def _process(
    name: str, command: list[str], settings: Settings, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, its output in a log, ended with its whole group."""
    log = settings.home / "logs" / f"{name}-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment: Mapping[str, str] = {
        **os.environ,
        **quiet_environment(),
        **prefect_environment(settings),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri,  # any user may read a command line
        **variables,
    }
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _wait(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, settings: Settings
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready():
            return
        time.sleep(0.2)
    raise PlatformError(
        f"Starting the {name} server failed",
        received=f"exit code {process.poll()}",
        next_step=f"look at {settings.home / 'logs' / (name.lower() + '-server.log')}; if the port "
        "is taken, choose another (--mlflow-port, --prefect-port)",
    )


@contextlib.contextmanager
def _announced(settings: Settings, api_url: str) -> Iterator[None]:
    """Tells runs over the same home which server to use."""
    file = prefect_home(settings) / RUNNING_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"api_url": api_url}))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
