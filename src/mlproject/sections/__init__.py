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
from mlproject.sections.evaluation import ChangeThreshold, EvaluationSection, ValueThreshold
from mlproject.sections.project import ProjectConfig
from mlproject.sections.section import Section
from mlproject.sections.serving import ServingSection
from mlproject.sections.training import TrainingSection
from mlproject.sections.validation import SchemaSection, TransformSection, ValidationSection

__all__ = [
    "BigQuerySection",
    "ChangeThreshold",
    "DataSection",
    "EvaluationSection",
    "ImagesSection",
    "ProjectConfig",
    "SchemaSection",
    "Section",
    "ServingSection",
    "SplitBySection",
    "SqlSection",
    "StatisticsSection",
    "TrainingSection",
    "TransformSection",
    "ValidationSection",
    "ValueThreshold",
]
