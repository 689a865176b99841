"""Trials one after another, in this process."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mlproject.errors import UserModuleError
from mlproject.tuning.job import TuneJob
from mlproject.tuning.objective import Objective, Surplus
from mlproject.tuning.storage import open_storage, storage_url, translate_storage_errors
from mlproject.tuning.study import (
    ERROR,
    RETRIES,
    RETRY_OF,
    VALUES,
    Standing,
    make_sampler,
    open_study,
    standing,
    try_again,
)
from mlproject.tuning.trial_run import TrialRuns, as_params

FIRST_FAILURES = 3  # so many failures before any success, and the rest would fail too


def run_trials(job: TuneJob, worker: int, deadline: float, say: Callable[[str], None]) -> None:
    """Runs trials until the study has enough, or the time is over.

    Args:
        job: The tuning.
        worker: Number of this worker on this machine, from 0.
        deadline: No trial begins after it (`time.time()`).
        say: Told a line of progress.

    Raises:
        ConfigError: The search space, or the objective, is wrong.
        UserModuleError: The first trials failed, all of them.
        PlatformError: What no trial would escape, such as a full disk.
    """
    objective = Objective(job, job.load_module(), TrialRuns(job), say)
    doing, url = "Writing to the tuning study", storage_url(job.settings)
    with warnings.catch_warnings(), translate_storage_errors(doing, url):
        # Optuna's, of experimental features and of steps that do not meet the upper bound.
        warnings.filterwarnings("ignore", module="optuna")
        study = open_study(open_storage(job.settings), job.study, job.section, new=False)
        while time.time() < deadline and len(standing(study).trials) < job.section.trials:
            study.sampler = make_sampler(job.section, (worker, len(study.get_trials(False))))
            number = _run_one(study, objective)
            now = standing(study)
            mine = [trial for trial in now.trials if trial.number == number]
            if mine:
                say(describe(mine[0], now, job))
                stop_if_hopeless(now)


def _run_one(study: optuna.Study, objective: Objective) -> int:
    """Runs one trial; its number, or -1 where it was one too many."""
    begun: list[optuna.Trial] = []

    def run(trial: optuna.Trial) -> float:
        begun.append(trial)
        return objective(trial)

    try:
        study.optimize(run, n_trials=1, catch=(UserModuleError, Surplus))
    except BaseException:
        if begun and (frozen := _frozen(study, begun[0].number)):
            if any(t.user_attrs.get(RETRY_OF) == frozen.number for t in study.get_trials(False)):
                return -1  # this machine slept so long that another took the trial for lost
            # Ended from outside, or by what is no fault of the values: they are tried again.
            try_again(study, frozen, int(frozen.user_attrs.get(RETRIES, 0)))
        raise
    return begun[0].number if begun else -1


def _frozen(study: optuna.Study, number: int) -> FrozenTrial | None:
    """A trial as the database has it now."""
    return next((t for t in study.get_trials(deepcopy=False) if t.number == number), None)


def stop_if_hopeless(now: Standing) -> None:
    """Ends a study whose first trials failed.

    Raises:
        UserModuleError: With the error of the first.
    """
    failed = now.of(TrialState.FAIL)
    if len(failed) >= FIRST_FAILURES and not now.of(TrialState.COMPLETE, TrialState.PRUNED):
        raise every_trial_failed(failed)


def every_trial_failed(failed: list[FrozenTrial]) -> UserModuleError:
    """The error of a study without a result."""
    first = failed[0].user_attrs.get(ERROR, "its process ended") if failed else "none began"
    return UserModuleError(
        f"Tuning failed: every trial failed ({len(failed)})",
        received=f"trial {failed[0].number if failed else 0}: {first}",
        expected="at least one trial that trains to its end",
        next_step="mend the module file or narrow `tuning.space`; `--force` begins a new study",
    )


def describe(trial: FrozenTrial, now: Standing, job: TuneJob) -> str:
    """A line about a finished trial: its place, what it reached, and with what."""
    done = now.of(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    head = f"trial {trial.number} ({len(done)} of {job.section.trials} done): "
    if trial.state == TrialState.FAIL:
        return head + f"failed: {trial.user_attrs.get(ERROR, 'its process ended')}"
    values: dict[str, Any] = as_params(trial.user_attrs.get(VALUES, trial.params))
    shown = ", ".join(
        f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in values.items()
    )
    reached = f"{job.section.objective} {trial.value:.4f}" if trial.value is not None else ""
    if trial.state == TrialState.PRUNED:
        return f"{head}pruned after epoch {(trial.last_step or 0) + 1}, {reached}; {shown}"
    best = max if job.section.direction == "maximize" else min
    leader = best(now.of(TrialState.COMPLETE), key=lambda t: t.value or 0.0)
    place = "the best so far" if leader.number == trial.number else f"best {leader.value:.4f}"
    return f"{head}{reached} ({place}); {shown}"
