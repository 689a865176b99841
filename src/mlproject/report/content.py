"""What an evaluation report holds, before it becomes a page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproject.cases.values import CaseResult
from mlproject.explanation.importance import Importance
from mlproject.metrics import Difference, MetricRow
from mlproject.report.about import About


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
    cases: tuple[CaseResult, ...] = ()
    infra: Mapping[str, Any] | None = None
    importance: tuple[Importance, ...] = ()
    figures: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def value_of(self, slice_: str, model: str, metric: str) -> MetricRow | None:
        """A metric of a model on a slice; None where it was not measured."""
        key = (slice_, model, metric)
        return next((r for r in self.rows if (r.slice, r.model, r.metric) == key), None)

    def difference_of(self, slice_: str, metric: str) -> Difference | None:
        """The difference in a metric on a slice; None where there is none."""
        return next((d for d in self.differences if (d.slice, d.metric) == (slice_, metric)), None)
