"""`evaluation`: what is measured, on which slices, and what the blessing asks for."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlproject.sections.section import Section

Judge = Literal["point", "significant", "proven"]
JUDGE = (
    "`point`: the measured value decides. `significant`: it fails only where the whole confidence "
    "interval lies beyond the bound. `proven`: it passes only where the whole interval lies within "
    "it. `point` for `overall` and `significant` for slices if left out."
)
Direction = Literal["higher", "lower"]


class ValueThreshold(Section):
    """An absolute bound on a metric of the candidate."""

    min: float | None = Field(None, description="Lowest value allowed (absolute, inclusive).")
    max: float | None = Field(None, description="Highest value allowed (absolute, inclusive).")
    slices: tuple[str, ...] = Field(
        ("overall",),
        min_length=1,
        description="Slices held to it: `overall`, a slice such as `payment_type=Cash`, a cross "
        "such as `payment_type=Cash,trip_start_hour=8`, or all values as `payment_type=*`.",
    )
    judge: Judge | None = Field(None, description=JUDGE)

    @model_validator(mode="after")
    def _a_bound(self) -> ValueThreshold:
        if self.min is None and self.max is None:
            raise ValueError("give 'min', 'max' or both")
        return self


class ChangeThreshold(Section):
    """A bound on how much worse than the champion, on the same rows, the candidate may be."""

    max_loss: float | None = Field(
        None,
        description="Largest worsening allowed, absolute, in the metric's own unit (0.002 lets "
        "AUC fall by 0.002; 0 wants at least equality; below 0 wants an improvement).",
    )
    max_relative_loss: float | None = Field(
        None,
        description="Largest worsening allowed, as a share of the champion's value (0.01 wants "
        "accuracy of at least 0.99 times the champion's).",
    )
    slices: tuple[str, ...] = Field(
        ("overall",), min_length=1, description="As for value thresholds."
    )
    judge: Judge | None = Field(None, description=JUDGE)

    @model_validator(mode="after")
    def _a_bound(self) -> ChangeThreshold:
        if (self.max_loss is None) == (self.max_relative_loss is None):
            raise ValueError("give either 'max_loss' or 'max_relative_loss'")
        return self


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


ValueThresholds = Annotated[
    tuple[ValueThreshold, ...], BeforeValidator(_listed), Field(min_length=1)
]
ChangeThresholds = Annotated[
    tuple[ChangeThreshold, ...], BeforeValidator(_listed), Field(min_length=1)
]


class EvaluationSection(Section):
    """What is measured, on which slices, and what the blessing asks for."""

    slices: tuple[str, ...] = Field(
        (), description="Raw columns whose values are slices; `a,b` crosses two columns."
    )
    buckets: dict[str, tuple[float, ...] | Annotated[int, Field(ge=2, le=100)]] = Field(
        default_factory=dict,
        description="Numeric column of `slices` -> the rising boundaries of its buckets, or the "
        "number of buckets of equal size.",
    )
    min_slice_examples: int = Field(
        100,
        gt=0,
        description="A slice with fewer rows is not judged (it neither passes nor fails).",
    )
    top_k: int = Field(3, ge=2, description="k of `top_k_accuracy`.")
    custom_metrics: dict[str, Direction] = Field(
        default_factory=dict,
        description="Metric of the module's `custom_metrics()` -> whether `higher` or `lower` is "
        "better.",
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="Of the intervals (two-sided, a share)."
    )
    resamples: int = Field(
        1_000, ge=100, le=100_000, description="Bootstrap resamples behind each interval."
    )
    seed: int = Field(42, ge=0, description="Of the bootstrap and of samples of rows.")
    value_thresholds: dict[str, ValueThresholds] = Field(
        default_factory=dict, description="Metric -> one or several absolute bounds."
    )
    change_thresholds: dict[str, ChangeThresholds] = Field(
        default_factory=dict, description="Metric -> one or several bounds against the champion."
    )
    cases: str | None = Field(
        None,
        description="File of behavioural cases (golden rows, invariances, directions); all must "
        "hold to be blessed.",
    )
    importance_rows: int = Field(
        2_000,
        ge=0,
        description="Eval rows that permutation importance is measured on; 0 leaves it out.",
    )

    @model_validator(mode="after")
    def _known_slices(self) -> EvaluationSection:
        bounds = [b for given in self.value_thresholds.values() for b in given]
        named = {s for bound in bounds for s in bound.slices}
        named |= {s for g in self.change_thresholds.values() for bound in g for s in bound.slices}
        for name in sorted(named - {"overall"}):
            if not any(_is_of(name, columns_of(entry)) for entry in self.slices):
                raise ValueError(
                    f"slice '{name}' is not measured; write COLUMN=VALUE or COLUMN=* with a COLUMN "
                    f"of evaluation.slices ({'; '.join(self.slices) or 'there are none'})"
                )
        return self

    @model_validator(mode="after")
    def _known_buckets(self) -> EvaluationSection:
        sliced = {column for s in self.slices for column in columns_of(s)}
        for column, given in self.buckets.items():
            if column not in sliced:
                raise ValueError(f"buckets of '{column}', which is not in evaluation.slices")
            if isinstance(given, tuple) and (not given or list(given) != sorted(set(given))):
                raise ValueError(f"the boundaries of '{column}' must rise")
        return self


def columns_of(slice_: str) -> tuple[str, ...]:
    """The columns of an entry of `slices`: `a,b` is a cross of two."""
    return tuple(column.strip() for column in slice_.split(","))


def _is_of(name: str, columns: tuple[str, ...]) -> bool:
    """Whether a slice's name is one of an entry of `slices`; values may hold any character."""
    return any(
        re.fullmatch(",".join(f"{re.escape(column)}=.+" for column in order), name, re.DOTALL)
        for order in permutations(columns)
    )
