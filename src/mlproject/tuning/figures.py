"""Figures of a study, by Optuna on Matplotlib."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna.visualization import matplotlib as drawn

from mlproject.tuning.study import standing

FIGURE_IN = (9.0, 4.9)
DPI = 110
LEAST_TRIALS = 5  # complete ones, for importances


def draw_figures(study: optuna.Study, objective: str, folder: Path) -> list[str]:
    """Draws the optimisation history, parallel coordinates and importances.

    Args:
        study: The study.
        objective: The metric's name, for the axes.
        folder: Where the PNG files go.

    Returns:
        What was left out, and why.
    """
    counted = standing(study).of(TrialState.COMPLETE, TrialState.PRUNED)
    shown = _copy(study, counted)
    complete = [trial for trial in counted if trial.state == TrialState.COMPLETE]
    notes = []
    # Optuna sets a style of its own for good, which later figures are not to have.
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore")  # experimental; a range of one value; tight layout
        _save(drawn.plot_optimization_history(shown, target_name=objective), "history", folder)
        names = sorted({name for trial in complete for name in trial.params})
        varied = [n for n in names if len({repr(t.params.get(n)) for t in complete}) > 1]
        if varied:
            axes = drawn.plot_parallel_coordinate(shown, target_name=objective)
            _save(axes, "parallel_coordinates", folder)
        else:
            notes.append("no parallel coordinates: one value was tried of each hyperparameter")
        if len(complete) < LEAST_TRIALS or not varied:
            notes.append(f"no importances: {len(complete)} complete trials, {LEAST_TRIALS} needed")
        else:
            axes = drawn.plot_param_importances(shown, target_name=objective)
            _save(axes, "importance", folder)
    return notes


def _copy(study: optuna.Study, trials: list[FrozenTrial]) -> optuna.Study:
    """A study in memory with the trials that count, and no other."""
    copy = optuna.create_study(direction=study.direction)
    for trial in trials:
        copy.add_trial(
            create_trial(
                state=trial.state,
                value=trial.value,
                params=trial.params,
                distributions=trial.distributions,
                intermediate_values=trial.intermediate_values,
            )
        )
    return copy


def _save(axes: Any, name: str, folder: Path) -> None:
    figure = axes.figure
    figure.set_size_inches(*FIGURE_IN)
    figure.savefig(folder / f"{name}.png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
