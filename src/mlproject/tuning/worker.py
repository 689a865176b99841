"""Trials one after another, in this process."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.trial import FrozenTrial, TrialState

from mlproject.errors import UserModuleError
from mlproject.tuning.job import Listener, TuneJob
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
from mlproject.tuning.trial_run import TrialRuns, describe_values

FIRST_FAILURES = 3  # so many failures before any success, and the rest would fail too


def run_trials(job: TuneJob, worker: int, deadline: float, listener: Listener) -> None:
    """Runs trials until the study has enough, or the time is over.

    Args:
        job: The tuning.
        worker: Number of this worker on this machine, from 0.
        deadline: No trial begins after it (`time.time()`).
        listener: Told how it goes.

    Raises:
        ConfigError: The search space, or the objective, is wrong.
        UserModuleError: The first trials failed, all of them.
        PlatformError: What no trial would escape, such as a full disk.
    """
    objective = Objective(job, job.load_module(), TrialRuns(job), listener)
    doing, url = "Writing to the tuning study", storage_url(job.settings)
    with warnings.catch_warnings(), translate_storage_errors(doing, url), quick_collection():
        # Optuna's, of experimental features and of steps that do not meet the upper bound.
        warnings.filterwarnings("ignore", module="optuna")
        study = open_study(open_storage(job.settings), job.study, job.section, new=False)
        while has_time(study, deadline) and len(standing(study).trials) < job.section.trials:
            study.sampler = make_sampler(job.section, (worker, len(study.get_trials(False))))
            number = _run_one(study, objective)
            now = standing(study)
            mine = [trial for trial in now.trials if trial.number == number]
            if mine:
                listener.note(describe(mine[0], now, job))
                stop_if_hopeless(now)


def has_time(study: optuna.Study, deadline: float) -> bool:
    """True before the deadline, and for a first trial after it: imports may take all the time."""
    return time.time() < deadline or not standing(study).trials


@contextmanager
def quick_collection() -> Iterator[None]:
    """Keeps the libraries' objects out of the garbage collection after each trial.

    Looking through those of TensorFlow takes half a second, a model's some milliseconds.
    """
    import keras  # noqa: F401 - loaded now, its objects stand still too

    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
    shown = describe_values(trial.user_attrs.get(VALUES, trial.params))
    reached = f"{job.section.objective} {trial.value:.4f}" if trial.value is not None else ""
    if trial.state == TrialState.PRUNED:
        return f"{head}pruned after epoch {(trial.last_step or 0) + 1}, {reached}; {shown}"
    best = max if job.section.direction == "maximize" else min
    leader = best(now.of(TrialState.COMPLETE), key=lambda t: t.value or 0.0)
    place = "the best so far" if leader.number == trial.number else f"best {leader.value:.4f}"
    return f"{head}{reached} ({place}); {shown}"
