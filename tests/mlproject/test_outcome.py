"""The outcome of a run: from the artifacts of its steps to a status and an exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlproject.artifacts import Artifact
from mlproject.outcome import Outcome, StepOutcome, ends_with, make_outcome

PASSED = {"validate": {"blocked": False, "reasons": ["warn: company (eval): new value"]}}
TABLE = [{"slice": "overall", "model": "candidate", "auc": 0.9}]
EVALUATED = {"evaluate": {"overall": {"auc": 0.9, "champion_auc": 0.8}, "table": TABLE}}
BLESSED = {"bless": {"verdict": "BLESSED", "reasons": ["auc overall is 0.9"]}}
SERVED = {
    "register": {"name": "taxi", "version": 3, "stage": "production"},
    "export": {},
    "serve": {"sample": {"fare": 1}, "prediction": [0.5], "port": 1},
}


def artifact(step: str, **value: Any) -> Artifact:
    return Artifact(step, "f", f"/root/{step}/f", value)


def outcome(*values: dict[str, dict[str, Any]]) -> Outcome:
    merged = {step: artifact(step, **value) for part in values for step, value in part.items()}
    steps = (StepOutcome("ingest", True, 1.0, 1.0, "cached", "f", "/root/ingest/f"),)
    return make_outcome("taxi", merged, steps, "run", "http://mlflow/run")


def test_a_run_to_the_end_is_blessed() -> None:
    made = outcome(PASSED, EVALUATED, BLESSED, SERVED)
    assert (made.status, made.exit_code, made.version) == ("blessed", 0, 3)
    assert made.reasons == ("auc overall is 0.9",)
    assert made.warnings == ("warn: company (eval): new value",)
    assert made.metrics == {"auc": 0.9, "champion_auc": 0.8}
    assert made.slices == tuple(TABLE)
    assert made.sample == {"sample": {"fare": 1}, "prediction": [0.5]}


@pytest.mark.parametrize("verdict", ["NOT_BLESSED", "NOT_VALIDATED", "", "blessed"])
def test_a_candidate_without_a_blessing_registers_nothing(verdict: str) -> None:
    made = outcome(PASSED, EVALUATED, {"bless": {"verdict": verdict, "reasons": ["too low"]}})
    assert (made.status, made.exit_code, made.version) == ("not_blessed", 3, None)
    assert made.reasons == ("too low",)
    assert made.metrics == {"auc": 0.9, "champion_auc": 0.8}
    assert made.sample == {}


def test_a_version_that_waits_is_staged_and_says_for_what() -> None:
    waiting = {"register": {"version": 3, "stage": "staging", "waiting": "waits for a person"}}
    made = outcome(PASSED, EVALUATED, BLESSED, waiting)
    assert (made.status, made.exit_code, made.version) == ("staged", 0, 3)
    assert made.waiting == "waits for a person"
    assert made.reasons == ("auc overall is 0.9",)
    assert made.sample == {}


def test_data_that_is_blocked_trains_nothing() -> None:
    made = outcome({"ingest": {}}, {"validate": {"blocked": True, "reasons": ["block: tips"]}})
    assert (made.status, made.exit_code, made.version) == ("blocked", 4, None)
    assert made.reasons == ("block: tips",)
    assert made.warnings == ()
    assert made.metrics == {}


@pytest.mark.parametrize("last", ["ingest", "train", "evaluate", "bless", "register", "export"])
def test_a_run_that_stopped_on_the_way_is_not_blessed(last: str) -> None:
    values: dict[str, dict[str, Any]] = {**PASSED, **BLESSED, **SERVED}
    assert outcome({last: values.get(last, {})}).status == "not_blessed"


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (artifact("validate", blocked=False), None),
        (artifact("validate", blocked=True), "blocked"),
        (artifact("bless", verdict="BLESSED"), None),
        (artifact("bless", verdict="NOT_BLESSED"), "not_blessed"),
        (artifact("bless", verdict="NOT_VALIDATED"), "not_blessed"),
        (artifact("train"), None),
        (artifact("register", stage="production"), None),
        (artifact("register", stage="staging"), "staged"),
        (artifact("register", stage="rejected"), "staged"),
        (artifact("export"), None),
        (artifact("serve"), "blessed"),
    ],
)
def test_which_artifacts_end_a_pipeline(made: Artifact, status: str | None) -> None:
    assert ends_with(made) == status


@pytest.mark.parametrize("step", ["validate", "bless", "register"])
def test_a_verdict_that_is_missing_is_not_passed_over(step: str) -> None:
    with pytest.raises(KeyError):
        ends_with(artifact(step))


def test_the_outcome_as_json_has_its_exit_code_and_steps() -> None:
    values = json.loads(json.dumps(outcome(PASSED, EVALUATED, BLESSED, SERVED).to_json()))
    assert values["exit_code"] == 0
    assert values["steps"][0]["name"] == "ingest"
    assert values["steps"][0]["cached"] is True
    assert values["mlflow_run_url"] == "http://mlflow/run"
