"""What can be known of a project before anything runs: its parts fit each other. Light."""

from __future__ import annotations

from collections.abc import Iterable

from mlproject.cases.file import read_cases
from mlproject.config import Project
from mlproject.errors import ConfigError, UserModuleError
from mlproject.user_module import ModuleSource, check_contract, functions_of

TUNER, METRICS_FUNCTION = "tuner_fn", "custom_metrics"


def check_project(project: Project, source: ModuleSource) -> None:
    """Checks the module file, the behavioural cases and the search space.

    Args:
        project: The project.
        source: Its module file.

    Raises:
        UserModuleError: A function is missing, or takes other arguments.
        ConfigError: The file of cases is wrong; or there is no search space, or there are two.
    """
    check_contract(source)
    there = functions_of(source, (TUNER, METRICS_FUNCTION))
    config = project.config
    declared = config.evaluation.custom_metrics
    if declared and METRICS_FUNCTION not in there:
        raise no_metrics_function(source.path.name, declared)
    if config.evaluation.cases is not None:
        read_cases(project.folder / config.evaluation.cases, config.training.task)
    if config.tuning is not None:
        check_one_space(bool(config.tuning.space), TUNER in there)


def no_metrics_function(module: str, declared: Iterable[str]) -> UserModuleError:
    """The error of a module file without the metrics that project.yaml names."""
    return UserModuleError(
        f"The module file {module} has no function '{METRICS_FUNCTION}'",
        received=f"evaluation.custom_metrics: {', '.join(declared)}",
        expected=f"`def {METRICS_FUNCTION}():` that gives a dict of name -> function(labels, "
        "predictions)",
        next_step="write it, or drop `evaluation.custom_metrics` from project.yaml",
    )


def check_one_space(in_project: bool, in_module: bool) -> None:
    """Checks that project.yaml or the module file says what to tune, and not both.

    Raises:
        ConfigError: Neither does, or both do.
    """
    if in_project and in_module:
        raise ConfigError(
            "Reading the search space failed: there are two",
            received=f"tuning.space in project.yaml, and {TUNER} in the module file",
            expected="one of them",
            next_step=f"remove `tuning.space`, or {TUNER}",
        )
    if not in_project and not in_module:
        raise ConfigError(
            "Reading the search space failed: there is none",
            received=f"no tuning.space in project.yaml, and no {TUNER} in the module file",
            expected="one of them",
            next_step="add to project.yaml `tuning: {space: {learning_rate: {low: 1e-4, high: "
            "1e-2, log: true}}}`, or see docs/tuning.md",
        )
