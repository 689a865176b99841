"""`schema`, `validation` and `transform`: what the data must look like, and become."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlproject.sections.section import Section

Severity = Literal["ignore", "warn", "block"]


class SchemaSection(Section):
    """What the data must look like."""

    path: str | None = Field(
        None,
        description="Reviewed schema (a TensorFlow Metadata `schema.pbtxt`). Inferred from the "
        "splits if left out.",
    )
    training_only: tuple[str, ...] = Field(
        (),
        description="Columns that exist in training and never at serving (what the label is made "
        "of); they are in no serving signature.",
    )


class ValidationSection(Section):
    """What an anomaly does to the run."""

    default: Severity = Field(
        "block", description="Policy for kinds of anomaly that `policy` does not name."
    )
    policy: dict[str, Severity] = Field(
        default_factory=dict,
        description="Kind of anomaly (TensorFlow Metadata's `AnomalyInfo.Type`, such as "
        "`ENUM_TYPE_UNEXPECTED_STRING_VALUES`) -> `ignore`, `warn` or `block`.",
    )
    features: dict[str, Severity | dict[str, Severity]] = Field(
        default_factory=dict,
        description="Feature -> a policy for all its anomalies, or kind -> policy; wins over "
        "`policy`.",
    )
    serving_path: str | None = Field(
        None,
        description="Rows as they are seen at serving (a file, a folder or a glob), to be checked "
        "in the environment SERVING and compared with the train split (skew).",
    )


class TransformSection(Section):
    """How the transform graph is applied."""

    materialize: bool = Field(
        True,
        description="True writes the transformed rows once, for every epoch and training to read; "
        "false applies the graph to the Examples while training.",
    )
