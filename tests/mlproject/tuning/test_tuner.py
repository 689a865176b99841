"""A whole tuning, on real studies, real trainings and a real MLflow store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from mlproject.errors import ConfigError, DataError, StorageError, UserModuleError
from mlproject.sections import TuningSection
from mlproject.tracking import Tracker
from mlproject.tuning.job import Listener
from mlproject.tuning.results import best_trial, trial_rows
from mlproject.tuning.tuner import tune

MakeJob = Callable[..., Any]
QUIET = Listener(lambda _: None, lambda _: None)
LISTS = {"hidden_units": {"choices": [[], [4], [8, 4]]}}
RATE = {"learning_rate": {"low": 1e-4, "high": 0.3, "log": True}}


def parent_run(job: Any) -> Any:
    """The job with a step's run to log under."""
    run_id = Tracker(job.settings, job.experiment).start_run("tune", {})
    return dataclasses.replace(job, run_id=run_id)


def runs_of(job: Any) -> dict[str, Any]:
    """The trials' MLflow runs by trial number."""
    tracker = Tracker(job.settings, job.experiment)
    found = tracker.client.search_runs(
        [tracker.experiment_id], f"tags.mlflow.parentRunId = '{job.run_id}'"
    )
    return {run.data.tags["benison.trial"]: run for run in found}


def test_every_trial_is_trained_and_the_best_is_taken(make_job: MakeJob) -> None:
    job = parent_run(make_job(space={**RATE, **LISTS}, trials=3, sampler="random"))
    said: list[str] = []
    study = tune(job, Listener(said.append, QUIET.live))
    rows = trial_rows(study)
    assert [row["number"] for row in rows] == [0, 1, 2]
    assert {row["state"] for row in rows} == {"complete"}
    best = best_trial(study)
    assert best.value == min(row["value"] for row in rows)
    assert best.value == min(best.intermediate_values.values())  # its best epoch
    values = [row["params"] for row in rows]
    assert len(set(values)) == 3
    lines = [line for line in said if line.startswith("trial ")]
    assert len(lines) == 3
    assert "val_loss" in lines[-1]
    assert "(3 of 3 done)" in lines[-1]
    assert not list(job.work_dir.iterdir())


def test_each_trial_is_a_run_under_the_steps_run(make_job: MakeJob) -> None:
    job = parent_run(make_job(space={**RATE, **LISTS}, trials=2))
    study = tune(job, QUIET)
    runs = runs_of(job)
    assert sorted(runs) == ["0", "1"]
    for trial in study.trials:
        run = runs[str(trial.number)]
        assert run.info.status == "FINISHED"
        assert run.info.run_id == trial.user_attrs["mlflow_run"]
        assert float(run.data.params["learning_rate"]) == pytest.approx(
            trial.params["learning_rate"]
        )
        assert run.data.params["hidden_units"] == trial.params["hidden_units"]
        history = Tracker(job.settings, "tiny").client.get_metric_history(
            run.info.run_id, "val_loss"
        )
        assert [(m.step, m.value) for m in history] == sorted(trial.intermediate_values.items())


def test_a_study_goes_on_where_it_was_left_as_if_it_had_not(make_job: MakeJob) -> None:
    whole = tune(make_job(trials=2, job={"study": "whole"}), QUIET)
    tune(make_job(trials=1), QUIET)
    said: list[str] = []
    study = tune(make_job(trials=2), Listener(said.append, QUIET.live))
    assert said[0] == "going on with an earlier run of 1 trials"
    assert [t.params for t in study.trials] == [t.params for t in whole.trials]
    assert [t.value for t in study.trials] == [t.value for t in whole.trials]
    other = tune(make_job(trials=1, seed=1, job={"study": "other"}), QUIET)
    assert other.trials[0].params != whole.trials[0].params


def test_a_new_study_leaves_the_earlier_one(make_job: MakeJob) -> None:
    first = tune(make_job(trials=1), QUIET)
    second = tune(make_job(trials=1, job={"new": True}), QUIET)
    assert (first.study_name, second.study_name) == ("tiny", "tiny.2")
    assert len(first.trials) == len(second.trials) == 1
    newest = tune(make_job(trials=1), QUIET)
    assert newest.study_name == "tiny.2"


