"""The flow `reconcile`: ledgers, aliases, requests and what is served brought together.

Imports Prefect: for what runs the flow.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.states import Completed, Failed

from flows.approval_runs import keep_approval_runs
from flows.reconciler import Reconciled, chosen_models, reconcile_model
from mlproject.promotion.promoter import Promoter
from mlproject.settings import read_settings

EVENTS = {
    "put_back": "benison.alias.put_back",
    "taken_over": "benison.alias.taken_over",
    "expired": "benison.approval.expired",
}


@flow(name="reconcile", persist_result=False, log_prints=False)
def reconcile(models: list[str] | None = None) -> Any:
    """Makes MLflow and the serving root follow the ledgers.

    An alias that was moved by hand is taken over or put back; requests whose time is over are
    rejected; each open request has a flow run with a form; champions are exported.

    Args:
        models: Registered models; all that have a ledger if left out.
    """
    settings = read_settings()
    promoter = Promoter(settings)
    done = [
        reconcile_model(promoter, settings, name) for name in chosen_models(promoter, models or [])
    ]
    for reconciled in done:
        _tell(reconciled)
        if not reconciled.error:
            _keep_runs(promoter, reconciled.model)
    return _state(done)


def _tell(reconciled: Reconciled) -> None:
    logger = get_run_logger()
    for finding in reconciled.findings:
        (logger.warning if finding.kind == "put_back" else logger.info)("%s", finding.text)
        if finding.kind in EVENTS:
            version = "" if finding.version is None else str(finding.version)
            emit_event(
                EVENTS[finding.kind],
                resource={
                    "prefect.resource.id": f"benison.model.{reconciled.model}",
                    "prefect.resource.name": reconciled.model,
                    "benison.alias": finding.alias,
                    "benison.version": version,
                },
                payload={"text": finding.text, "reasons": list(finding.reasons)},
            )
    if reconciled.exported:
        logger.info("%s/%s is in %s", reconciled.model, reconciled.champion, reconciled.exported)
    if reconciled.error:
        logger.error("%s: %s", reconciled.model, reconciled.error)


def _keep_runs(promoter: Promoter, name: str) -> None:
    logger = get_run_logger()
    with get_client(sync_client=True) as client:
        kept = keep_approval_runs(client, promoter, name)
    for version in kept.opened:
        logger.info("%s/%s waits for approval: a flow run asks for it", name, version)
    for version in kept.unserved:
        logger.warning(
            "%s/%s waits for approval, and nothing serves the deployment of the flow approval; "
            "use `benison approve`",
            name,
            version,
        )
    if kept.ended:
        logger.info("%s: %d flow runs end, their requests are decided", name, kept.ended)


def _state(done: list[Reconciled]) -> Any:
    lines = "; ".join(line for reconciled in done for line in reconciled.lines())
    data = [reconciled.to_json() for reconciled in done]
    if any(reconciled.error for reconciled in done):
        return Failed(message=lines[:1_000])
    if any(reconciled.put_back for reconciled in done):
        return Completed(name="PutBack", message=lines[:1_000], data=data)
    return Completed(name="Changed" if lines else "InOrder", message=lines[:1_000], data=data)
