"""The flow `training`: from raw data to a blessed, registered, exported and tried model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.pipeline import Request, open_run, walk
from flows.tasks import run_as_task

DRAIN_TIMEOUT_S = 5.0
STATE_NAMES = {
    "blessed": "Blessed",
    "staged": "Staged",
    "not_blessed": "NotBlessed",
    "blocked": "DataBlocked",
}


def project_name() -> str:
    """The project's folder as the flow run's name: a path would be the machine's, and long."""
    project = Path(flow_run.parameters["project"]).resolve()
    return project.name if project.is_dir() else project.parent.name


@flow(name="training", flow_run_name=project_name, persist_result=False, log_prints=False)
def training(
    project: str,
    data: list[str] | None = None,
    force: bool = False,
    from_step: str = "",
    span: str = "",
    override: str = "",
) -> Any:
    """Runs a project's pipeline.

    Args:
        project: The project's folder.
        data: Where the rows are, instead of what project.yaml says: one path, or `SPLIT=PATH` for
            each split.
        force: Run every step, cached or not.
        from_step: Run this step and all after it.
        span: The newest span to take (a number, or a date as YYYY-MM-DD), for a backfill.
        override: Why the candidate is blessed whatever its thresholds and cases say; recorded with
            who said it and when. Empty for no override.
    """
    request = Request(project, tuple(data or ()), force, from_step, span, override)
    with open_run(request) as run:
        outcome = walk(run, run_as_task)
    return Completed(
        name=STATE_NAMES[outcome.status],
        message="; ".join(outcome.reasons)[:1000],
        data=outcome.to_json(),
    )


def run_training(request: Request) -> dict[str, Any]:
    """Runs the flow in this process.

    Args:
        request: What to run.

    Returns:
        The outcome as JSON values.

    Raises:
        PlatformError: As the flow raised it.
    """
    try:
        state: Any = training(
            request.project,
            list(request.data),
            request.force,
            request.from_step,
            request.span,
            request.override,
            return_state=True,
        )
    finally:
        # The embedded server ends with the run, an interrupted one too: what is queued for it goes
        # out first, or Prefect would try for a minute at the interpreter's exit.
        for worker in (APILogWorker, EventsWorker):
            worker.drain_all(timeout=DRAIN_TIMEOUT_S)
    result: dict[str, Any] = state.result()
    return result
