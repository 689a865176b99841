"""What there is to say of a server on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlproject.errors import ServingError
from serving.targets.base import State, TargetStatus
from serving.targets.local_record import LocalRecord
from serving.targets.rest_view import RestView
from serving.targets.supervised import SupervisedServer
from serving.targets.supervisor import SupervisorState

NAME = "local"
MANY_DEATHS = 3  # young ones in a row, from which on the state is `failed`


def local_status(server: SupervisedServer, record: LocalRecord, token: str) -> TargetStatus:
    """The status of a deployment on this machine."""
    supervisor = server.state()
    status = TargetStatus(
        record.config.name,
        NAME,
        "stopped",
        rest_url=record.rest_url,
        grpc_address=record.grpc_address,
        facts=_facts(supervisor, server.folder),
    )
    if server.running:
        return _running(status, record, supervisor, RestView(record.rest_url, token))
    state, detail = _without_supervisor(record, supervisor)
    return replace(status, state=state, detail=detail)


def dies_again_and_again(server: SupervisedServer) -> bool:
    """Whether the server keeps dying soon after its start."""
    state = server.state()
    return state is not None and state.young_deaths >= MANY_DEATHS


def _running(
    status: TargetStatus, record: LocalRecord, supervisor: SupervisorState | None, view: RestView
) -> TargetStatus:
    name = record.config.name
    deaths = supervisor.young_deaths if supervisor else 0
    last = supervisor.last_error if supervisor else ""
    state: State = "failed" if deaths >= MANY_DEATHS else "starting"
    try:
        versions = view.available(name)
        if versions:
            status = replace(
                status,
                versions=versions,
                labels=view.labels(name, tuple(record.config.labels)),
                default_version=view.default_version(name),
            )
    except ServingError as err:
        if supervisor and supervisor.phase == "waiting":
            return replace(status, state=state, detail=f"{last}; it is started again")
        return replace(status, state=state, detail=last or str(err.received))
    missing = sorted(set(record.config.policy.versions) - set(status.versions))
    if missing:
        detail = "not loaded: " + ", ".join(f"version {number}" for number in missing)
        return replace(status, state=state, detail=detail)
    return replace(status, state="running", detail="; ".join(record.refused))


def _without_supervisor(
    record: LocalRecord, supervisor: SupervisorState | None
) -> tuple[State, str]:
    """State and detail where nothing keeps the server running."""
    if not record.serves:
        return "stopped", "stopped"
    left = supervisor.server if supervisor and supervisor.phase != "stopped" else None
    more = f"; its server, process {left.pid}, is ending" if left and left.alive else ""
    again = f"`benison deploy {record.config.name}` starts it again"
    if supervisor and supervisor.phase == "stopped":
        return "failed", f"its supervisor was ended by a signal; {again}"
    return "failed", f"its supervisor was killed{more}; {again}"


def _facts(supervisor: SupervisorState | None, folder: Path) -> Mapping[str, Any]:
    facts: dict[str, Any] = {"folder": str(folder)}
    if supervisor is None:
        return facts
    server = supervisor.server
    alive = server is not None and server.alive
    return facts | {
        "supervisor_pid": supervisor.pid,
        "pid": supervisor.server_pid if alive else None,
        "uptime_s": round(time.time() - supervisor.server_started, 1) if alive else None,
        "restarts": supervisor.restarts,
        "last_error": supervisor.last_error,
    }
