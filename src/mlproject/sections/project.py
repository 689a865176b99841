"""The whole of `project.yaml`."""

from __future__ import annotations

from pydantic import Field

from mlproject.sections.data import DataSection, StatisticsSection
from mlproject.sections.evaluation import EvaluationSection
from mlproject.sections.section import Section
from mlproject.sections.serving import ServingSection
from mlproject.sections.training import TrainingSection
from mlproject.sections.validation import SchemaSection, TransformSection, ValidationSection


class ProjectConfig(Section):
    """A project: one folder with this file, a module file and, if wanted, a reviewed schema."""

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="Name of the project, of its MLflow experiment and of its registered model.",
    )
    description: str = Field("", description="One or two sentences, shown in MLflow.")
    module: str = Field(
        description="Module file with `preprocessing_fn` and `run_fn`, relative to this file."
    )
    data: DataSection
    schema_: SchemaSection = Field(default_factory=lambda: SchemaSection(), alias="schema")
    statistics: StatisticsSection = Field(default_factory=lambda: StatisticsSection())
    validation: ValidationSection = Field(default_factory=lambda: ValidationSection())
    transform: TransformSection = Field(default_factory=lambda: TransformSection())
    training: TrainingSection
    evaluation: EvaluationSection = Field(default_factory=lambda: EvaluationSection())
    serving: ServingSection = Field(default_factory=lambda: ServingSection())
