"""The step `evaluate` on a multi-class and a regression model: its files, its value, its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from mlproject.cases import read_results
from mlproject.digests import Digests, cases_digest, code_digests
from mlproject.errors import ConfigError, UserModuleError
from mlproject.evaluation import read_differences, read_metrics
from mlproject.explanation.importance import read_importance
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, metric_names
from mlproject.record import Record
from mlproject.sections import ProjectConfig
from mlproject.steps.evaluate import run_evaluate
from mlproject.training import MODEL_FOLDER
from mlproject.transform import TRANSFORMED_FILE
from mlproject.user_module import read_module

MODULE = """
import numpy as np

def worst(labels, predictions):
    return float(np.abs(labels - predictions).max())

def custom_metrics():
    return {"worst": worst}
"""


def linear(weights: np.ndarray, bias: Any, column: str, task: str, out: Path) -> Path:
    """A served linear model of one raw list column."""
    module = tf.Module()
    module.weights = tf.Variable(weights.astype(np.float32))
    kind = tf.int64 if task == "multiclass" else tf.float32
    spec = {column: tf.TensorSpec([None, len(weights)], kind, name=column)}

    @tf.function(input_signature=[spec], autograph=False)
    def serve(features: Any) -> Any:
        sums = tf.cast(features[column], tf.float32) @ module.weights + np.float32(bias)
        return {"predictions": tf.nn.softmax(sums) if task == "multiclass" else sums}

    tf.saved_model.save(module, str(out), signatures={"serving_default": serve})
    return out


@dataclass
class Step:
    """A project's folder, its artifacts, and the step on them."""

    folder: Path
    task: str
    columns: Mapping[str, pa.Array]
    labels: np.ndarray
    champion: Path | None
    notes: list[str] = field(default_factory=list)

    def run(self, case_text: str | None = None, module: str = MODULE, **evaluation: Any) -> Any:
        code = self.folder / "project.py"
        code.write_text(module, encoding="utf-8")
        if case_text:
            (self.folder / "cases.yaml").write_text(case_text, encoding="utf-8")
        out = self.folder / "out"
        out.mkdir()
        config = ProjectConfig.model_validate(
            {
                "name": "made",
                "module": code.name,
                "data": {"path": "data"},
                "training": {"label": "y", "task": self.task},
                "evaluation": {"resamples": 200, "importance_rows": 200, **evaluation},
            }
        )
        source = read_module(code)
        project: Any = SimpleNamespace(config=config, folder=self.folder, module_path=code)
        baseline = SimpleNamespace(version=3) if self.champion else None
        artifacts = ("ingest", "transform", "train")
        self.context: Any = SimpleNamespace(
            project=project,
            plan=SimpleNamespace(
                baseline=baseline,
                digests=Digests("source", code=code_digests(source), cases=cases_digest(project)),
            ),
            registry=SimpleNamespace(download=lambda version, path, to: self.champion),
            inputs={name: SimpleNamespace(path=self.folder / name) for name in artifacts},
            out_dir=out,
            rows=lambda count: None,
            note=self.notes.append,
        )
        return run_evaluate(self.context)


@pytest.fixture
def make_step(tmp_path: Path, write_split: Callable[..., Path]) -> Callable[..., Step]:
    """The digits (0 to 9) or the diabetes data (a number), with a linear model of each."""

    def make(task: str, champion: bool = True) -> Step:
        if task == "multiclass":
            data = load_digits()
            model = LogisticRegression(C=0.01, max_iter=2_000)
            x, name, listed = data.data.astype(np.int64), "image", pa.int64()
        else:
            data = load_diabetes()
            model = Ridge(alpha=0.01)
            x, name, listed = data.data, "body", pa.float64()
        half = len(x) // 2
        for who, rows in ((CANDIDATE, slice(0, half)), (CHAMPION, slice(0, 120))):
            model.fit(x[rows], data.target[rows])
            weights = np.atleast_2d(model.coef_).T
            folder = tmp_path / ("train" if who == CANDIDATE else "old") / MODEL_FOLDER
            linear(weights, model.intercept_, name, task, folder)
        labels = data.target[half:]
        columns = {
            name: pa.array(list(x[half:]), pa.list_(listed)),
            "kind": pa.array(np.where(labels > np.median(labels), "high", "low")),
            "sum": pa.array(x[half:].sum(axis=1).astype(float)),
        }
        write_split(tmp_path / "ingest" / "Split-eval", columns)
        (tmp_path / "transform" / "Split-eval").mkdir(parents=True)
        file = tmp_path / "transform" / "Split-eval" / TRANSFORMED_FILE
        pq.write_table(pa.table({"y": labels, "x_xf": labels}), file)
        old = tmp_path / "old" / MODEL_FOLDER if champion else None
        return Step(tmp_path, task, columns, labels, old)

    return make


