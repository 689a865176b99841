"""What a study leaves: files that say the same as the study, and figures that can be drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.trial import TrialState

from mlproject.tuning.figures import LEAST_TRIALS, draw_figures
from mlproject.tuning.results import TRIALS, best_trial, read_trials, write_results
from mlproject.tuning.study import ERROR, SURPLUS, VALUES

Make = Callable[..., optuna.Study]


@pytest.fixture
def make_study() -> Make:
    """A study with complete trials, one pruned, one failed and one surplus, without training."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def make(complete: int = 6, direction: str = "minimize", choices: int = 2) -> optuna.Study:
        study = optuna.create_study(
            direction=direction,
            study_name="taxi",
            sampler=optuna.samplers.RandomSampler(seed=2),
        )
        for number in range(complete + 3):
            trial = study.ask()
            rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
            units = trial.suggest_categorical("units", ["[8]", "[16, 8]"][:choices])
            trial.set_user_attr(VALUES, {"rate": rate, "units": json.loads(units)})
            trial.report(rate, 0)
            if number < complete:
                study.tell(trial, rate)
            elif number == complete:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                trial.set_user_attr(*((ERROR, "no") if number == complete + 1 else (SURPLUS, True)))
                study.tell(trial, state=TrialState.FAIL)
        return study

    return make


@pytest.mark.parametrize(("direction", "pick"), [("minimize", min), ("maximize", max)])
def test_the_files_say_what_the_study_has(
    direction: str, pick: Callable[..., float], make_study: Make, tmp_path: Path
) -> None:
    study = make_study(direction=direction)
    found = write_results(study, "val_loss", tmp_path)
    rows = read_trials(tmp_path)
    assert [row["number"] for row in rows] == list(range(8))
    assert [row["state"] for row in rows] == ["complete"] * 6 + ["pruned", "fail"]
    assert rows[-1]["error"] == "no"
    assert rows[-1]["value"] is None
    best = pick(row["value"] for row in rows if row["state"] == "complete")
    assert found["value"] == best
    assert found["hyperparameters"] == rows[found["trial"]]["params"]
    assert isinstance(found["hyperparameters"]["units"], list)
    assert found["trials"] == 8
    assert json.loads((tmp_path / "best.json").read_text()) == found
    assert pq.read_schema(tmp_path / "trials.parquet").equals(TRIALS)


def test_the_earliest_of_equal_trials_is_the_best() -> None:
    study = optuna.create_study()
    for value in (0.5, 0.25, 0.25):
        study.tell(study.ask(), value)
    assert best_trial(study).number == 1


def test_figures_are_drawn_and_later_ones_keep_their_style(
    make_study: Make, tmp_path: Path
) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert draw_figures(make_study(), "val_loss", tmp_path) == []
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"history.png", "parallel_coordinates.png", "importance.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    assert dict(matplotlib.rcParams) == before


def test_importances_of_few_trials_are_left_out_and_said(make_study: Make, tmp_path: Path) -> None:
    notes = draw_figures(make_study(complete=LEAST_TRIALS - 1), "val_loss", tmp_path)
    assert notes == [f"no importances: {LEAST_TRIALS - 1} complete trials, {LEAST_TRIALS} needed"]
    assert not (tmp_path / "importance.png").exists()


def test_one_trial_has_a_history_alone(make_study: Make, tmp_path: Path) -> None:
    notes = draw_figures(make_study(complete=1), "val_loss", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"history.png"}
    assert notes[0].startswith("no parallel coordinates")


def test_equal_values_can_be_drawn(tmp_path: Path) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(LEAST_TRIALS):
        trial = study.ask()
        trial.suggest_float("rate", 0, 1)
        study.tell(trial, 0.5)
    draw_figures(study, "val_loss", tmp_path)
    assert (tmp_path / "history.png").exists()
