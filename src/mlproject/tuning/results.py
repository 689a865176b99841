"""What a study found, as files.

best.json         the best trial: hyperparameters, value, epochs, and of which study
trials.parquet    every trial that counts: number, state, value, params, seconds, epochs, ...
figures/          history, parallel coordinates, importances
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
from optuna.trial import FrozenTrial, TrialState

from mlproject.tuning.study import ERROR, FINISHED, RETRY_OF, VALUES, standing
from mlproject.tuning.trial_run import RUN

BEST_FILE, TRIALS_FILE = "best.json", "trials.parquet"
TRIALS = pa.schema(
    [
        ("number", pa.int64()),
        ("state", pa.string()),  # complete, pruned or fail
        ("value", pa.float64()),  # the objective at its best epoch; of a pruned trial the last
        ("params", pa.string()),  # hyperparameters as JSON
        ("seconds", pa.float64()),
        ("epochs", pa.int64()),
        ("retry_of", pa.int64()),  # the trial whose process died
        ("error", pa.string()),
        ("mlflow_run_id", pa.string()),
    ]
)


def trial_rows(study: optuna.Study) -> list[dict[str, Any]]:
    """The finished trials that count, as rows of `trials.parquet`."""
    return [_row(trial) for trial in standing(study).of(*FINISHED)]


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attrs = trial.user_attrs
    known = trial.value is not None and math.isfinite(trial.value)
    took = trial.duration
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value if known else None,
        "params": json.dumps(hyperparameters(trial)),
        "seconds": round(took.total_seconds(), 3) if took else None,
        "epochs": len(trial.intermediate_values),
        "retry_of": attrs.get(RETRY_OF),
        "error": attrs.get(ERROR),
        "mlflow_run_id": attrs.get(RUN),
    }


def hyperparameters(trial: FrozenTrial) -> dict[str, Any]:
    """The hyperparameters that a trial tried, as the module gets them."""
    return dict(trial.user_attrs.get(VALUES, trial.params))


def best_trial(study: optuna.Study) -> FrozenTrial:
    """The complete trial with the best value; the earliest of equal ones."""
    complete = standing(study).of(TrialState.COMPLETE)
    sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
    return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def write_results(study: optuna.Study, objective: str, folder: Path) -> dict[str, Any]:
    """Writes `best.json` and `trials.parquet`.

    Args:
        study: A study with a complete trial.
        objective: The metric's name.
        folder: The artifact's folder.

    Returns:
        What stands in `best.json`.
    """
    rows, best = trial_rows(study), best_trial(study)
    pq.write_table(pa.Table.from_pylist(rows, TRIALS), folder / TRIALS_FILE)
    value = {
        "hyperparameters": hyperparameters(best),
        "value": best.value,
        "objective": objective,
        "direction": study.direction.name.lower(),
        "trial": best.number,
        "epochs": len(best.intermediate_values),
        "trials": len(rows),
        "study": study.study_name,
    }
    (folder / BEST_FILE).write_text(json.dumps(value, indent=1), encoding="utf-8")
    return value


def read_trials(folder: Path) -> list[dict[str, Any]]:
    """The rows of an artifact's `trials.parquet`, `params` as a dict."""
    rows: list[dict[str, Any]] = pq.read_table(folder / TRIALS_FILE).to_pylist()
    return [{**row, "params": json.loads(row["params"])} for row in rows]