def test_the_configured_values_are_the_first_trial(make_job: MakeJob) -> None:
    job = make_job(trials=2, space={**RATE, "epochs": {"low": 1, "high": 3}})
    there = dataclasses.replace(
        job.request, hyperparameters={"epochs": 2, "learning_rate": 0.05, "hidden_units": [4]}
    )
    study = tune(dataclasses.replace(job, request=there), QUIET)
    assert study.trials[0].params == {"learning_rate": 0.05, "epochs": 2}
    assert len(study.trials) == 2


def test_a_trial_that_lags_behind_is_pruned(make_job: MakeJob) -> None:
    """Five good trials set the median; one that cannot learn is ended before its last epoch."""
    more = (
        "\ndef tuner_fn(trial):\n"
        "    rate = trial.suggest_float('learning_rate', 1e-9, 1.0)\n"
        "    return {'learning_rate': 0.1 if trial.number < 5 else 1e-9, 'epochs': 3}\n"
    )
    job = parent_run(make_job(more=more, trials=6))
    said: list[str] = []
    study = tune(job, Listener(said.append, QUIET.live))
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED]
    assert len(study.trials[5].intermediate_values) < 3
    assert runs_of(job)["5"].info.status == "KILLED"
    assert runs_of(job)["5"].data.tags["benison.trial_state"] == "pruned"
    assert "pruned after epoch" in said[-1]
    assert best_trial(study).number != 5


def test_more_of_the_objective_may_be_better(make_job: MakeJob) -> None:
    job = make_job(objective="loss", direction="maximize", trials=1)
    (trial,) = tune(job, QUIET).trials
    assert trial.value == max(trial.intermediate_values.values())


def test_values_of_tuner_fn_reach_the_training(make_job: MakeJob) -> None:
    more = (
        "\ndef tuner_fn(trial):\n"
        "    layers = trial.suggest_int('layers', 1, 2)\n"
        "    return {'learning_rate': 0.01, 'hidden_units': [3] * layers}\n"
    )
    before = "assert hyperparameters['hidden_units'] in ([3], [3, 3]), hyperparameters"
    study = tune(make_job(before, more, trials=2), QUIET)
    for trial in study.trials:
        assert trial.user_attrs["hyperparameters"] == {
            "learning_rate": 0.01,
            "hidden_units": [3] * trial.params["layers"],
        }


def test_one_failed_trial_costs_no_other(make_job: MakeJob) -> None:
    before = "assert hyperparameters['learning_rate'] > 0.001, 'too slow'"
    job = parent_run(make_job(before, trials=4, sampler="random", seed=3))
    study = tune(job, QUIET)
    states = {trial.number: trial.state for trial in study.trials}
    failed = [number for number, state in states.items() if state == TrialState.FAIL]
    assert failed
    assert len(states) == 4
    assert "AssertionError: too slow" in study.trials[failed[0]].user_attrs["error"]
    run = runs_of(job)[str(failed[0])]
    assert run.info.status == "FAILED"
    assert "too slow" in run.data.tags["benison.error"]


def test_a_loss_that_is_no_number_fails_the_trial(make_job: MakeJob) -> None:
    job = make_job("hyperparameters['learning_rate'] = float('nan')", trials=3)
    with pytest.raises(UserModuleError, match=r"every trial failed \(3\)") as caught:
        tune(job, QUIET)
    assert "not a number" in str(caught.value.received)


def test_first_trials_that_fail_end_the_study(make_job: MakeJob) -> None:
    job = make_job("raise KeyError('depth')", trials=50)
    with pytest.raises(UserModuleError, match=r"every trial failed \(3\)") as caught:
        tune(job, QUIET)
    assert "KeyError: 'depth'" in str(caught.value.received)
    assert "project.py line" in str(caught.value.received)


def test_an_objective_that_is_not_measured_ends_the_study_at_once(make_job: MakeJob) -> None:
    job = make_job(objective="val_los", trials=50)
    with pytest.raises(ConfigError, match="objective is not among") as caught:
        tune(job, QUIET)
    assert caught.value.expected == "did you mean 'val_loss'?"
    study = optuna.load_study(
        study_name="tiny", storage=f"sqlite:///{job.settings.home / 'optuna.db'}"
    )
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_a_run_fn_without_the_callbacks_is_told_to_use_them(make_job: MakeJob) -> None:
    job = make_job("fn_args.callbacks.clear()", trials=5)
    with pytest.raises(UserModuleError, match="every trial failed") as caught:
        tune(job, QUIET)
    assert "fn_args.callbacks" in str(caught.value.received)


