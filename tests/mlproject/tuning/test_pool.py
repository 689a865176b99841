"""Several worker processes, and processes that are killed: real ones."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from mlproject.errors import ConfigError, UserModuleError
from mlproject.tracking import Tracker
from mlproject.tuning.job import Listener
from mlproject.tuning.results import trial_rows
from mlproject.tuning.tuner import tune

pytestmark = pytest.mark.slow
MakeJob = Callable[..., Any]
QUIET = Listener(lambda _: None, lambda _: None)
# Only the first process that comes here dies.
DIE_ONCE = (
    "mark = Path(os.environ['MARK']); "
    "first = not mark.exists() and not mark.touch(); "
    "first and os._exit(9)"
)


def open_tiny(job: Any) -> optuna.Study:
    return optuna.load_study(
        study_name="tiny", storage=f"sqlite:///{job.settings.home / 'optuna.db'}"
    )


def start(job: Any, folder: Path) -> subprocess.Popen[bytes]:
    """A process that tunes, in a group of its own as a shell would start it."""
    file = folder / "job.pickle"
    file.write_bytes(pickle.dumps(job))
    code = (
        "import pickle, sys\n"
        "from mlproject.tuning.job import Listener\n"
        "from mlproject.tuning.tuner import tune\n"
        f"job = pickle.loads(open({str(file)!r}, 'rb').read())\n"
        "tune(job, Listener(print, lambda _: None))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code], env=env, start_new_session=True)


def wait_for(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    over = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < over, "it did not happen in time"
        time.sleep(0.1)


def finished(job: Any) -> int:
    try:
        return len(open_tiny(job).get_trials(states=(TrialState.COMPLETE,)))
    except KeyError:  # no study yet
        return 0


def running(job: Any) -> int:
    return len(open_tiny(job).get_trials(states=(TrialState.RUNNING,)))


def is_alive(process: psutil.Process) -> bool:
    """False for a zombie, too: nobody may be there to bury what the killed process left."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_share_the_trials_of_one_study(make_job: MakeJob) -> None:
    job = make_job("time.sleep(0.5)", trials=6, parallel=2)
    run_id = Tracker(job.settings, "tiny").start_run("tune", {})
    job = dataclasses.replace(job, run_id=run_id)
    said: list[str] = []
    study = tune(job, Listener(said.append, QUIET.live))
    rows = trial_rows(study)
    assert [row["state"] for row in rows] == ["complete"] * 6
    assert len({row["params"] for row in rows}) == 6
    assert len({trial.user_attrs["process"] for trial in study.trials}) == 2
    assert len([line for line in said if line.startswith("trial ")]) == 6
    tracker = Tracker(job.settings, "tiny")
    runs = tracker.client.search_runs(
        [tracker.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'"
    )
    assert [run.info.status for run in runs] == ["FINISHED"] * 6
    assert multiprocessing.active_children() == []


def test_cpu_threads_are_divided(make_job: MakeJob, tmp_path: Path) -> None:
    seen = tmp_path / "threads"
    more = "\nimport tensorflow as tf\n"
    threads = "tf.config.threading.get_intra_op_parallelism_threads()"
    before = f"Path({str(seen)!r}).write_text(str({threads}))"
    tune(make_job(before, more, trials=2, parallel=2), QUIET)
    cpus = len(os.sched_getaffinity(0))
    assert seen.read_text() == str(max(1, cpus // 2))


def test_a_worker_that_dies_costs_its_trial_alone_and_that_is_tried_again(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    job = make_job(DIE_ONCE, trials=4, parallel=2)
    said: list[str] = []
    study = tune(job, Listener(said.append, QUIET.live))
    rows = trial_rows(study)
    assert [row["state"] for row in rows] == ["complete"] * 4
    (again,) = [row for row in rows if row["retry_of"] is not None]
    lost = study.trials[again["retry_of"]]
    assert lost.state == TrialState.FAIL
    assert study.trials[again["number"]].params == lost.params
    assert any("ended with code 9" in line for line in said)


def test_trials_that_kill_every_worker_end_the_tuning(make_job: MakeJob) -> None:
    with pytest.raises(UserModuleError, match="worker processes ended") as caught:
        tune(make_job("os._exit(9)", trials=4, parallel=2), QUIET)
    assert caught.value.received == "exit code 9 of the last"
    assert multiprocessing.active_children() == []


def test_what_no_trial_escapes_comes_from_a_worker_as_it_was_raised(make_job: MakeJob) -> None:
    with pytest.raises(ConfigError, match="objective is not among") as caught:
        tune(make_job(objective="val_los", trials=4, parallel=2), QUIET)
    assert caught.value.expected == "did you mean 'val_loss'?"


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_killed_tuning_goes_on_with_the_trials_it_has(
    parallel: int, make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job("time.sleep(1)", trials=6, parallel=parallel)
    process = start(job, tmp_path)
    wait_for(lambda: finished(job) >= 2 and running(job) >= 1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(map(is_alive, children)))
    before = [t for t in open_tiny(job).trials if t.state == TrialState.COMPLETE]
    assert 2 <= len(before) < 6
    said: list[str] = []
    study = tune(job, Listener(said.append, QUIET.live))
    assert said[0].startswith("going on with an earlier run of ")
    rows = trial_rows(study)
    assert [row["state"] for row in rows] == ["complete"] * 6
    for trial in before:
        assert study.trials[trial.number].datetime_complete == trial.datetime_complete
    assert any(row["retry_of"] is not None for row in rows)


@pytest.mark.parametrize("parallel", [1, 2])
def test_ctrl_c_ends_all_of_it_and_keeps_what_is_done(
    parallel: int, make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job("time.sleep(1)", trials=6, parallel=parallel)
    process = start(job, tmp_path)
    wait_for(lambda: finished(job) >= 1 and running(job) >= 1)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    wait_for(lambda: not any(map(is_alive, children)), 10)
    states = [trial.state for trial in open_tiny(job).trials]
    assert TrialState.RUNNING not in states
    assert TrialState.COMPLETE in states
    assert TrialState.WAITING in states  # the trial that was broken off
    rows = trial_rows(tune(job, QUIET))
    assert [row["state"] for row in rows] == ["complete"] * 6


def test_two_tunings_at_once_share_a_study_and_its_limit(make_job: MakeJob, tmp_path: Path) -> None:
    """As two machines do that have the same project, data and database."""
    job = make_job("time.sleep(0.5)", trials=5)
    processes = [start(job, tmp_path), start(job, tmp_path)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    study = open_tiny(job)
    rows = trial_rows(study)
    assert [row["state"] for row in rows] == ["complete"] * 5
    done = {t.user_attrs["process"] for t in study.trials if not t.user_attrs.get("surplus")}
    assert len(done) == 2


@pytest.mark.postgres
def test_mlflow_and_the_study_share_a_postgres_database_with_all_workers(
    make_job: MakeJob, database: str, tmp_path: Path
) -> None:
    job = make_job(trials=4, parallel=2)
    shared = dataclasses.replace(job.settings, tracking_uri=database)
    tracker = Tracker(shared, "tiny")
    run_id = tracker.start_run("tune", {})
    said: list[str] = []
    study = tune(
        dataclasses.replace(job, settings=shared, run_id=run_id), Listener(said.append, said.append)
    )
    assert [row["state"] for row in trial_rows(study)] == ["complete"] * 4
    runs = tracker.client.search_runs(
        [tracker.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'"
    )
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert not (job.settings.home / "optuna.db").exists()
    told = "".join([*said, *(str(run.data.to_dictionary()) for run in runs)])
    assert "w@rd" not in told
    assert "w%40rd" not in told
