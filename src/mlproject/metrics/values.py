"""The values of an Evaluation. Pure."""

from __future__ import annotations

from dataclasses import dataclass

OVERALL = "overall"
CANDIDATE, CHAMPION = "candidate", "champion"


@dataclass(frozen=True)
class MetricRow:
    """One metric of one model on one slice.

    Attributes:
        slice: `overall`, `COLUMN=VALUE`, or `COLUMN=VALUE,COLUMN=VALUE` for a cross.
        model: `candidate` or `champion`.
        metric: Its name.
        examples: Rows in the slice.
        value: The metric; None where the slice is too small, or has one class only.
        low: Lower end of its confidence interval; None where there is none.
        high: Upper end.
        standard_error: Of the value, from the bootstrap; None where there is none.
    """

    slice: str
    model: str
    metric: str
    examples: int
    value: float | None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True)
class Difference:
    """How far the candidate is from the champion in one metric, on the same rows of one slice.

    Attributes:
        slice: As in `MetricRow`.
        metric: Its name.
        examples: Rows in the slice.
        value: Candidate minus champion; None where either could not be judged.
        low: Lower end of the confidence interval of the paired bootstrap; None where none.
        high: Upper end.
        standard_error: Of the difference, from the paired bootstrap.
    """

    slice: str
    metric: str
    examples: int
    value: float | None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
