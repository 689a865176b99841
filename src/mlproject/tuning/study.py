"""Which study, how it looks for values, and which of its trials count."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import numpy as np
import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from mlproject.sections import TuningSection

PROCESS, RETRY_OF, RETRIES = "process", "retry_of", "retries"
SURPLUS, ERROR, VALUES = "surplus", "error", "hyperparameters"
MAX_RETRIES = 2  # of a trial whose process died: a model too large for the machine kills each
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
STARTUP_EPOCHS = 1  # the median pruner lets the first epoch pass


@dataclass(frozen=True)
class Standing:
    """The trials of a study that count, in order of their numbers.

    Attributes:
        trials: Running and finished ones. Those lost with their process and tried again, and
            those that began while the last were running, are left out.
        waiting: Trials to be tried again, not yet begun.
    """

    trials: tuple[FrozenTrial, ...]
    waiting: int

    def of(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in some states."""
        return [trial for trial in self.trials if trial.state in states]


def open_study(
    storage: optuna.storages.BaseStorage, name: str, section: TuningSection, *, new: bool
) -> optuna.Study:
    """The newest study of a name, or one more.

    Args:
        storage: The opened database.
        name: The study's name; the second of that name is `<name>.2`.
        section: `tuning` of project.yaml.
        new: Begin one more.
    """
    existing = set(optuna.get_all_study_names(storage))
    count = 1
    while f"{name}.{count + 1}" in existing:
        count += 1
    count += new and name in existing
    return optuna.create_study(
        storage=storage,
        study_name=name if count == 1 else f"{name}.{count}",
        direction=section.direction,
        sampler=make_sampler(section, (0, 0)),
        pruner=make_pruner(section),
        load_if_exists=True,
    )


def make_sampler(section: TuningSection, place: tuple[int, int]) -> optuna.samplers.BaseSampler:
    """The sampler for one trial.

    Args:
        section: `tuning` of project.yaml.
        place: The worker, and the trials there are: a study that goes on must not try its first
            values again, and two workers not the same ones.
    """
    seed = int(np.random.SeedSequence((section.seed, *place)).generate_state(1)[0])
    if section.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, constant_liar=section.parallel > 1)


def make_pruner(section: TuningSection) -> optuna.pruners.BasePruner:
    """The pruner that project.yaml names."""
    if section.pruner == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=STARTUP_EPOCHS)
    if section.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()


def standing(study: optuna.Study) -> Standing:
    """The trials that count now, as the database has them."""
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs[RETRY_OF] for trial in trials if RETRY_OF in trial.user_attrs}
    counted = [
        trial
        for trial in trials
        if trial.state != TrialState.WAITING
        and trial.number not in again
        and not trial.user_attrs.get(SURPLUS)
    ]
    waiting = sum(trial.state == TrialState.WAITING for trial in trials)
    return Standing(tuple(sorted(counted, key=lambda t: t.number)), waiting)


def is_surplus(study: optuna.Study, number: int, limit: int) -> bool:
    """True where a trial that has begun is one too many.

    Numbers are given out one at a time by the database, so that all workers on all machines agree
    on which trial that is.
    """
    return sum(trial.number < number for trial in standing(study).trials) >= limit


def retry_lost(study: optuna.Study, trial: FrozenTrial) -> None:
    """Has a trial tried again whose process died, unless that happened too often."""
    retries = int(trial.user_attrs.get(RETRIES, 0))
    if retries < MAX_RETRIES and not trial.user_attrs.get(SURPLUS):
        try_again(study, trial, retries + 1)


def try_again(study: optuna.Study, trial: FrozenTrial, retries: int) -> None:
    """Puts a trial's values in the queue again.

    Args:
        study: The study.
        trial: The trial; it no longer counts.
        retries: How often its process died.
    """
    study.enqueue_trial(dict(trial.params), user_attrs={RETRY_OF: trial.number, RETRIES: retries})


def this_process() -> str:
    """A name of this process that no other has: machine, number and start."""
    return _process_name(os.getpid())


def fail_dead(study: optuna.Study) -> list[int]:
    """Fails the running trials whose process on this machine is gone; they are tried again.

    Those of other machines show by their heartbeat, and later.

    Returns:
        Their numbers.
    """
    failed = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        process = str(trial.user_attrs.get(PROCESS, ""))
        host, _, rest = process.partition("/")
        number = rest.partition("/")[0]
        if host != socket.gethostname() or process == _process_name(int(number)):
            continue
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except ValueError:  # another process was faster
            continue
        retry_lost(study, trial)
        failed.append(trial.number)
    return failed


def _process_name(number: int) -> str:
    try:
        process = psutil.Process(number)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"{socket.gethostname()}/{number}/{process.create_time():.2f}"
    except psutil.Error:
        return ""
