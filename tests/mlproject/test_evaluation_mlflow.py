"""Thresholds as MLflow's: what is mapped is judged by MLflow as by us; the rest is told."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow import validate_evaluation_results
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult, MetricThreshold

from mlproject.blessing import bless
from mlproject.evaluation.mlflow_results import MlflowEvaluation, mlflow_evaluation
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, MetricRow
from mlproject.sections import EvaluationSection


def rows(candidate: dict[str, float | None], champion: dict[str, float | None] | None) -> Any:
    models = {CANDIDATE: candidate, CHAMPION: champion or {}}
    return [
        MetricRow(OVERALL, model, metric, 100, value)
        for model, values in models.items()
        for metric, value in values.items()
    ]


def section(value: Any = None, change: Any = None, **more: Any) -> EvaluationSection:
    return EvaluationSection(value_thresholds=value or {}, change_thresholds=change or {}, **more)


def passes_in_mlflow(found: MlflowEvaluation) -> bool:
    thresholds = {name: MetricThreshold(**fields) for name, fields in found.thresholds.items()}
    candidate = EvaluationResult(metrics=dict(found.candidate), artifacts={})
    baseline = found.baseline
    compared = None if baseline is None else EvaluationResult(dict(baseline), artifacts={})
    try:
        validate_evaluation_results(thresholds, candidate, compared)
    except MlflowException:
        return False
    return True


def passes_here(given: Any, asked: EvaluationSection) -> bool:
    infra = {"verdict": "INFRA_BLESSED", "reasons": []}
    return bless(given, [], asked, [], infra).verdict == "BLESSED"


MAPPED = {
    "min": section({"auc": {"min": 0.9}}),
    "max": section({"log_loss": {"max": 0.3}}),
    "several": section(
        {"auc": [{"min": 0.5}, {"min": 0.9}], "log_loss": [{"max": 0.3}, {"max": 1}]}
    ),
    "improvement": section(change={"auc": {"max_loss": -0.01}, "log_loss": {"max_loss": -0.01}}),
    "relative": section(change={"auc": {"max_relative_loss": -0.02}}),
    "relative of less": section(change={"log_loss": {"max_relative_loss": -0.05}}),
    "no loss": section(change={"auc": {"max_loss": 0}, "log_loss": {"max_relative_loss": 0}}),
    "both": section({"auc": {"min": 0.85}}, {"auc": [{"max_loss": 0}, {"max_loss": -0.001}]}),
    "r2": section(change={"r2": {"max_relative_loss": -0.1}}),
    "custom": section(
        {"cost": {"max": 5}}, {"cost": {"max_loss": -1}}, custom_metrics={"cost": "lower"}
    ),
}
CANDIDATES: list[dict[str, float | None]] = [
    {"auc": auc, "log_loss": loss, "r2": r2, "cost": cost}
    for auc, loss, r2, cost in (
        (0.9, 0.3, -0.5, 5.0),
        (0.88, 0.32, -0.6, 6.0),
        (0.92, 0.25, -0.4, 3.0),
        (0.8999, 0.29, -0.449, 4.0),
        (None, None, None, None),
    )
]
CHAMPION_VALUES: dict[str, float | None] = {"auc": 0.9, "log_loss": 0.3, "r2": -0.5, "cost": 5.0}


@pytest.mark.parametrize("candidate", CANDIDATES, ids=["equal", "worse", "better", "near", "none"])
@pytest.mark.parametrize("asked", MAPPED.values(), ids=MAPPED)
def test_what_is_mapped_is_judged_alike(
    asked: EvaluationSection, candidate: dict[str, float | None]
) -> None:
    given = rows(candidate, CHAMPION_VALUES)
    found = mlflow_evaluation(given, asked)
    assert found.not_mapped == ()
    assert set(found.thresholds) == {*asked.value_thresholds, *asked.change_thresholds}
    assert passes_in_mlflow(found) == passes_here(given, asked)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (section({"auc": {"max": 0.9}}), "auc max 0.9 on overall: MLflow bounds only the worse"),
        (section({"log_loss": {"min": 0.1}}), "log_loss min 0.1 on overall: MLflow bounds only"),
        (
            section(change={"auc": {"max_loss": 0.003}}),
            "auc max_loss 0.003 on overall: MLflow asks",
        ),
        (section(change={"auc": {"max_relative_loss": 0.01}}), "allows no loss"),
        (section(change={"auc": {"max_relative_loss": -1.5}}), "at most twice"),
        (section(change={"f1": {"max_loss": 0}}), "f1 max_loss 0 on overall: MLflow compares"),
        (section({"auc": {"min": 0.9, "judge": "proven"}}), "MLflow knows no intervals"),
        (
            section({"auc": {"min": 0.9, "slices": ["k=*"]}}, slices=("k",)),
            "auc min 0.9 on k=*: MLflow knows no slices",
        ),
    ],
)
def test_what_mlflow_cannot_say_is_told_and_not_bent(asked: EvaluationSection, why: str) -> None:
    champion = {**CHAMPION_VALUES, "f1": 0.0}
    found = mlflow_evaluation(rows({**CANDIDATES[0], "f1": 0.1}, champion), asked)
    assert found.thresholds == {}
    (told,) = found.not_mapped
    assert why in told


def test_without_a_champion_change_thresholds_are_told() -> None:
    asked = section({"auc": {"min": 0.8}}, {"auc": {"max_loss": -0.1}})
    found = mlflow_evaluation(rows({"auc": 0.9}, None), asked)
    assert found.baseline is None
    assert found.thresholds == {"auc": {"greater_is_better": True, "threshold": 0.8}}
    assert found.not_mapped == ("auc max_loss -0.1 on overall: there is no champion",)
    assert passes_in_mlflow(found)


def test_one_part_of_a_threshold_may_be_mapped_and_one_not() -> None:
    asked = section({"auc": {"min": 0.8, "max": 0.95, "slices": ["overall", "k=*"]}}, slices=("k",))
    found = mlflow_evaluation(rows({"auc": 0.9}, None), asked)
    assert found.thresholds["auc"]["threshold"] == 0.8
    assert len(found.not_mapped) == 3
