"""What is known of a project before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlproject.config import load_project
from mlproject.errors import ConfigError, PlatformError, UserModuleError
from mlproject.project_checks import check_project
from mlproject.user_module import read_module

MODULE = "def preprocessing_fn(inputs): ...\n\ndef run_fn(fn_args): ...\n"
METRICS = "\ndef custom_metrics(): ...\n"
TUNER = "\ndef tuner_fn(trial): ...\n"
CASES = "golden: [{name: a, row: {fare: 1}, at_most: 1}]\n"
SPACE = {"space": {"units": {"low": 1, "high": 9}}}


def check(folder: Path, module: str = MODULE, cases: str = CASES, **sections: Any) -> None:
    values = {
        "name": "taxi",
        "module": "taxi.py",
        "data": {"path": "trips.csv"},
        "training": {"label": "y"},
        **sections,
    }
    (folder / "project.yaml").write_text(yaml.safe_dump(values))
    (folder / "taxi.py").write_text(module)
    (folder / "cases.yaml").write_text(cases)
    project = load_project(folder)
    check_project(project, read_module(project.module_path))


def test_a_project_with_everything_is_in_order(tmp_path: Path) -> None:
    evaluation = {"cases": "cases.yaml", "custom_metrics": {"tip_error": "lower"}}
    check(tmp_path, MODULE + METRICS, evaluation=evaluation, tuning=SPACE)
    check(tmp_path, MODULE + TUNER, tuning={})


@pytest.mark.parametrize(
    ("module", "sections", "error", "said"),
    [
        ("def run_fn(fn_args): ...\n", {}, UserModuleError, "no function 'preprocessing_fn'"),
        (
            MODULE,
            {"evaluation": {"custom_metrics": {"tip_error": "lower"}}},
            UserModuleError,
            "has no function 'custom_metrics'",
        ),
        (MODULE, {"tuning": {}}, ConfigError, "Reading the search space failed: there is none"),
        (MODULE + TUNER, {"tuning": SPACE}, ConfigError, "there are two"),
        (MODULE, {"evaluation": {"cases": "none.yaml"}}, ConfigError, "none.yaml"),
    ],
    ids=["no function", "no metrics", "no space", "two spaces", "no cases"],
)
def test_parts_that_do_not_fit_are_one_clear_error(
    tmp_path: Path, module: str, sections: dict[str, Any], error: type[PlatformError], said: str
) -> None:
    with pytest.raises(error) as caught:
        check(tmp_path, module, **sections)
    assert said in str(caught.value)
    assert caught.value.next_step


def test_cases_that_the_task_cannot_answer_are_refused(tmp_path: Path) -> None:
    cases = "golden: [{name: a, row: {fare: 1}, class: 4}]\n"
    with pytest.raises(ConfigError, match="class"):
        check(tmp_path, cases=cases, evaluation={"cases": "cases.yaml"})
