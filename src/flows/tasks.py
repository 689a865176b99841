"""Prefect tasks around the steps: the one place for retry, caching and names.

A step's cache is its artifact folder (ADR 3), so Prefect's own result cache is off and a cached
step shows as the state `Cached`.
"""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from mlproject.artifacts import Artifact
from mlproject.errors import Transient
from mlproject.execution import PipelineRun

RETRIES = 2
RETRY_DELAYS_S = [2.0, 10.0]


def heals_by_retry(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """True for errors marked `Transient`."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, Transient)


@task(
    task_run_name="{name}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_condition_fn=heals_by_retry,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def run_step(run: PipelineRun, name: str) -> Any:
    """Runs one step of an opened pipeline run; returns its artifact's URI."""
    logger = get_run_logger()
    planned = run.plan.step(name)
    logger.info("%s %s: %s", name, planned.fingerprint, planned.reason)
    artifact, cached = run.run_step(name)
    logger.info("%s is in %s after %.1f s", name, artifact.uri, artifact.seconds)
    if cached:
        return Completed(name="Cached", message=artifact.uri, data=artifact.uri)
    return artifact.uri


def run_as_task(run: PipelineRun, name: str) -> tuple[Artifact, bool]:
    """Runs one step as a Prefect task named for the step."""
    named: Any = run_step.with_options(name=name)
    named(quote(run), name)  # quoted: Prefect is not to look for futures inside it
    return run.results[name]