def test_a_full_disk_ends_the_study_and_keeps_its_trials(make_job: MakeJob, tmp_path: Path) -> None:
    full = tmp_path / "full"
    before = f"if Path({str(full)!r}).exists(): raise OSError(28, 'No space left on device')"
    tune(make_job(before, trials=1), QUIET)
    full.touch()
    with pytest.raises(StorageError, match="the disk is full"):
        tune(make_job(before, trials=3), QUIET)
    full.unlink()
    study = tune(make_job(before, trials=3), QUIET)
    assert [row["state"] for row in trial_rows(study)] == ["complete"] * 3


def test_code_that_changed_is_refused(make_job: MakeJob) -> None:
    job = make_job()
    text = job.module_path.read_text(encoding="utf-8")
    job.module_path.write_text(text.replace('"mse"', '"mae"'), encoding="utf-8")
    with pytest.raises(DataError, match="changed while the tuning was going on"):
        tune(job, QUIET)


def test_no_trial_begins_after_the_time(make_job: MakeJob) -> None:
    job = make_job("time.sleep(0.6)", trials=50, timeout_s=1.0)
    study = tune(job, QUIET)
    assert 1 <= len(study.trials) < 5


def test_mlflow_that_is_away_costs_no_trial(make_job: MakeJob) -> None:
    job = parent_run(make_job(trials=2))
    away = dataclasses.replace(job.settings, tracking_uri="http://127.0.0.1:9")
    study = tune(dataclasses.replace(job, settings=away), QUIET)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert runs_of(job) == {}
    tune(job, QUIET)  # the next run makes up for them
    runs = runs_of(job)
    assert sorted(runs) == ["0", "1"]
    assert all(run.info.status == "FINISHED" for run in runs.values())
    best = best_trial(study)
    told = Tracker(job.settings, "tiny").client.get_metric_history(
        runs[str(best.number)].info.run_id, "val_loss"
    )
    assert min(metric.value for metric in told) == pytest.approx(best.value)
    tune(job, QUIET)
    assert len(runs_of(job)) == 2


def test_an_interrupted_trial_is_tried_again(make_job: MakeJob, tmp_path: Path) -> None:
    once = tmp_path / "once"
    before = f"if not Path({str(once)!r}).exists(): Path({str(once)!r}).touch(); raise Stop"
    more = "\nclass Stop(KeyboardInterrupt):\n    pass\n"
    job = parent_run(make_job(before, more, trials=2))
    with pytest.raises(KeyboardInterrupt):
        tune(job, QUIET)
    study = tune(job, QUIET)
    rows = trial_rows(study)
    assert [(row["number"], row["state"], row["retry_of"]) for row in rows] == [
        (1, "complete", 0),
        (2, "complete", None),
    ]
    assert study.trials[1].params == study.trials[0].params
    assert runs_of(job)["0"].info.status == "KILLED"


def test_a_trial_that_another_machine_took_for_lost_does_not_count_twice(
    make_job: MakeJob,
) -> None:
    """As after a sleep of the machine: the database already holds the trial as failed."""
    before = (
        "study = optuna.load_study(study_name='tiny', storage=os.environ['STUDY']); "
        "trial = study.trials[-1]; "
        "first = trial.number == 0 and study.tell(0, state=optuna.trial.TrialState.FAIL); "
        "first and study.enqueue_trial(trial.params, user_attrs={'retry_of': 0, 'retries': 1})"
    )
    job = make_job(before, trials=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY", f"sqlite:///{job.settings.home / 'optuna.db'}")
        study = tune(job, QUIET)
    assert [(r["number"], r["state"]) for r in trial_rows(study)] == [
        (1, "complete"),
        (2, "complete"),
    ]


def test_no_space_at_all_is_said_before_any_trial(make_job: MakeJob) -> None:
    job = make_job()
    bare = dataclasses.replace(job, section=TuningSection())
    with pytest.raises(ConfigError, match="there is none"):
        tune(bare, QUIET)
    assert not (job.settings.home / "optuna.db").exists()
