"""Configuration and hyperparameters, by dotted names."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.version_diff.parameters import compare_parameters, flatten, shown
from mlproject.version_diff.values import Fact

CONFIG = {
    "name": "taxi",
    "training": {
        "seed": 42,
        "hyperparameters": {"epochs": 3, "learning_rate": 0.003, "hidden_units": [64, 32]},
    },
    "evaluation": {"value_thresholds": {"auc": [{"min": 0.9}, {"min": 0.5, "slices": ["a=*"]}]}},
}
PARAMS = {"epochs": "3", "learning_rate": "0.003", "hidden_units": "[64, 32]", "seed": "42"}


def changed(**hyperparameters: Any) -> dict[str, Any]:
    training = CONFIG["training"]
    given = {**training["hyperparameters"], **hyperparameters}  # type: ignore[index]
    return {**CONFIG, "training": {**training, "hyperparameters": given}}  # type: ignore[dict-item]


def test_values_get_dotted_names_and_lists_of_plain_values_stay_whole() -> None:
    assert dict(flatten(CONFIG)) == {
        "name": "taxi",
        "training.seed": "42",
        "training.hyperparameters.epochs": "3",
        "training.hyperparameters.learning_rate": "0.003",
        "training.hyperparameters.hidden_units": "[64, 32]",
        "evaluation.value_thresholds.auc[0].min": "0.9",
        "evaluation.value_thresholds.auc[1].min": "0.5",
        "evaluation.value_thresholds.auc[1].slices": '["a=*"]',
    }


@pytest.mark.parametrize(
    "values", [("3", 3), ("null", None), ("true", True), ("", None), ("[]", [])]
)
def test_no_two_values_have_the_same_text(values: tuple[Any, Any]) -> None:
    assert shown(values[0]) != shown(values[1])


def test_only_what_differs_is_a_change(lay: Any) -> None:
    found = compare_parameters(
        lay(6, config=CONFIG, params=PARAMS),
        lay(7, config=changed(epochs=4, dropout=0.1), params={**PARAMS, "epochs": "4"}),
    )
    assert found.changes == (
        Fact("training.hyperparameters.dropout", None, "0.1"),
        Fact("training.hyperparameters.epochs", "3", "4"),
    )
    assert found.unjudged == ()
    assert Fact("training.seed", "42", "42") in found.items


def test_what_the_tuner_chose_is_told_of_both_versions(lay: Any) -> None:
    tuned = {**PARAMS, "learning_rate": "0.0171"}
    found = compare_parameters(
        lay(6, config=CONFIG, params=PARAMS), lay(7, config=CONFIG, params=tuned)
    )
    assert found.changes == (Fact("trained.learning_rate", "0.003", "0.0171"),)


def test_parameters_that_the_configuration_says_already_are_not_told_twice(lay: Any) -> None:
    side = lay(6, config=CONFIG, params=PARAMS)
    names = [fact.name for fact in compare_parameters(side, side).items]
    assert not [name for name in names if name.startswith("trained.")]


def test_a_version_without_configuration_is_not_recorded(lay: Any) -> None:
    found = compare_parameters(lay(6), lay(7, config=CONFIG, params=PARAMS))
    assert found.items == ()
    assert found.unjudged == (
        "taxi/6: config.json not recorded",
        "taxi/6: parameters of the training run not recorded",
    )


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, '"\\ud800"', "\x00"])
def test_a_damaged_configuration_is_a_reason(lay: Any, text: str) -> None:
    whole, damaged = lay(6, config=CONFIG), lay(7)
    (damaged.folder / "config.json").write_text(text, encoding="utf-8")
    found = compare_parameters(whole, damaged)
    assert found.items == ()
    assert found.unjudged[0].startswith("taxi/7: config.json cannot be read: ")
