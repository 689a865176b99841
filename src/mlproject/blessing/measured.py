"""The metrics of an evaluation, found by slice. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlproject.blessing.numbers import finite
from mlproject.blessing.values import Check, CheckOutcome
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.sections import EvaluationSection


class Measured:
    """The rows of an evaluation by model, metric and slice.

    Args:
        rows: The metrics of the candidate, and of the champion if there is one.
        differences: Candidate minus champion.
        section: The thresholds and what is measured.
        compared: Whether there is a champion; None where the rows tell.
    """

    def __init__(
        self,
        rows: Sequence[MetricRow],
        differences: Sequence[Difference],
        section: EvaluationSection,
        compared: bool | None,
    ) -> None:
        self.section = section
        self._rows = {(row.model, row.metric, row.slice): row for row in rows}
        self._differences = {(d.metric, d.slice): d for d in differences}
        self._examples: dict[str, int] = {}
        sizes = [(row.slice, row.examples) for row in rows]
        sizes += [(found.slice, found.examples) for found in differences]
        for name, examples in sizes:
            self._examples[name] = max(self._examples.get(name, 0), examples)
        seen = bool(differences) or any(row.model == CHAMPION for row in rows)
        self.has_champion = seen if compared is None else compared or seen

    @property
    def slices(self) -> list[str]:
        """Every slice that was measured, in the order of the rows."""
        return list(self._examples)

    def candidate(self, metric: str, name: str) -> MetricRow | None:
        """The candidate's metric on a slice."""
        return self._rows.get((CANDIDATE, metric, name))

    def champion(self, metric: str, name: str) -> MetricRow | None:
        """The champion's metric on a slice."""
        return self._rows.get((CHAMPION, metric, name))

    def difference(self, metric: str, name: str) -> Difference | None:
        """Candidate minus champion on a slice."""
        return self._differences.get((metric, name))

    def too_small(self, name: str) -> bool:
        """Whether a slice, or all rows, are fewer than a judgement takes."""
        return self._examples.get(name, 0) < self.section.min_slice_examples

    def value(self, row: MetricRow | None) -> float | None:
        """The number of a slice that is large enough; None where it cannot be judged."""
        if row is None or not finite(row.value) or self.too_small(row.slice):
            return None
        return row.value

    def unjudged(
        self, metric: str, name: str, named: bool, row: MetricRow | None, whose: str = ""
    ) -> Check:
        """The check of a slice that has no number.

        A slice of `COLUMN=*` is passed over where it is too small, or has one class only; a value
        that is NaN, or a metric that was not measured, withholds the blessing there too.
        """
        outcome: CheckOutcome = "unjudged"
        if name not in self._examples:
            why = "there are no such rows"
        elif self.too_small(name):
            least = self.section.min_slice_examples
            why = f"{self._examples[name]} rows are too few; evaluation.min_slice_examples: {least}"
            outcome = "unjudged" if named else "skipped"
        elif row is None:
            why = "it was not measured"
        elif row.value is None:
            why = f"it is not defined on its {row.examples} rows, which may be of one class"
            outcome = "unjudged" if named else "skipped"
        else:
            why = f"it is {row.value}"
        reason = f"{where(metric, name)}{whose} could not be judged: {why}"
        return Check("thresholds", outcome, reason)


def where(metric: str, name: str) -> str:
    """A metric and its slice in words."""
    return f"{metric} overall" if name == OVERALL else f"{metric} on {name}"
