"""The result of a behavioural case. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CaseKind = Literal["golden", "invariance", "directional"]
CaseOutcome = Literal["pass", "fail", "unjudged"]


@dataclass(frozen=True)
class CaseResult:
    """What became of one behavioural case.

    Attributes:
        name: The case.
        kind: `golden`, `invariance` or `directional`.
        outcome: `pass`, `fail`, or `unjudged` where the model could not be asked.
        reason: In plain words; for a failure the row, shown short, and how far off it is.
    """

    name: str
    kind: CaseKind
    outcome: CaseOutcome
    reason: str
