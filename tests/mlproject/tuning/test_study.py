"""Which trials of a study count: lost, surplus, waiting and retried ones, without training."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from mlproject.sections import TuningSection
from mlproject.tuning.study import (
    MAX_RETRIES,
    PROCESS,
    RETRIES,
    RETRY_OF,
    SURPLUS,
    fail_dead,
    is_surplus,
    make_pruner,
    make_sampler,
    open_study,
    retry_lost,
    standing,
    this_process,
)


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))


def begin(study: optuna.Study, process: str = "") -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr(PROCESS, process or this_process())
    return trial


def dead_process() -> str:
    """The name of a process that has ended."""
    code = "from mlproject.tuning.study import this_process; print(this_process())"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    return done.stdout.strip()


def test_running_and_finished_trials_count_and_waiting_ones_do_not(study: optuna.Study) -> None:
    study.tell(begin(study), 1.0)
    begin(study)
    study.enqueue_trial({"x": 0.5})
    now = standing(study)
    assert [trial.number for trial in now.trials] == [0, 1]
    assert now.waiting == 1
    assert len(now.of(TrialState.COMPLETE)) == 1


def test_a_trial_beyond_the_limit_is_surplus_for_every_worker_alike(study: optuna.Study) -> None:
    for _ in range(4):
        begin(study)
    assert [is_surplus(study, number, 3) for number in range(4)] == [False, False, False, True]


def test_a_surplus_trial_does_not_count(study: optuna.Study) -> None:
    study.tell(begin(study), 1.0)
    second = begin(study)
    second.set_user_attr(SURPLUS, True)
    study.tell(second, state=TrialState.FAIL)
    assert [trial.number for trial in standing(study).trials] == [0]


def test_trials_of_a_dead_process_are_tried_again(study: optuna.Study) -> None:
    lost = begin(study, dead_process())
    alive = begin(study)
    assert fail_dead(study) == [lost.number]
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING]
    assert [trial.number for trial in standing(study).trials] == [alive.number]
    again = study.ask()
    assert again.user_attrs == {RETRY_OF: lost.number, RETRIES: 1}
    assert again.suggest_float("x", 0, 1) == lost.params["x"]
    assert fail_dead(study) == []


@pytest.mark.parametrize("process", ["another-machine/1/1.00", "", "nonsense"])
def test_trials_of_what_is_not_known_to_be_dead_are_left(process: str, study: optuna.Study) -> None:
    trial = study.ask()
    trial.set_user_attr(PROCESS, process)
    assert fail_dead(study) == []


def test_a_number_given_out_again_is_another_process(study: optuna.Study) -> None:
    begin(study, f"{socket.gethostname()}/{os.getpid()}/1.00")
    assert fail_dead(study) == [0]


def test_a_trial_that_kills_every_process_counts_as_failed_in_the_end(study: optuna.Study) -> None:
    for _ in range(MAX_RETRIES + 1):
        trial = begin(study)
        study.tell(trial, state=TrialState.FAIL)
        retry_lost(study, study.trials[trial.number])
    now = standing(study)
    assert now.waiting == 0
    assert [(t.number, t.state) for t in now.trials] == [(MAX_RETRIES, TrialState.FAIL)]


def test_samplers_differ_by_worker_and_by_trial() -> None:
    section = TuningSection(sampler="random")

    def first(place: tuple[int, int]) -> float:
        study = optuna.create_study(sampler=make_sampler(section, place))
        return study.ask().suggest_float("x", 0, 1)

    assert first((0, 3)) == first((0, 3))
    assert len({first(place) for place in ((0, 0), (0, 1), (1, 0), (1, 1))}) == 4


@pytest.mark.parametrize(
    ("pruner", "kind"),
    [
        ("median", optuna.pruners.MedianPruner),
        ("hyperband", optuna.pruners.HyperbandPruner),
        ("none", optuna.pruners.NopPruner),
    ],
)
def test_the_pruner_is_the_one_that_is_named(pruner: str, kind: type) -> None:
    assert isinstance(make_pruner(TuningSection.model_validate({"pruner": pruner})), kind)


def test_a_new_study_of_a_name_gets_a_number() -> None:
    storage = optuna.storages.InMemoryStorage()
    section = TuningSection(direction="maximize")
    names = [
        open_study(storage, "taxi", section, new=new).study_name
        for new in (True, False, True, True, False)
    ]
    assert names == ["taxi", "taxi", "taxi.2", "taxi.3", "taxi.3"]
    newest = open_study(storage, "taxi", section, new=False)
    assert newest.direction == optuna.study.StudyDirection.MAXIMIZE
