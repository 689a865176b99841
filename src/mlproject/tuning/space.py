"""What a trial tries: a value for each name of `tuning.space`, or what `tuner_fn` suggests."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna

from mlproject.errors import ConfigError, UserModuleError
from mlproject.project_checks import TUNER, check_one_space
from mlproject.sections import SpaceSection, TuningSection
from mlproject.user_module import call_user_function

Suggest = Callable[[optuna.Trial], dict[str, Any]]


def make_suggest(section: TuningSection, module: ModuleType) -> Suggest:
    """A function that gives a trial its hyperparameters.

    Args:
        section: `tuning` of project.yaml.
        module: The loaded module file.

    Returns:
        A function of an Optuna trial that gives a dict of hyperparameters.

    Raises:
        ConfigError: There is no space, there are two, or its choices cannot be told apart.
    """
    function: Any = getattr(module, TUNER, None)
    check_one_space(bool(section.space), function is not None)
    if section.space:
        for name, part in section.space.items():
            labels(name, part)
        return lambda trial: {n: suggest_value(trial, n, p) for n, p in section.space.items()}
    path = Path(str(module.__file__))
    return lambda trial: _called(function, path, trial)


def suggest_value(trial: optuna.Trial, name: str, part: SpaceSection) -> Any:
    """A value of one hyperparameter: a number between the bounds, or one of the choices."""
    if part.choices:
        by_label = labels(name, part)
        return by_label[trial.suggest_categorical(name, list(by_label))]
    low, high = float(part.low or 0.0), float(part.high or 0.0)
    if part.whole:
        step = int(part.step or 1)
        return trial.suggest_int(name, int(low), int(high), step=step, log=part.log)
    return trial.suggest_float(name, low, high, step=part.step, log=part.log)


def labels(name: str, part: SpaceSection) -> dict[Any, Any]:
    """The choices as Optuna takes them -> the choices: a list stands as its JSON text.

    Raises:
        ConfigError: Two choices would look the same.
    """
    by_label = {json.dumps(c) if isinstance(c, list) else c: c for c in part.choices}
    if len(by_label) != len(part.choices):
        raise ConfigError(
            f"Reading tuning.space.{name} failed: two choices are the same",
            received=", ".join(json.dumps(c) for c in part.choices),
            expected="choices that can be told apart (1, 1.0 and true cannot)",
        )
    return by_label


def configured_params(
    space: Mapping[str, SpaceSection], hyperparameters: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What project.yaml trains with now, as a trial of the space.

    Args:
        space: `tuning.space`.
        hyperparameters: `training.hyperparameters`.

    Returns:
        Optuna's parameters; None where a value is missing, or is outside the space.
    """
    params: dict[str, Any] = {}
    for name, part in space.items():
        if name not in hyperparameters:
            return None
        value = hyperparameters[name]
        if part.choices:
            found = [label for label, choice in labels(name, part).items() if choice == value]
            if not found:
                return None
            params[name] = found[0]
        elif _is_within(part, value):
            params[name] = int(value) if part.whole else float(value)
        else:
            return None
    return params or None


def _is_within(part: SpaceSection, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = float(part.low or 0.0), float(part.high or 0.0)
    step = part.step or (1.0 if part.whole and not part.log else None)
    on_grid = step is None or math.isclose((value - low) / step, round((value - low) / step))
    return low <= value <= high and on_grid and (not part.whole or value == int(value))


def _called(
    function: Callable[[optuna.Trial], Any], path: Path, trial: optuna.Trial
) -> dict[str, Any]:
    """What `tuner_fn` gives, held to what can be kept: a dict of plain values."""
    given = call_user_function(function, path, trial)
    try:
        if isinstance(given, dict) and given and all(isinstance(name, str) for name in given):
            return dict(json.loads(json.dumps(given, allow_nan=False)))
        problem = f"{type(given).__name__}: {given!r}"
    except (TypeError, ValueError) as err:
        problem = f"{given!r}: {err}"
    raise UserModuleError(
        f"{TUNER} of {path.name} gave no hyperparameters",
        received=problem[:300],
        expected="a dict of names to numbers, texts, booleans and lists of them, such as "
        "{'learning_rate': trial.suggest_float('learning_rate', 1e-4, 1e-2, log=True)}",
    )
