"""One trial: suggest, train, report each epoch's objective; pruned, failed, or a value."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
from optuna.trial import TrialState

from mlproject.errors import ConfigError, PlatformError, UserModuleError, closest
from mlproject.tuning.fit import fit_trial
from mlproject.tuning.job import TuneJob
from mlproject.tuning.space import make_suggest
from mlproject.tuning.study import ERROR, PROCESS, SURPLUS, VALUES, is_surplus, this_process
from mlproject.tuning.trial_run import DIED, TrialRuns, as_params

NOTE_EVERY_S = 10.0


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
        say: Told a line of progress.
    """

    def __init__(
        self, job: TuneJob, module: ModuleType, runs: TrialRuns, say: Callable[[str], None]
    ) -> None:
        self._job, self._module, self._runs, self._say = job, module, runs, say
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

        section, request = self._job.section, self._job.request
        self._job.work_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"trial-{trial.number}-", dir=self._job.work_dir))
        request = replace(request, hyperparameters={**request.hyperparameters, **values})
        watch = self._watch(trial, values, run_id)
        try:
            history = fit_trial(request, self._module, watch, folder)
        except Pruned as err:
            raise optuna.TrialPruned(str(err)) from None
        except NoObjective as err:
            raise self._no_objective(str(err).split()) from None
        finally:
            keras.utils.clear_session()
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

    def _watch(self, trial: optuna.Trial, values: Mapping[str, Any], run_id: str | None) -> Any:
        """A Keras callback that reports each epoch, and ends a trial that lags behind."""
        import keras

        objective, runs, say = self._job.section.objective, self._runs, self._say
        shown = ", ".join(f"{n} {_short(v)}" for n, v in as_params(values).items())

        class Watch(keras.callbacks.Callback):
            def __init__(self) -> None:
                super().__init__()
                self.noted = time.monotonic()

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                metrics = {name: float(value) for name, value in (logs or {}).items()}
                runs.live(run_id, metrics, epoch)
                if objective not in metrics:
                    # Metrics of validation may come in some epochs only.
                    if not objective.startswith("val_") or any(
                        name.startswith("val_") for name in metrics
                    ):
                        raise NoObjective(" ".join(metrics))
                    return
                trial.report(metrics[objective], epoch)
                if time.monotonic() - self.noted > NOTE_EVERY_S:
                    self.noted = time.monotonic()
                    total = (self.params or {}).get("epochs", "?")
                    say(
                        f"trial {trial.number}, epoch {epoch + 1}/{total}: "
                        f"{objective} {metrics[objective]:.4f}; {shown}"
                    )
                if trial.should_prune():
                    raise Pruned(f"{objective} {metrics[objective]:.4f} at epoch {epoch + 1}")

        return Watch()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