SLICES = {"slices": ["kind", "kind,sum"], "buckets": {"sum": 2}}


@pytest.mark.parametrize(("task", "least"), [("multiclass", 0.88), ("regression", 0.4)])
def test_a_model_is_evaluated_with_all_its_files(
    task: str, least: float, make_step: Callable[..., Step]
) -> None:
    step = make_step(task)
    value = step.run(**SLICES, top_k=2)
    out = step.context.out_dir
    names = metric_names(task)  # type: ignore[arg-type]
    rows = read_metrics(out)
    overall = {r.metric: r for r in rows if (r.slice, r.model) == (OVERALL, CANDIDATE)}
    assert tuple(overall) == names
    main = overall["accuracy" if task == "multiclass" else "r2"].value
    assert main is not None
    assert main > least
    assert {r.slice for r in rows if r.model == CHAMPION} == {r.slice for r in rows}
    assert sum("," in name for name in {r.slice for r in rows}) == 4
    better = {d.metric: d for d in read_differences(out) if d.slice == OVERALL}
    assert better["log_loss" if task == "multiclass" else "rmse"].value is not None
    assert value["task"] == task
    assert value["examples"] == len(step.labels)
    assert value["baseline"] == 3
    assert value["overall"][names[0]] == overall[names[0]].value
    assert f"champion_{names[0]}" in value["overall"]
    assert [row["model"] for row in value["table"][:2]] == [CANDIDATE, CHAMPION]
    json.dumps(value)
    record = Record.read(out)
    assert record.metrics[f"{names[0]}_low"] <= record.metrics[names[0]]
    assert f"difference_{names[0]}_high" in record.metrics
    assert (record.params["resamples"], record.params["seed"]) == (200, 42)
    assert len(read_importance(out)) == 1
    assert list((out / "figures").glob("*.png"))
    assert not (out / CHAMPION).exists()
    predictions = pq.read_table(out / "predictions.parquet")
    assert predictions.column_names == ["label", CANDIDATE, CHAMPION, "slice kind", "slice sum"]
    assert predictions.num_rows == len(step.labels)


def test_the_first_model_is_evaluated_alone(make_step: Callable[..., Step]) -> None:
    step = make_step("regression", champion=False)
    value = step.run(importance_rows=0)
    assert value["baseline"] is None
    assert set(value["overall"]) == set(metric_names("regression"))
    assert read_differences(step.context.out_dir) == []
    assert read_importance(step.context.out_dir) == []


def test_custom_metrics_of_the_module_are_measured(make_step: Callable[..., Step]) -> None:
    step = make_step("regression")
    step.run(**SLICES, custom_metrics={"worst": "lower"})
    worst = {r.slice: r for r in read_metrics(step.context.out_dir) if r.metric == "worst"}
    assert worst[OVERALL].value is not None
    assert worst[OVERALL].value == max(row.value or 0 for row in worst.values())
    assert worst[OVERALL].low is not None
    assert "difference_worst" in Record.read(step.context.out_dir).metrics


@pytest.mark.parametrize(
    ("module", "received"),
    [
        ("def custom_metrics():\n    return {}\n", "no 'worst'"),
        (MODULE.replace("labels - predictions", "labels @ 'x'"), "project.py line 5"),
    ],
)
def test_a_custom_metric_that_cannot_be_is_a_user_module_error(
    module: str, received: str, make_step: Callable[..., Step]
) -> None:
    with pytest.raises(UserModuleError) as caught:
        make_step("regression").run(module=module, custom_metrics={"worst": "lower"})
    assert received in str(caught.value.received)


CASES = """
golden:
  - {name: small, row: {body: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}, at_least: 100, at_most: 200}
  - {name: absurd, row: {body: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}, at_least: 1000}
"""


def test_behavioural_cases_are_asked_of_the_candidate(make_step: Callable[..., Step]) -> None:
    step = make_step("regression")
    step.run(CASES, cases="cases.yaml")
    outcomes = {result.name: result.outcome for result in read_results(step.context.out_dir)}
    assert outcomes == {"small": "pass", "absurd": "fail"}
    assert len(Record.read(step.context.out_dir).tables["cases.json"]) == 2


def test_a_file_of_cases_that_is_wrong_fails_before_anything_is_scored(
    make_step: Callable[..., Step],
) -> None:
    step = make_step("regression")
    with pytest.raises(ConfigError):
        step.run("golden: 3\n", cases="cases.yaml")
    assert not (step.context.out_dir / "predictions.parquet").exists()
