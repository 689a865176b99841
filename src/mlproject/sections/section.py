"""What every section of `project.yaml` is: frozen, and closed to unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Scalar = str | int | float | bool


class Section(BaseModel):
    # A bound that is NaN would hold for every metric.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
