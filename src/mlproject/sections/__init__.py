"""The sections of `project.yaml`: frozen, each default here and nowhere else.

`docs/project-yaml.md` is generated from these classes (`mlproject/config_docs.py`).
"""

from mlproject.sections.data import (
    BigQuerySection,
    DataSection,
    ImagesSection,
    SplitBySection,
    SqlSection,
    StatisticsSection,
)
from mlproject.sections.deployment import BatchingSection, DeploymentSection
from mlproject.sections.evaluation import ChangeThreshold, EvaluationSection, ValueThreshold
from mlproject.sections.model_card import ModelCardSection
from mlproject.sections.project import ProjectConfig
from mlproject.sections.registry import RegistrySection
from mlproject.sections.section import Section
from mlproject.sections.serving import InfraSection, ServingSection
from mlproject.sections.training import (
    EarlyStoppingSection,
    SpaceSection,
    TrainingSection,
    TuningSection,
)
from mlproject.sections.validation import SchemaSection, TransformSection, ValidationSection

__all__ = [
    "BatchingSection",
    "BigQuerySection",
    "ChangeThreshold",
    "DataSection",
    "DeploymentSection",
    "EarlyStoppingSection",
    "EvaluationSection",
    "ImagesSection",
    "InfraSection",
    "ModelCardSection",
    "ProjectConfig",
    "RegistrySection",
    "SchemaSection",
    "Section",
    "ServingSection",
    "SpaceSection",
    "SplitBySection",
    "SqlSection",
    "StatisticsSection",
    "TrainingSection",
    "TransformSection",
    "TuningSection",
    "ValidationSection",
    "ValueThreshold",
]
