"""The MLflow run of a trial. MLflow that goes away costs no trial: its run is made up for later."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mlproject.errors import TrackingError
from mlproject.tracking import TAG, Tracker
from mlproject.tuning.job import TuneJob
from mlproject.tuning.study import ERROR, FINISHED, RETRY_OF, SURPLUS, VALUES

RUN, RECORDED = "mlflow_run", "recorded"
DIED = "the process that ran it ended"


class TrialRuns:
    """Writes trials to MLflow as runs under the step's run.

    Args:
        job: The tuning.
    """

    def __init__(self, job: TuneJob) -> None:
        self._job = job
        self._tracker: Tracker | None = None

    def start(self, trial: optuna.Trial, values: Mapping[str, Any]) -> str | None:
        """Starts the run of a trial that begins.

        Returns:
            The run's id; None where MLflow is away.
        """
        run_id = None
        with contextlib.suppress(TrackingError):
            run_id = self._start(trial.number, trial.user_attrs)
            trial.set_user_attr(RUN, run_id)
            self._open().log_params(run_id, as_params(values))
        return run_id

    def live(self, run_id: str | None, metrics: Mapping[str, float], epoch: int) -> None:
        """Logs an epoch's metrics."""
        if run_id is not None:
            self._open().log_live(run_id, metrics, epoch)

    def end(
        self, trial: optuna.Trial, run_id: str | None, state: TrialState, error: str = ""
    ) -> None:
        """Ends the run of a trial, and notes at the trial that it is written."""
        if run_id is not None:
            with contextlib.suppress(TrackingError):
                self._open().finish_run(run_id, _status(state, error), _tags(state, error))
                trial.set_user_attr(RECORDED, True)

    def make_up(self, study: optuna.Study) -> None:
        """Ends the runs of trials whose process died, and makes those that MLflow was away for.

        Raises:
            TrackingError: MLflow is away still.
        """
        for trial in study.get_trials(deepcopy=False, states=FINISHED):
            # A finished trial takes no attribute any more: what is made up for stands in the study.
            noted = f"{RECORDED}.{trial.number}"
            known = trial.user_attrs.get(RECORDED) or study.user_attrs.get(noted)
            if not known and not trial.user_attrs.get(SURPLUS):
                self._make_up(trial)
                study.set_user_attr(noted, True)

    def _make_up(self, trial: FrozenTrial) -> None:
        tracker, run_id = self._open(), trial.user_attrs.get(RUN)
        if run_id is None:
            run_id = self._start(trial.number, trial.user_attrs)
            tracker.log_params(run_id, as_params(trial.user_attrs.get(VALUES, trial.params)))
            for epoch, value in sorted(trial.intermediate_values.items()):
                if math.isfinite(value):
                    tracker.log_live(run_id, {self._job.section.objective: value}, epoch)
        error = str(trial.user_attrs.get(ERROR, DIED if trial.state == TrialState.FAIL else ""))
        tracker.finish_run(run_id, _status(trial.state, error), _tags(trial.state, error))

    def _start(self, number: int, attrs: Mapping[str, Any]) -> str:
        tags = {**self._job.tags, f"{TAG}study": self._job.study, f"{TAG}trial": str(number)}
        if RETRY_OF in attrs:
            tags[f"{TAG}retry_of"] = str(attrs[RETRY_OF])
        return self._open().start_run(f"trial {number}", tags, self._job.run_id)

    def _open(self) -> Tracker:
        if self._tracker is None:
            self._tracker = Tracker(self._job.settings, self._job.experiment)
        return self._tracker


def as_params(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as parameters of a run: a list as its JSON text."""
    return {n: json.dumps(v) if isinstance(v, list) else v for n, v in values.items()}


def describe_values(values: Mapping[str, Any]) -> str:
    """Hyperparameters in a line of progress."""
    return ", ".join(
        f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in as_params(values).items()
    )


def _status(state: TrialState, error: str) -> str:
    if state == TrialState.COMPLETE:
        return "FINISHED"
    return "KILLED" if state == TrialState.PRUNED or error == DIED else "FAILED"


def _tags(state: TrialState, error: str) -> dict[str, str]:
    tags = {f"{TAG}trial_state": state.name.lower()}
    return tags | ({f"{TAG}error": error} if error else {})
