"""The flow `approval`: one run for each request, which waits for a person with a form.

From a deployment the run is suspended: its process ends, and another goes on when the form is sent.
Otherwise the run is paused, and its process waits. Imports Prefect: for what runs the flow.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from prefect.states import Completed
from pydantic import Field

from flows.decision import Decision, decide, in_words, open_request, stage_after, what_became_of
from mlproject.errors import RegistryError
from mlproject.promotion.entries import Entry
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry.summary import read_summary
from mlproject.settings import read_settings

POLL_S = 2
# The ledger's deadline decides. Prefect would fail a run that is past its own, so that comes later:
# until then the reconciler ends the run with what became of the request.
GRACE_S = 3_600
STATE_NAMES = {Stage.PRODUCTION: "Approved", Stage.REJECTED: "Rejected"}


class ApprovalForm(RunInput):
    """The decision on a version."""

    decision: Literal["approve", "reject"] = Field(
        title="Decision", description="approve: it goes to production at once."
    )
    who: str = Field(
        title="Who", description="Your name, for the ledger.", pattern=r"\S", max_length=100
    )
    reason: str = Field(
        title="Reason", description="Why, for the ledger.", pattern=r"\S", max_length=1_600
    )


def run_name() -> str:
    """`taxi-7`: the version."""
    return "{model}-{version}".format(**flow_run.parameters)


@flow(name="approval", flow_run_name=run_name, persist_result=False, log_prints=False)
def approval(model: str, version: int, request: int, ledger: str = "") -> Any:
    """Asks a person whether a version may go to production.

    Args:
        model: The registered model.
        version: Its version.
        request: The number of the request's entry in the model's ledger.
        ledger: The MLflow run of the ledger that the request stands in; empty for any.
    """
    logger = get_run_logger()
    settings = read_settings()
    promoter = Promoter(settings)
    _same_ledger(promoter, model, ledger)
    promoter.settle(model)
    entry = open_request(promoter, model, version, request)
    if entry is None:
        return _decided(promoter, model, version, request)
    info = promoter.registry.resolve(f"{model}/{version}")
    page = f"{_question(entry)}\n\n{read_summary(settings, promoter.registry, info).to_markdown()}"
    form = ApprovalForm.with_initial_data(description=page)
    try:
        answer = _wait(form, f"request-{request}", entry)
    except FlowPauseTimeout:
        promoter.settle(model)
        return _decided(promoter, model, version, request)
    if open_request(promoter, model, version, request) is None:
        return _decided(promoter, model, version, request)
    decision = Decision(answer.decision == "approve", answer.who.strip(), answer.reason.strip())
    made = decide(promoter, info, decision)
    logger.info("%s", in_words(model, version, made))
    return _state(model, version, made)


def _wait(form: type[ApprovalForm], key: str, request: Entry) -> ApprovalForm:
    left_s = (request.deadline - datetime.now(UTC)).total_seconds() if request.deadline else 0.0
    timeout_s = math.ceil(max(left_s, 1.0))
    if deployment.id:
        return suspend_flow_run(wait_for_input=form, timeout=timeout_s + GRACE_S, key=key)
    return pause_flow_run(wait_for_input=form, timeout=timeout_s, poll_interval=POLL_S, key=key)


def _same_ledger(promoter: Promoter, model: str, ledger: str) -> None:
    known = promoter.ledger.run_id(model)
    if known is None or (ledger and ledger != known):
        raise RegistryError(
            f"Asking for the approval of '{model}' failed",
            received=f"a request in the ledger {ledger or '(any)'}",
            expected=f"the ledger {known}" if known else "a model with a ledger",
            next_step="run the flow over the MLflow store that the request stands in",
        )


def _question(request: Entry) -> str:
    until = request.deadline.isoformat(" ", "minutes") if request.deadline else "further notice"
    return f"May it go to production? Asked by {request.who}, open until {until}."


def _decided(promoter: Promoter, model: str, version: int, request: int) -> Any:
    """The end of a run whose request was decided on elsewhere, or is over."""
    entry = what_became_of(promoter, model, version, request)
    if entry is None:
        raise RegistryError(
            f"Asking for the approval of {model}/{version} failed",
            received=f"entry {request} of the ledger",
            expected="the number of a request",
            next_step=f"see `benison history {model}`",
        )
    get_run_logger().info("Decided elsewhere: %s", in_words(model, version, entry))
    return _state(model, version, entry)


def _state(model: str, version: int, entry: Entry) -> Any:
    name = STATE_NAMES.get(stage_after(entry, version), "Decided")
    return Completed(name=name, message=in_words(model, version, entry)[:1_000])
