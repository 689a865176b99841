"""What a report says about a model beside its metrics. Pure; all of it may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlproject.metrics import HIGHER_IS_BETTER
from mlproject.sections import EvaluationSection


@dataclass(frozen=True)
class DataAbout:
    """The data that a model was trained and judged on.

    Attributes:
        uri: Where it lies.
        digest: Hash of its content (hex).
        spans: The spans that were read, such as `12` or `12-18`; none where the data has no spans.
        rows: Split -> number of rows.
    """

    uri: str = ""
    digest: str = ""
    spans: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureAbout:
    """A feature of the Schema.

    Attributes:
        name: Its name.
        type: `BYTES`, `INT` or `FLOAT`, as the Schema says.
        presence: In words: `required`, `in 95% of rows or more`, `training only`.
    """

    name: str
    type: str
    presence: str = ""


@dataclass(frozen=True)
class About:
    """The model and its run. What is empty is said to be not stated, never made up.

    Attributes:
        model: Name of the registered model.
        description: As in `project.yaml`.
        created: When the candidate was made, as text (ISO 8601, UTC).
        mlflow_run_id: MLflow run of the candidate.
        git_commit: Commit of the project's folder.
        versions: Software -> version: `benison`, `tensorflow`.
        data: What it was trained and judged on.
        features: The Schema's features.
        label: Output of `preprocessing_fn` that the model learns.
        task: `binary`, `multiclass` or `regression`.
        hyperparameters: As the training had them.
        champion_version: Version that the candidate was compared with; None where there is none.
        module_digest: Hash of the module file and what it imports from its folder (hex).
        evaluation: What was measured and asked for; None leaves the thresholds out.
        warnings: Anomalies of the data that did not stop the run.
    """

    model: str
    description: str = ""
    created: str = ""
    mlflow_run_id: str = ""
    git_commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    data: DataAbout = DataAbout()
    features: tuple[FeatureAbout, ...] = ()
    label: str = ""
    task: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    champion_version: str | None = None
    module_digest: str = ""
    evaluation: EvaluationSection | None = None
    warnings: tuple[str, ...] = ()

    def higher_is_better(self, metric: str) -> bool | None:
        """Whether more of a metric is better; None where nothing says so."""
        custom = self.evaluation.custom_metrics if self.evaluation else {}
        if metric in custom:
            return custom[metric] == "higher"
        return HIGHER_IS_BETTER.get(metric)
