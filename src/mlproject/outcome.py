"""What came out of a pipeline run: one value for the summary, `--json`, Prefect and exit codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlproject.artifacts import Artifact
from mlproject.chain import STEPS
from mlproject.promotion.stages import Stage

Status = Literal["blessed", "staged", "not_blessed", "blocked"]
EXIT_CODES: Mapping[str, int] = {"blessed": 0, "staged": 0, "not_blessed": 3, "blocked": 4}


@dataclass(frozen=True)
class StepOutcome:
    """How one step went.

    Attributes:
        name: The step.
        cached: True where it was not run.
        seconds: Wall seconds when it ran.
        cpu_seconds: CPU seconds of its process when it ran.
        reason: Why it ran, or was cached.
        fingerprint: Its artifact's fingerprint.
        uri: Its artifact's folder.
    """

    name: str
    cached: bool
    seconds: float
    cpu_seconds: float
    reason: str
    fingerprint: str
    uri: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of a pipeline run.

    Attributes:
        status: `blessed` (and in production), `staged` (blessed, and not yet there), `not_blessed`
            or `blocked`.
        model: The registered model's name.
        version: The registered version, where blessed.
        champion: The champion at the end of the run: another version where a person moved the
            alias, None where there is none.
        reasons: Of the verdict, or of the anomalies that blocked.
        warnings: Anomalies that did not block.
        metrics: The candidate's overall metrics; `champion_` in front for the champion's.
        slices: Metric rows by slice and model.
        task: `binary`, `multiclass` or `regression`.
        waiting: Why a staged version is not in production, in words; empty for others.
        override: Who overruled the verdict, why and when; None where nobody did.
        sample: The row that the served model was asked, and its prediction.
        mlflow_run_id: The pipeline's MLflow run.
        mlflow_run_url: Where to look at it.
        steps: The steps, in order.
    """

    status: Status
    model: str
    version: int | None
    champion: int | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    metrics: Mapping[str, float]
    slices: tuple[Mapping[str, Any], ...]
    sample: Mapping[str, Any]
    mlflow_run_id: str | None
    mlflow_run_url: str | None
    steps: tuple[StepOutcome, ...]
    task: str = "binary"
    override: Mapping[str, Any] | None = None
    waiting: str = ""

    @property
    def exit_code(self) -> int:
        """0 blessed or staged, 3 not blessed, 4 data blocked."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {**asdict(self), "exit_code": self.exit_code}


def ends_with(artifact: Artifact) -> Status | None:
    """The status that a step's artifact ends the pipeline with, or None to go on."""
    if artifact.step == "validate" and artifact.value["blocked"]:
        return "blocked"
    if artifact.step == "bless" and artifact.value["verdict"] != "BLESSED":
        return "not_blessed"
    if artifact.step == "register" and artifact.value["stage"] != Stage.PRODUCTION:
        return "staged"
    return "blessed" if artifact.step == STEPS[-1] else None


def make_outcome(
    model: str,
    artifacts: Mapping[str, Artifact],
    steps: tuple[StepOutcome, ...],
    mlflow_run_id: str | None,
    mlflow_run_url: str | None,
    champion: int | None = None,
) -> Outcome:
    """Builds the outcome from the artifacts of the steps that ran or were cached.

    Args:
        model: The registered model's name.
        artifacts: Step -> artifact; the last one ends the pipeline.
        steps: How each step went.
        mlflow_run_id: The pipeline's MLflow run.
        mlflow_run_url: Where to look at it.
        champion: The champion now.
    """
    status = ends_with(list(artifacts.values())[-1]) or "not_blessed"
    values: dict[str, Mapping[str, Any]] = {n: a.value for n, a in artifacts.items()}
    anomalies = values.get("validate", {}).get("reasons", [])
    evaluation = values.get("evaluate", {})
    decided = anomalies if status == "blocked" else values.get("bless", {}).get("reasons", [])
    served = values.get("serve", {})
    return Outcome(
        status=status,
        model=model,
        version=values.get("register", {}).get("version"),
        champion=champion,
        reasons=tuple(decided),
        warnings=() if status == "blocked" else tuple(anomalies),
        metrics=evaluation.get("overall", {}),
        slices=tuple(evaluation.get("table", ())),
        sample={n: served[n] for n in ("sample", "prediction") if n in served},
        mlflow_run_id=mlflow_run_id,
        mlflow_run_url=mlflow_run_url,
        steps=steps,
        task=evaluation.get("task", "binary"),
        override=values.get("bless", {}).get("override"),
        waiting=values.get("register", {}).get("waiting", ""),
    )
