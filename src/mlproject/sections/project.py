"""The whole of `project.yaml`."""

from __future__ import annotations

from pydantic import Field, model_validator

from mlproject.errors import closest
from mlproject.metrics import metric_names
from mlproject.sections.data import DataSection, StatisticsSection
from mlproject.sections.deployment import DeploymentSection
from mlproject.sections.evaluation import EvaluationSection
from mlproject.sections.model_card import ModelCardSection
from mlproject.sections.registry import RegistrySection
from mlproject.sections.section import Section
from mlproject.sections.serving import InfraSection, ServingSection
from mlproject.sections.training import TrainingSection, TuningSection
from mlproject.sections.validation import SchemaSection, TransformSection, ValidationSection


class ProjectConfig(Section):
    """A project: one folder with this file, a module file and, if wanted, a reviewed schema."""

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="Name of the project, of its MLflow experiment and of its registered model.",
    )
    description: str = Field("", description="One or two sentences, shown in MLflow.")
    module: str = Field(
        description="Module file with `preprocessing_fn` and `run_fn` or `build_model`, relative "
        "to this file."
    )
    data: DataSection
    schema_: SchemaSection = Field(default_factory=lambda: SchemaSection(), alias="schema")
    statistics: StatisticsSection = Field(default_factory=lambda: StatisticsSection())
    validation: ValidationSection = Field(default_factory=lambda: ValidationSection())
    transform: TransformSection = Field(default_factory=lambda: TransformSection())
    training: TrainingSection
    tuning: TuningSection | None = Field(None, description="Left out: nothing is tuned.")
    evaluation: EvaluationSection = Field(default_factory=lambda: EvaluationSection())
    infra_validation: InfraSection = Field(default_factory=lambda: InfraSection())
    serving: ServingSection = Field(default_factory=lambda: ServingSection())
    deployment: DeploymentSection = Field(default_factory=lambda: DeploymentSection())
    registry: RegistrySection = Field(default_factory=lambda: RegistrySection())
    model_card: ModelCardSection = Field(default_factory=lambda: ModelCardSection())

    @model_validator(mode="after")
    def _known_metrics(self) -> ProjectConfig:
        evaluation = self.evaluation
        known = (*metric_names(self.training.task), *evaluation.custom_metrics)
        for section in ("value_thresholds", "change_thresholds"):
            for name in getattr(evaluation, section):
                if name not in known:
                    raise ValueError(
                        f"evaluation.{section}: unknown metric '{name}' of a {self.training.task} "
                        f"task: {closest(name, known)}"
                    )
        return self
