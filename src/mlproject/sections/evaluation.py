"""`evaluation`: what is measured, on which slices, and what the blessing asks for."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from mlproject.errors import closest
from mlproject.sections.section import Section

METRICS = ("auc", "accuracy", "log_loss")


class ValueThreshold(Section):
    """An absolute bound on a metric of the candidate."""

    min: float | None = Field(None, description="Lowest value allowed (absolute, inclusive).")
    max: float | None = Field(None, description="Highest value allowed (absolute, inclusive).")
    slices: tuple[str, ...] = Field(
        ("overall",),
        min_length=1,
        description="Slices held to it: `overall`, a slice such as `payment_type=Cash`, or all "
        "values of a column as `payment_type=*`.",
    )

    @model_validator(mode="after")
    def _a_bound(self) -> ValueThreshold:
        if self.min is None and self.max is None:
            raise ValueError("give 'min', 'max' or both")
        return self


class ChangeThreshold(Section):
    """A bound on how much worse than the champion the candidate may be."""

    max_loss: float = Field(
        description="Largest worsening allowed, absolute, in the metric's own unit (0.002 lets "
        "AUC fall by 0.002; 0 wants at least equality)."
    )
    slices: tuple[str, ...] = Field(
        ("overall",), min_length=1, description="As for value thresholds."
    )


class EvaluationSection(Section):
    """What is measured, on which slices, and what the blessing asks for."""

    slices: tuple[str, ...] = Field((), description="Raw columns; each value is a slice.")
    min_slice_examples: int = Field(
        100,
        gt=0,
        description="A slice with fewer rows is not judged (it neither passes nor fails).",
    )
    value_thresholds: dict[str, ValueThreshold] = Field(
        default_factory=dict, description="Metric (`auc`, `accuracy`, `log_loss`) -> bounds."
    )
    change_thresholds: dict[str, ChangeThreshold] = Field(
        default_factory=dict, description="Metric -> bound against the champion on the same rows."
    )

    @field_validator("value_thresholds", "change_thresholds")
    @classmethod
    def _known_metrics(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name not in METRICS:
                raise ValueError(f"unknown metric '{name}': {closest(name, METRICS)}")
        return value

    @model_validator(mode="after")
    def _known_slices(self) -> EvaluationSection:
        named = {s for bound in self.value_thresholds.values() for s in bound.slices}
        named |= {s for bound in self.change_thresholds.values() for s in bound.slices}
        for name in sorted(named - {"overall"}):
            column = name.partition("=")[0]
            if "=" not in name or column not in self.slices:
                raise ValueError(
                    f"slice '{name}' is not measured; write COLUMN=VALUE or COLUMN=* with a COLUMN "
                    f"of evaluation.slices ({', '.join(self.slices) or 'there are none'})"
                )
        return self
