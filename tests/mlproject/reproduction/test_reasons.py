"""Why a reproduction may differ: each circumstance says so, and none is invented."""

from __future__ import annotations

import dataclasses

import pytest

from mlproject.reproduction.reasons import Circumstances, changed_steps, find_reasons
from mlproject.reproduction.values import ArrayGap, Comparison, MetricGap

HERE = {"python": "3.11.2", "tensorflow": "2.16.2", "gpus": "none", "replicas": "1", "cores": "2"}
SAME = Circumstances(then=HERE, now=HERE, commit="a" * 40)
EQUAL = ArrayGap(10, 0, 0.0)
OFF = Comparison(3, (), ArrayGap(10, 1, 0.1), EQUAL)


def reasons(comparison: Comparison | None = OFF, **changes: object) -> str:
    return "\n".join(find_reasons(dataclasses.replace(SAME, **changes), comparison))  # type: ignore[arg-type]


def test_an_identical_model_under_the_same_circumstances_needs_no_reason() -> None:
    assert reasons(Comparison(3, (), EQUAL, EQUAL)) == ""


def test_a_difference_that_nothing_recorded_explains_is_put_down_to_the_training() -> None:
    assert "does not follow the seed" in reasons()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"now": {**HERE, "tensorflow": "2.17.0"}}, "TensorFlow: 2.16.2 then, 2.17.0 now"),
        ({"now": {**HERE, "gpus": "GPU:0"}}, "GPUs: none then, GPU:0 now"),
        ({"now": {**HERE, "replicas": "4"}}, "replicas of the training: 1 then, 4 now"),
        ({"now": {**HERE, "cores": "8"}}, "processor cores: 2 then, 8 now"),
        ({"then": {}}, "was not recorded"),
        ({"commit": "a" * 40 + "-dirty"}, "uncommitted changes on commit aaaaaaaaaaaa;"),
        ({"from_folder": "/home/ann/taxi"}, "other files come from /home/ann/taxi as it is now"),
        ({"module": "mine.py"}, "the module file is mine.py, not the recorded one"),
        ({"changed_steps": ("train",)}, "the step 'train' is not planned as it was"),
    ],
)
def test_each_circumstance_is_named_and_nothing_else(change: dict[str, object], said: str) -> None:
    found = reasons(**change)
    assert said in found
    assert len(found.splitlines()) == 1


def test_the_most_telling_comes_first() -> None:
    found = reasons(now={**HERE, "cores": "8", "gpus": "GPU:0"}, module="mine.py").splitlines()
    assert [line.split(":")[0].split(" is ")[0] for line in found] == [
        "the module file",
        "GPUs",
        "processor cores",
    ]


def test_a_changed_module_explains_the_steps_that_run_its_code() -> None:
    found = reasons(module="mine.py", changed_steps=("ingest", "transform", "train"))
    assert "'ingest'" in found
    assert "'train'" not in found


def test_other_metrics_of_the_recorded_model_itself_point_at_the_evaluation() -> None:
    again = MetricGap("overall", "auc", 0.9, 0.8, 0.1, "value")
    found = reasons(dataclasses.replace(OFF, asked_again=(again,)))
    assert "what evaluates has changed" in found
    assert "0.9 then, 0.8 now" in found


def test_without_a_comparison_only_circumstances_are_told() -> None:
    assert reasons(None) == ""


def test_a_step_whose_input_changed_is_not_blamed_itself() -> None:
    inputs = {"transform": ("ingest",), "train": ("transform", "ingest")}
    then = {"ingest": "1", "transform": "1", "train": "1"}
    assert changed_steps(then, {"ingest": "1", "transform": "2", "train": "2"}, inputs) == (
        "transform",
    )
    assert changed_steps(then, {"ingest": "1", "transform": "1", "train": "2"}, inputs) == (
        "train",
    )
    assert changed_steps({}, {"ingest": "2"}, inputs) == ()
