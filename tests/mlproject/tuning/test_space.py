"""Search spaces: what project.yaml and `tuner_fn` may say, and what reaches the training."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from mlproject.errors import ConfigError, UserModuleError
from mlproject.sections import SpaceSection, TuningSection
from mlproject.tuning.space import configured_params, make_suggest

Load = Callable[[str], types.ModuleType]
BARE = types.ModuleType("bare")


def tried(section: dict[str, Any], trials: int = 20) -> list[Any]:
    """The values of one hyperparameter in some trials."""
    suggest = make_suggest(TuningSection.model_validate({"space": {"x": section}}), BARE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [suggest(study.ask())["x"] for _ in range(trials)]


def test_bounds_are_kept() -> None:
    values = tried({"low": 0.25, "high": 0.5})
    assert all(isinstance(value, float) and 0.25 <= value <= 0.5 for value in values)
    assert len(set(values)) == 20


def test_a_logarithm_finds_small_values_as_often() -> None:
    values = tried({"low": 1e-6, "high": 1.0, "log": True}, 200)
    assert 60 < sum(value < 1e-3 for value in values) < 140


def test_a_step_gives_its_multiples() -> None:
    assert set(tried({"low": 0.0, "high": 0.5, "step": 0.25}, 60)) == {0.0, 0.25, 0.5}


def test_whole_bounds_give_whole_numbers() -> None:
    values = tried({"low": 1, "high": 3}, 60)
    assert set(values) == {1, 2, 3}
    assert all(isinstance(value, int) for value in values)
    assert set(tried({"low": 32, "high": 96, "step": 32}, 60)) == {32, 64, 96}


def test_bounds_written_as_fractions_give_fractions() -> None:
    values = tried({"low": 0.0, "high": 1.0}, 20)
    assert len({value for value in values if 0 < value < 1}) > 10


def test_choices_may_be_lists_and_keep_their_types() -> None:
    choices = [[64, 32], [], "relu", 3, 0.5, True]
    values = tried({"choices": choices}, 200)
    shown = {repr(value) for value in values}
    assert shown == {repr(choice) for choice in choices}


@pytest.mark.parametrize("choices", [[1, 1], [1, True], [[4], "[4]"], [0, 0.0]])
def test_choices_that_look_the_same_are_refused(choices: list[Any]) -> None:
    with pytest.raises(ConfigError, match=r"tuning\.space\.x failed: two choices are the same"):
        tried({"choices": choices})


def test_two_spaces_are_refused(load_code: Load) -> None:
    module = load_code("def tuner_fn(trial): return {'x': 1}")
    section = TuningSection.model_validate({"space": {"x": {"low": 1, "high": 2}}})
    with pytest.raises(ConfigError, match="there are two"):
        make_suggest(section, module)


def test_no_space_is_refused(load_code: Load) -> None:
    with pytest.raises(ConfigError, match="there is none"):
        make_suggest(TuningSection(), load_code("x = 1"))


def test_tuner_fn_gives_a_dict_of_plain_values(load_code: Load) -> None:
    code = "def tuner_fn(trial): return {'x': [trial.suggest_int('n', 2, 2)] * 2, 'y': 'relu'}"
    suggest = make_suggest(TuningSection(), load_code(code))
    assert suggest(optuna.create_study().ask()) == {"x": [2, 2], "y": "relu"}


@pytest.mark.parametrize(
    "body", ["None", "{}", "[1]", "{1: 2}", "{'x': object()}", "{'x': float('nan')}", "{'x': {1}}"]
)
def test_what_tuner_fn_may_not_give(body: str, load_code: Load) -> None:
    suggest = make_suggest(TuningSection(), load_code(f"def tuner_fn(trial): return {body}"))
    with pytest.raises(UserModuleError, match=r"tuner_fn of project\.py gave no hyperparameters"):
        suggest(optuna.create_study().ask())


def test_a_tuner_fn_that_raises_is_shown_with_its_line(load_code: Load) -> None:
    suggest = make_suggest(TuningSection(), load_code("def tuner_fn(trial):\n    return trial.x"))
    with pytest.raises(UserModuleError, match="'tuner_fn' failed") as caught:
        suggest(optuna.create_study().ask())
    assert "project.py line 2: return trial.x" in str(caught.value.received)


SPACE = {
    "rate": SpaceSection(low=1e-4, high=1e-1, log=True),
    "units": SpaceSection(choices=([8], [16, 8])),
    "depth": SpaceSection(low=1, high=5, step=2),
}
CONFIGURED = {"rate": 0.01, "units": [16, 8], "depth": 3, "epochs": 4}


def test_configured_values_inside_the_space_make_a_trial() -> None:
    assert configured_params(SPACE, CONFIGURED) == {"rate": 0.01, "units": "[16, 8]", "depth": 3}


@pytest.mark.parametrize(
    "change",
    [{"rate": 0.5}, {"units": [4]}, {"depth": 2}, {"depth": 2.5}, {"depth": True}, {"rate": "x"}],
)
def test_configured_values_outside_the_space_make_none(change: dict[str, Any]) -> None:
    assert configured_params(SPACE, {**CONFIGURED, **change}) is None


def test_a_missing_configured_value_makes_none() -> None:
    assert configured_params(SPACE, {"rate": 0.01}) is None
    assert configured_params({}, CONFIGURED) is None
