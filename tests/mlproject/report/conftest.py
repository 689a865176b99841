"""A candidate that was compared with a champion, and what is known of both."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from mlproject.cases.values import CaseResult
from mlproject.explanation.importance import Importance
from mlproject.metrics import Difference, MetricRow
from mlproject.report import About, DataAbout, EvaluationReport, FeatureAbout
from mlproject.sections import EvaluationSection


@pytest.fixture
def about() -> About:
    return About(
        model="taxi",
        description="Will the rider tip?",
        created="2026-01-02T03:04:05Z",
        mlflow_run_id="run0123456789",
        git_commit="commit0123",
        versions={"benison": "0.4", "tensorflow": "2.16.2"},
        data=DataAbout("data/trips.csv", "digest0123", ("12-18",), {"train": 9_000, "eval": 4_512}),
        features=(
            FeatureAbout("fare", "FLOAT", "required"),
            FeatureAbout("tips", "FLOAT", "training only"),
        ),
        label="big_tipper",
        task="binary",
        hyperparameters={"hidden_units": [64, 32]},
        champion_version="7",
        module_digest="module0123",
        evaluation=EvaluationSection(
            slices=("hour", "hour,company"),
            value_thresholds={"auc": [{"min": 0.9}, {"min": 0.8, "slices": ["overall", "hour=*"]}]},
            change_thresholds={
                "auc": {"max_loss": 0.003},
                "log_loss": {"max_relative_loss": 0.05, "slices": ["hour=2"], "judge": "proven"},
            },
        ),
        warnings=("company has 3 new values",),
    )


@pytest.fixture
def rows() -> tuple[MetricRow, ...]:
    return (
        MetricRow("overall", "candidate", "log_loss", 4_512, 0.3111),
        MetricRow("overall", "candidate", "auc", 4_512, 0.91234, 0.9, 0.92, 0.005),
        MetricRow("overall", "champion", "auc", 4_512, 0.9, 0.88, 0.92, 0.01),
        MetricRow("hour=2", "candidate", "auc", 500, 0.8, 0.7, 0.9, 0.05),
        MetricRow("hour=2", "champion", "auc", 500, 0.85, 0.75, 0.95, 0.05),
        MetricRow("hour=11", "candidate", "auc", 12, None),
        MetricRow("hour=11", "champion", "auc", 12, None),
    )


@pytest.fixture
def differences() -> tuple[Difference, ...]:
    return (
        Difference("overall", "auc", 4_512, 0.01234, 0.004, 0.016, 0.003),
        Difference("hour=2", "auc", 500, -0.05, -0.09, -0.01, 0.02),
        Difference("hour=11", "auc", 12, None),
    )


@pytest.fixture
def report(
    tmp_path: Path,
    about: About,
    rows: tuple[MetricRow, ...],
    differences: tuple[Difference, ...],
) -> EvaluationReport:
    picture = tmp_path / "roc_and_pr.png"
    Figure(figsize=(1, 1)).savefig(picture)
    return EvaluationReport(
        about=about,
        verdict="NOT_BLESSED",
        reasons=("auc on hour=2 fell 0.05 [0.01, 0.09], allowed 0.003",),
        rows=rows,
        differences=differences,
        cases=(
            CaseResult("free rides", "golden", "pass", "0.01 is within 0 to 0.05"),
            CaseResult("longer trips", "directional", "fail", "0.41 fell to 0.22"),
        ),
        infra={
            "verdict": "INFRA_BLESSED",
            "reasons": ["it answered"],
            "measurements": {"p95_latency_ms": 8.91, "memory_mb": 612, "docker": False},
        },
        importance=(
            Importance("fare", 0.05, 0.04, 0.06),
            Importance("tract", None, None, None),
            Importance("payment_type", 0.31, None, None),
        ),
        figures=(picture,),
    )
