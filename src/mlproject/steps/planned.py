"""What a step reads must be what the run was planned with."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlproject.digests import cases_digest
from mlproject.errors import DataError
from mlproject.execution import StepContext
from mlproject.reach import reach_digest
from mlproject.user_module import load_module, read_module

if TYPE_CHECKING:
    from mlproject.cases import Cases


def load_planned_module(ctx: StepContext, function: str) -> ModuleType:
    """The module file, if a function of it still reaches the code that was planned with."""
    source = read_module(ctx.project.module_path)
    now = reach_digest(source, (function,))
    must_be_planned("module file", now, ctx.plan.digests.code[function])
    return load_module(source)


def read_planned_cases(ctx: StepContext) -> Cases | None:
    """The behavioural cases that project.yaml names, if they are those of the plan.

    Raises:
        ConfigError: The file of cases is wrong.
        DataError: It changed while the run was going on.
    """
    from mlproject.cases import read_cases

    config = ctx.project.config
    if config.evaluation.cases is None:
        return None
    must_be_planned("file of cases", cases_digest(ctx.project), ctx.plan.digests.cases)
    return read_cases(ctx.project.folder / config.evaluation.cases, config.training.task)


def hyperparameters_of(ctx: StepContext) -> dict[str, Any]:
    """The hyperparameters of project.yaml, with those that the Tuner found in their place."""
    tuned = ctx.plan.tuned
    if any(step.name == "tune" for step in ctx.plan.steps):
        tuned = ctx.published("tune")
    found = tuned.value["hyperparameters"] if tuned else {}
    return {**ctx.project.config.training.hyperparameters, **found}


def must_be_planned(what: str, now: str | None, planned: str | None) -> None:
    """Refuses what changed since the plan: it must not be published under the old fingerprint."""
    if now != planned:
        raise DataError(
            f"The {what} changed while the run was going on",
            received=f"digest {(now or '')[:12]}, and {(planned or '')[:12]} when the run was "
            "planned",
            next_step="run again: what is finished and unchanged is kept",
        )


def splits_of(ctx: StepContext) -> list[str]:
    """The splits of the Examples."""
    # A manifest's keys are sorted; who infers a schema takes the first split for the train split.
    return sorted(ctx.inputs["ingest"].value["splits"], key=lambda split: split != "train")
