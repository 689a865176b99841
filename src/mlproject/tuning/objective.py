"""One trial: suggest, train, report each epoch's objective; pruned, failed, or a value."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
from optuna.trial import TrialState

from mlproject.errors import ConfigError, PlatformError, UserModuleError, closest
from mlproject.tuning.job import Listener, TuneJob
from mlproject.tuning.space import make_suggest
from mlproject.tuning.study import ERROR, PROCESS, SURPLUS, VALUES, is_surplus, this_process
from mlproject.tuning.trial_run import DIED, TrialRuns, describe_values


class Surplus(Exception):  # noqa: N818 - no error: the study has all its trials
    """A trial that began while the last ones were running."""


class EndOfTrial(BaseException):
    """Leaves a training from within its callback; no `except Exception` of a module stops it."""


class Pruned(EndOfTrial):
    """The trial lags behind the others."""


class NoObjective(EndOfTrial):
    """The objective is not among the training's metrics."""


class Objective:
    """Runs a trial, for `study.optimize`.

    Args:
        job: The tuning.
        module: The loaded module file.
        runs: The trials' MLflow runs.
        listener: Told how each training goes.
    """

    def __init__(
        self, job: TuneJob, module: ModuleType, runs: TrialRuns, listener: Listener
    ) -> None:
        self._job, self._module, self._runs, self._listener = job, module, runs, listener
        self._suggest = make_suggest(job.section, module)

    def __call__(self, trial: optuna.Trial) -> float:
        """Trains one model.

        Returns:
            The objective at its best epoch.

        Raises:
            Surplus: The study has all its trials.
            optuna.TrialPruned: The trial lags behind.
            UserModuleError: The module file raised, or trained to no number.
            PlatformError: What no other trial would escape: the objective is not measured, the
                disk is full.
        """
        trial.set_user_attr(PROCESS, this_process())
        if is_surplus(trial.study, trial.number, self._job.section.trials):
            trial.set_user_attr(SURPLUS, True)
            raise Surplus
        try:
            values = self._suggest(trial)
        except UserModuleError as err:
            if isinstance(err.__cause__, optuna.TrialPruned):  # tuner_fn rejects its own values
                raise err.__cause__ from err
            trial.set_user_attr(ERROR, str(err))
            raise
        trial.set_user_attr(VALUES, values)
        run_id = self._runs.start(trial, values)
        try:
            value = self._train(trial, values, run_id)
        except optuna.TrialPruned:
            self._runs.end(trial, run_id, TrialState.PRUNED)
            raise
        except BaseException as err:
            error = str(err) if isinstance(err, UserModuleError) else DIED
            trial.set_user_attr(ERROR, error)
            self._runs.end(trial, run_id, TrialState.FAIL, error)
            raise
        self._runs.end(trial, run_id, TrialState.COMPLETE)
        return value

    def _train(self, trial: optuna.Trial, values: Mapping[str, Any], run_id: str | None) -> float:
        """Trains with a trial's values; the objective at its best epoch."""
        import keras

        from mlproject.tuning.fit import fit_trial

        section, request = self._job.section, self._job.request
        self._job.work_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"trial-{trial.number}-", dir=self._job.work_dir))
        request = replace(request, hyperparameters={**request.hyperparameters, **values})

        def live(text: str) -> None:
            self._listener.live(f"trial {trial.number}: {text}; {describe_values(values)}")

        try:
            history = fit_trial(request, self._module, self._watch(trial, run_id), folder, live)
        except Pruned as err:
            raise optuna.TrialPruned(str(err)) from None
        except NoObjective as err:
            raise self._no_objective(str(err).split()) from None
        finally:
            keras.utils.clear_session(free_memory=True)  # `gc.freeze` makes it cheap
            shutil.rmtree(folder, ignore_errors=True)
        if section.objective not in history:
            raise self._no_objective(history)
        best = max if section.direction == "maximize" else min
        reached = [value for value in history[section.objective] if math.isfinite(value)]
        if not reached:
            raise UserModuleError(
                f"A trial failed: {section.objective} is not a number",
                received=f"{section.objective} {history[section.objective][-1:]}",
                expected="a finite value in at least one epoch",
            )
        return best(reached)

    def _no_objective(self, metrics: Any) -> PlatformError:
        name = self._job.section.objective
        if not metrics:
            return UserModuleError(
                f"Tuning failed: the training told no metric, so no {name}",
                received="a run_fn that did not give fn_args.callbacks to `fit`",
                expected="`model.fit(..., callbacks=fn_args.callbacks)`",
            )
        return ConfigError(
            "Tuning failed: the objective is not among the training's metrics",
            received=f"tuning.objective {name}",
            expected=closest(name, metrics),
            next_step="set `tuning.objective` in project.yaml, or add the metric in "
            "`model.compile(metrics=...)`",
        )

    def _watch(self, trial: optuna.Trial, run_id: str | None) -> Any:
        """A Keras callback that reports each epoch, and ends a trial that lags behind."""
        import keras

        objective, runs = self._job.section.objective, self._runs

        class Watch(keras.callbacks.Callback):
            def __init__(self) -> None:
                super().__init__()
                self.epochs = 0  # of every `fit` of the trial

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                metrics = {name: float(value) for name, value in (logs or {}).items()}
                step, self.epochs = self.epochs, self.epochs + 1
                runs.live(run_id, metrics, step)
                if objective not in metrics:
                    # Metrics of validation may come in some epochs only.
                    if not objective.startswith("val_") or any(
                        name.startswith("val_") for name in metrics
                    ):
                        raise NoObjective(" ".join(metrics))
                    return
                trial.report(metrics[objective], step)
                last = epoch + 1 >= int((self.params or {}).get("epochs") or 0)
                if not last and trial.should_prune():
                    raise Pruned(f"{objective} {metrics[objective]:.4f} at epoch {self.epochs}")

        return Watch()
