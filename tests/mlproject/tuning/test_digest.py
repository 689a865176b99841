"""What a tuned result stands for: which changes make it another's, and which do not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mlproject.sections import ProjectConfig
from mlproject.tuning.digest import space_digest

CODE = {"run_fn": "aa", "preprocessing_fn": "bb"}


def digest(code: dict[str, str] | None = None, **changes: Any) -> str:
    config = {
        "name": "taxi",
        "module": "taxi.py",
        "data": {"path": "trips.csv"},
        "training": {"label": "y", "hyperparameters": {"rate": 0.1, "units": [8]}},
        "tuning": {"space": {"rate": {"low": 0.01, "high": 1.0}}},
    }
    for name, change in changes.items():
        config[name] = {**config[name], **change}  # type: ignore[dict-item]
    return space_digest(ProjectConfig.model_validate(config), CODE if code is None else code)


@pytest.mark.parametrize(
    "change",
    [
        {"tuning": {"trials": 99, "parallel": 4, "sampler": "random", "seed": 1}},
        {"tuning": {"when": "every_run", "timeout_s": 9.0, "pruner": "none"}},
        {"training": {"hyperparameters": {"rate": 0.7, "units": [8]}}},  # the tuned one
        {"data": {"path": "other.csv"}},
        {"code": {**CODE, "preprocessing_fn": "cc"}},
    ],
)
def test_what_a_result_survives(change: dict[str, Any]) -> None:
    assert digest(**change) == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"tuning": {"space": {"rate": {"low": 0.01, "high": 2.0}}}},
        {"tuning": {"objective": "loss"}},
        {"tuning": {"direction": "maximize"}},
        {"training": {"hyperparameters": {"rate": 0.1, "units": [16]}}},
        {"training": {"label": "z"}},
        {"training": {"task": "regression"}},
        {"training": {"custom_config": {"depth": 2}}},
        {"code": {**CODE, "run_fn": "cc"}},
        {"code": {**CODE, "tuner_fn": "cc"}},
        {"code": {"build_model": "aa"}},
    ],
)
def test_what_makes_it_another(change: dict[str, Any]) -> None:
    assert digest(**change) != digest()


def test_it_needs_no_library() -> None:
    """The plan asks for it before anything heavy is imported."""
    heavy = "optuna", "sqlalchemy", "tensorflow", "mlflow", "pyarrow", "matplotlib"
    code = (
        "import sys, mlproject.tuning.digest, mlproject.steps.tune\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
