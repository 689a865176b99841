"""A tuning: from a job to a study with all its trials, resumed where one was left."""

from __future__ import annotations

import contextlib
import time

import optuna
from optuna.trial import TrialState

from mlproject.errors import TrackingError, UserModuleError
from mlproject.tuning.job import Listener, TuneJob
from mlproject.tuning.pool import Pool, Worker
from mlproject.tuning.space import configured_params, make_suggest
from mlproject.tuning.storage import open_storage, storage_url, translate_storage_errors
from mlproject.tuning.study import Standing, fail_dead, open_study, standing
from mlproject.tuning.trial_run import TrialRuns
from mlproject.tuning.worker import FIRST_FAILURES, every_trial_failed, has_time, run_trials

WAIT_S = 2.0


def tune(job: TuneJob, listener: Listener) -> optuna.Study:
    """Runs the trials that a study lacks.

    Args:
        job: The tuning.
        listener: Told how it goes.

    Returns:
        The study, with at least one complete trial.

    Raises:
        ConfigError: The search space, the objective or the study's database is wrong.
        UserModuleError: No trial was completed.
        TrackingError: The study's database failed, or refused.
    """
    make_suggest(job.section, job.load_module())
    began = time.time()
    deadline = began + (job.section.timeout_s or float("inf"))
    doing = "Writing to the tuning study"
    with translate_storage_errors(doing, storage_url(job.settings)):
        storage = open_storage(job.settings)
        study = open_study(storage, job.study, job.section, new=job.new)
        _begin(study, job, listener)
        runs = TrialRuns(job)
        try:
            _run(study, job, deadline, listener)
        finally:
            fail_dead(study)
            with contextlib.suppress(TrackingError):  # the next run makes up for what is left
                runs.make_up(study)
        now = standing(study)
        if not now.of(TrialState.COMPLETE):
            raise every_trial_failed(now.of(TrialState.FAIL, TrialState.PRUNED))
        return study


def _begin(study: optuna.Study, job: TuneJob, listener: Listener) -> None:
    """Takes up what an earlier run left, or queues the configured values as the first trial."""
    earlier = standing(study)
    lost = fail_dead(study)
    if earlier.trials or earlier.waiting:
        again = f", {len(lost)} of them lost with their process" if lost else ""
        listener.note(f"going on with an earlier run of {len(earlier.trials)} trials{again}")
        return
    params = configured_params(job.section.space, job.request.hyperparameters)
    if params is not None:
        study.enqueue_trial(params)


def _run(study: optuna.Study, job: TuneJob, deadline: float, listener: Listener) -> None:
    if job.section.parallel == 1:
        run_trials(job, 0, deadline, listener)
    else:
        _run_pool(study, job, deadline, listener)
    while has_time(study, deadline):
        now = standing(study)
        if len(now.trials) < job.section.trials:  # one was lost on another machine
            run_trials(job, 0, deadline, listener)
        elif now.of(TrialState.RUNNING):
            listener.note(f"waiting for {len(now.of(TrialState.RUNNING))} trials of other machines")
            time.sleep(WAIT_S)
            optuna.storages.fail_stale_trials(study)
        else:
            return


def _run_pool(study: optuna.Study, job: TuneJob, deadline: float, listener: Listener) -> None:
    """Runs the workers; one that dies is replaced if a trial died with it."""
    pool = Pool(job, deadline, listener)
    with pool.ending():
        for _ in range(min(job.section.parallel, _missing(standing(study), job))):
            pool.start()
        while pool.alive:
            for worker in pool.ended():
                _take_leave(worker, pool, study, job, listener)


def _take_leave(
    worker: Worker, pool: Pool, study: optuna.Study, job: TuneJob, listener: Listener
) -> None:
    """Looks at why a worker ended."""
    code = worker.process.exitcode
    if worker.error is not None:
        raise worker.error
    if code == 0:
        return
    pool.deaths += 1
    lost = fail_dead(study)
    what = f"trial {lost[0]} is lost with it" if lost else "no trial is lost"
    listener.note(f"a worker ended with code {code}; {what}")
    now = standing(study)
    hopeless = pool.deaths >= FIRST_FAILURES and not now.of(TrialState.COMPLETE, TrialState.PRUNED)
    if lost and _missing(now, job) and not hopeless:
        pool.start()
    elif hopeless or not pool.alive:
        raise UserModuleError(
            "Tuning failed: its worker processes ended, one after the other",
            received=f"exit code {code} of the last" + (" (killed)" if code == -9 else ""),
            expected="workers that train",
            next_step="look for what ended them in the log (a machine out of memory kills with "
            "-9: lower `tuning.parallel`), then run again: finished trials are kept",
        )


def _missing(now: Standing, job: TuneJob) -> int:
    return max(0, job.section.trials - len(now.trials))
