"""The flow runs that wait for a person: one for each open request, found again by their tags.

A request is told by its ledger's MLflow run and its number there, so that models of one name in two
MLflow stores do not meet at one Prefect server. Imports Prefect when a run is looked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.decision import Decision, what_became_of
from flows.prefect_server import configured_server, prefect_environment
from mlproject.errors import PlatformError
from mlproject.promotion.asks import PLATFORM
from mlproject.promotion.entries import Entry
from mlproject.promotion.promoter import Promoter
from mlproject.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

DEPLOYMENT = "approval/benison"
APPROVAL_TAG, LEDGER_TAG, REQUEST_TAG = "approval", "ledger:", "request:"
MOST_TRIES = 10  # flow runs for one request: a run that crashed is followed by another


@dataclass(frozen=True)
class Kept:
    """What was done to the approval runs of a model.

    Attributes:
        opened: Versions that a new run asks about.
        ended: Flow runs that were told what became of their request.
        unserved: Versions that wait, and that no run can ask about: there is no deployment.
    """

    opened: tuple[int, ...] = ()
    ended: int = 0
    unserved: tuple[int, ...] = ()


def keep_approval_runs(client: SyncPrefectClient, promoter: Promoter, name: str) -> Kept:
    """Opens a run for each open request of a model, and ends those of the others.

    Args:
        client: Of the Prefect API.
        promoter: The stages.
        name: The registered model; it has been settled.
    """
    ledger = promoter.ledger.run_id(name)
    if ledger is None:
        return Kept()
    requests = {entry.number: entry for entry in promoter.standing(name).requests.values()}
    opened, unserved = [], []
    for entry in requests.values():
        made = _open(client, ledger, name, entry)
        if made is None:
            unserved.append(entry.version)
        elif made:
            opened.append(entry.version)
    ended = 0
    for run in _waiting(client, _tags(ledger)):
        number = _request_of(run)
        if number in requests:
            continue
        end = what_became_of(promoter, name, int(run.parameters.get("version", 0)), number)
        if end is not None:  # else it was asked a moment ago: nobody has decided anything
            ended += _resume(client, run, Decision(False, end.who or PLATFORM, end.why or "-"))
    return Kept(tuple(opened), ended, tuple(unserved))


def end_run(settings: Settings, ledger: str, request: Entry, decision: Decision) -> str:
    """Ends the flow run of a request that was decided elsewhere, if a Prefect server is there.

    Args:
        settings: The platform's settings.
        ledger: The MLflow run of the request's ledger.
        request: The request.
        decision: What was decided.

    Returns:
        A note for the person: what was done, or why nothing was; empty where there is no server.
    """
    try:
        url = configured_server(settings)
        if url is None:
            return ""
        with prefect_client(settings, url) as client:
            runs = _waiting(client, [*_tags(ledger), f"{REQUEST_TAG}{request.number}"])
            ended = [run.name for run in runs if _resume(client, run, decision)]
    except PlatformError as err:
        return f"its flow run was not told ({err}); the reconciler will end it"
    return f"flow run {', '.join(ended)} goes on, and ends" if ended else ""


@contextlib.contextmanager
def prefect_client(settings: Settings, url: str) -> Iterator[SyncPrefectClient]:
    """A client of the Prefect API at a URL.

    Raises:
        PlatformError: It does not answer, or refuses.
    """
    for variable, value in prefect_environment(settings).items():
        os.environ.setdefault(variable, value)
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException, RuntimeError) as err:
        raise PlatformError(
            "Asking the Prefect server failed",
            received=f"{type(err).__name__}: {str(err).splitlines()[0][:200] if str(err) else ''}",
            expected="a Prefect API that answers",
            next_step="the ledger holds all the same; the reconciler tries again",
        ) from err


def _open(client: SyncPrefectClient, ledger: str, name: str, entry: Entry) -> bool | None:
    """Whether a run was made for a request; None where nothing is there that would run it."""
    from prefect.exceptions import ObjectNotFound

    tags = [*_tags(ledger), f"{REQUEST_TAG}{entry.number}"]
    runs = _runs(client, tags)
    ended = [run for run in runs if run.state is not None and run.state.is_final()]
    if len(ended) < len(runs) or len(ended) >= MOST_TRIES:
        return False
    try:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        return None
    client.create_flow_run_from_deployment(
        deployment.id,
        name=f"{name}-{entry.version}",
        parameters={
            "model": name,
            "version": entry.version,
            "request": entry.number,
            "ledger": ledger,
        },
        tags=[*tags, f"model:{name}", f"version:{entry.version}"],
        # Two reconcilers that come here at once make one run.
        idempotency_key=f"approval:{name}:{entry.number}:{ledger}:{len(ended)}",
    )
    return True


def _resume(client: SyncPrefectClient, run: FlowRun, decision: Decision) -> bool:
    """Answers the form of a run that waits; whether it was taken."""
    answer: dict[str, Any] = {
        "decision": "approve" if decision.approve else "reject",
        "who": decision.who[:100],
        "reason": decision.reason[:1_600],
    }
    return str(client.resume_flow_run(run.id, answer).status.value) == "ACCEPT"


def _tags(ledger: str) -> list[str]:
    return [APPROVAL_TAG, f"{LEDGER_TAG}{ledger}"]


def _request_of(run: FlowRun) -> int:
    found = [tag.removeprefix(REQUEST_TAG) for tag in run.tags if tag.startswith(REQUEST_TAG)]
    return int(found[0]) if found and found[0].isdecimal() else 0


def _waiting(client: SyncPrefectClient, tags: list[str]) -> list[FlowRun]:
    return _runs(client, tags, paused=True)


def _runs(client: SyncPrefectClient, tags: list[str], *, paused: bool = False) -> list[FlowRun]:
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType

    waits = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
    chosen = FlowRunFilter(tags=FlowRunFilterTags(all_=tags), state=waits if paused else None)
    return client.read_flow_runs(flow_run_filter=chosen)
