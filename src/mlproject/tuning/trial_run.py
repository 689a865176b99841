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
STATUS: Mapping[TrialState, str] = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}


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
        with contextlib.suppress(TrackingError):
            run_id = self._start(trial.number, trial.user_attrs)
            trial.set_user_attr(RUN, run_id)
            self._open().log_params(run_id, shown(values))
            return run_id
        return None

    def live(self, run_id: str | None, metrics: Mapping[str, float], epoch: int) -> None:
        """Logs an epoch's metrics."""
        if run_id is not None:
            self._open().log_live(run_id, metrics, epoch)

    def record(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        """Ends the runs of finished trials, and makes those that MLflow was away for.

        Raises:
            TrackingError: MLflow is away still.
        """
        for trial in trials:
            attrs = trial.user_attrs
            if trial.state in FINISHED and not attrs.get(RECORDED) and not attrs.get(SURPLUS):
                self._end(trial)
                # A public way to note something at a finished trial does not exist: the study
                # keeps the list.
                noted = list(study.user_attrs.get(RECORDED, []))
                study.set_user_attr(RECORDED, [*noted, trial.number])

    def _end(self, trial: FrozenTrial) -> None:
        tracker, run_id = self._open(), trial.user_attrs.get(RUN)
        if run_id is None:
            run_id = self._start(trial.number, trial.user_attrs)
            tracker.log_params(run_id, shown(trial.user_attrs.get(VALUES, {})))
            for epoch, value in sorted(trial.intermediate_values.items()):
                if math.isfinite(value):
                    tracker.log_live(run_id, {self._job.section.objective: value}, epoch)
        tags = {f"{TAG}trial_state": trial.state.name.lower()}
        if ERROR in trial.user_attrs:
            tags[f"{TAG}error"] = trial.user_attrs[ERROR]
        tracker.finish_run(run_id, STATUS[trial.state], tags)

    def _start(self, number: int, attrs: Mapping[str, Any]) -> str:
        tags = {**self._job.tags, f"{TAG}study": self._job.study, f"{TAG}trial": str(number)}
        if RETRY_OF in attrs:
            tags[f"{TAG}retry_of"] = str(attrs[RETRY_OF])
        return self._open().start_run(f"trial {number}", tags, self._job.run_id)

    def _open(self) -> Tracker:
        if self._tracker is None:
            self._tracker = Tracker(self._job.settings, self._job.experiment)
        return self._tracker


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as parameters of a run: a list as its JSON text."""
    return {n: json.dumps(v) if isinstance(v, list) else v for n, v in values.items()}
