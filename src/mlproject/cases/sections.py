"""The file of behavioural cases: what a model must answer, written down by people. Pure.

seed: 42                     # of the sampled rows
golden: [...]                # rows with an expected value, a range, or a class
invariance: [...]            # changes that must not move the prediction
directional: [...]           # changes that must not lower, or not raise, it
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlproject.sections.section import Section

MAX_ROWS = 10_000
MAX_VARIANTS = 100
DEFAULT_TOLERANCE = 1e-5
_FORMS = ("value", "values", "add", "multiply")

Row = dict[str, Any]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Tolerance = Annotated[float, Field(ge=0)]


class ChangeSection(Section):
    """What a column is changed to; a bare value or list of values stands for `values`."""

    value: Any = Field(None, description="The new value; null is a missing one.")
    values: tuple[Any, ...] | None = Field(
        None, min_length=1, description="Values to try, one after the other."
    )
    add: float | None = Field(None, description="A number to add.")
    multiply: float | None = Field(None, description="A number to multiply by.")

    @model_validator(mode="after")
    def _one_form(self) -> ChangeSection:
        given = [form for form in _FORMS if form in self.model_fields_set]
        missing = [f for f in given if f != "value" and getattr(self, f) is None]
        if len(given) != 1 or missing:
            raise ValueError(f"give one of {', '.join(_FORMS)}")
        return self

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values to try; empty for `add` and `multiply`."""
        if "value" in self.model_fields_set:
            return (self.value,)
        return self.values or ()


def _as_change(given: Any) -> Any:
    if isinstance(given, list | tuple):
        return {"values": given}
    if isinstance(given, dict) and set(given) != {"b64"}:
        return given
    return given if isinstance(given, ChangeSection) else {"value": given}


Change = Annotated[ChangeSection, BeforeValidator(_as_change)]


class GoldenCase(Section):
    """A row, and what the model must predict for it."""

    name: Name = Field(description="Of the case; each once in the file.")
    row: Row = Field(
        min_length=1,
        description="Raw columns -> value (bytes as `{b64: aGVsbG8=}`); columns left out are "
        "missing values.",
    )
    expect: float | None = Field(None, description="The prediction expected.")
    tolerance: Tolerance | None = Field(
        None, description="How far from `expect` it may be (absolute, inclusive)."
    )
    at_least: float | None = Field(None, description="Lowest prediction allowed (inclusive).")
    at_most: float | None = Field(None, description="Highest prediction allowed (inclusive).")
    class_: int | None = Field(
        None,
        ge=0,
        alias="class",
        description="Alone: the class that must be the most probable one. With a value or a range: "
        "the class whose probability that is.",
    )

    @model_validator(mode="after")
    def _an_expectation(self) -> GoldenCase:
        if (self.expect is None) != (self.tolerance is None):
            raise ValueError("give 'expect' and 'tolerance' together")
        if self.expect is not None and self.has_range:
            raise ValueError("give either 'expect' or a range ('at_least', 'at_most')")
        if self.expect is None and not self.has_range and self.class_ is None:
            raise ValueError("give 'expect', 'at_least', 'at_most' or 'class'")
        low, high = self.bounds
        if low > high:
            raise ValueError("'at_least' lies above 'at_most'")
        return self

    @property
    def has_range(self) -> bool:
        """Whether a range is given."""
        return self.at_least is not None or self.at_most is not None

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest prediction allowed."""
        if self.expect is not None:
            return self.expect - (self.tolerance or 0.0), self.expect + (self.tolerance or 0.0)
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.at_most is None else self.at_most


class ChangedCase(Section):
    """Rows, and what is changed in them: what invariance and directional cases share."""

    name: Name = Field(description="Of the case; each once in the file.")
    row: Row | None = Field(None, min_length=1, description="A row, as of a golden case.")
    rows: int | None = Field(
        None, ge=1, le=MAX_ROWS, description="Instead of `row`: rows drawn from the eval split."
    )
    where: Row = Field(
        default_factory=dict,
        description="Draw among the rows that have these values (null: a missing one).",
    )
    change: dict[str, Change] = Field(
        min_length=1,
        description="Raw column -> a value, a list of values to try, `{add: 1}`, `{multiply: 2}`, "
        "or `{value: [...]}` for a column of lists. Of several lists every combination is tried.",
    )
    tolerance: Tolerance = Field(
        DEFAULT_TOLERANCE, description="Movement allowed (absolute, inclusive)."
    )
    class_: int | None = Field(
        None, ge=0, alias="class", description="Of a multiclass model: whose probability."
    )

    @model_validator(mode="after")
    def _some_rows(self) -> ChangedCase:
        if (self.row is None) == (self.rows is None):
            raise ValueError("give either 'row' or 'rows'")
        if self.where and self.rows is None:
            raise ValueError("'where' is for 'rows', not for 'row'")
        count = math.prod(max(len(change.choices), 1) for change in self.change.values())
        if count > MAX_VARIANTS:
            raise ValueError(f"{count} combinations of values; {MAX_VARIANTS} at most")
        return self


class InvarianceCase(ChangedCase):
    """A change that must not move the prediction, neither up nor down."""


class DirectionalCase(ChangedCase):
    """A change that must not lower, or not raise, the prediction."""

    must_not: Literal["lower", "raise"] = Field(
        description="What the change must not do to the prediction, by more than the tolerance."
    )


class Cases(Section):
    """A file of behavioural cases; all of them must hold for a model to be blessed."""

    seed: int = Field(42, ge=0, description="Of the rows drawn from the eval split.")
    golden: tuple[GoldenCase, ...] = Field(
        (), description="Rows with an expected value, a range, or a class."
    )
    invariance: tuple[InvarianceCase, ...] = Field(
        (), description="Changes that must not move the prediction."
    )
    directional: tuple[DirectionalCase, ...] = Field(
        (), description="Changes that must not lower, or not raise, the prediction."
    )

    @property
    def everything(self) -> tuple[GoldenCase | ChangedCase, ...]:
        """Every case, in the order in which they are asked."""
        return (*self.golden, *self.invariance, *self.directional)

    @model_validator(mode="after")
    def _names(self) -> Cases:
        names = [case.name for case in self.everything]
        if not names:
            raise ValueError("there is no case: give 'golden', 'invariance' or 'directional'")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the name '{twice}' stands twice")
        return self
