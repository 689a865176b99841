"""What an evaluation report holds, before it becomes a page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproject.metrics import Difference, MetricRow
from mlproject.report.about import About


@dataclass(frozen=True)
class CaseOutcome:
    """A behavioural case and how it went.

    Attributes:
        name: The case.
        kind: `golden`, `invariance` or `direction`.
        outcome: `pass`, `fail` or `unjudged`.
        reason: In plain words.
    """

    name: str
    kind: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class FeatureDrop:
    """Permutation importance of a feature.

    Attributes:
        feature: Raw feature.
        drop: How much worse the metric gets when the feature's values are shuffled.
        low: Least of the repeats, or lower end of the interval; None where there is none.
        high: Most, or upper end.
    """

    feature: str
    drop: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """All that the evaluation report shows.

    Attributes:
        about: The model, its run and its data.
        verdict: `BLESSED`, `NOT_BLESSED` or `NOT_VALIDATED`.
        reasons: Why, in plain words; what decided comes first.
        override: Who blessed it against the verdict, when and why (name -> text); None if nobody.
        rows: Metrics by slice of the candidate and, if there is one, of the champion.
        differences: Candidate minus champion, by slice.
        cases: Behavioural cases; none where the project has no such file.
        infra: The trial in a server: `verdict`, `reasons`, `measurements`; None where there was
            none.
        importance: Permutation importance of features; none where it was left out.
        figures: PNG files that the page embeds, in the order shown.
        notes: What could not be read, and so is not shown.
    """

    about: About
    verdict: str
    reasons: tuple[str, ...]
    rows: tuple[MetricRow, ...]
    differences: tuple[Difference, ...] = ()
    override: Mapping[str, Any] | None = None
    cases: tuple[CaseOutcome, ...] = ()
    infra: Mapping[str, Any] | None = None
    importance: tuple[FeatureDrop, ...] = ()
    figures: tuple[Path, ...] = field(default=())
    notes: tuple[str, ...] = ()
