"""The rows of an Evaluation: one model's metrics on one slice. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

OVERALL = "overall"
CANDIDATE, CHAMPION = "candidate", "champion"


@dataclass(frozen=True)
class MetricRow:
    """The metrics of one model on one slice.

    Attributes:
        slice: `overall`, or `COLUMN=VALUE`.
        model: `candidate` or `champion`.
        examples: Rows in the slice.
        auc: Area under the ROC curve, or None where it cannot be judged.
        accuracy: Share of rows on the right side of 0.5, or None.
        log_loss: Mean negative log likelihood in nats, or None.
    """

    slice: str
    model: str
    examples: int
    auc: float | None
    accuracy: float | None
    log_loss: float | None
