"""What a reproduction found: gaps, reasons and a verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["identical", "within tolerance", "different", "could not judge"]
EXIT_CODES: Mapping[Verdict, int] = {
    "identical": 0,
    "within tolerance": 0,
    "different": 3,
    "could not judge": 1,
}
TOLERANCE = 1e-4


@dataclass(frozen=True)
class MetricGap:
    """A metric of a slice that is not what was recorded, in its value, interval or rows.

    Attributes:
        slice: The slice.
        metric: The metric.
        then: The recorded value; None where it was not judged or not measured.
        now: The value now; None likewise.
        gap: `|now - then|`; infinite where one of them is None, 0 where the value is the same and
            only its interval or the number of rows is not.
        part: What differs first: `value`, `examples`, `low`, `high`, `standard_error`, or
            `missing` where only one side has the metric.
    """

    slice: str
    metric: str
    then: float | None
    now: float | None
    gap: float
    part: str


@dataclass(frozen=True)
class ArrayGap:
    """How far two collections of numbers are apart.

    Attributes:
        compared: Numbers (predictions) or arrays (weights) that were compared.
        differing: Those that are not equal to the last bit.
        largest: The largest absolute difference; infinite where one side is no number, or the
            shapes differ.
        unlike: Why they cannot be compared one by one; empty where they can.
    """

    compared: int
    differing: int
    largest: float
    unlike: str = ""

    @property
    def equal(self) -> bool:
        """True where all of it could be compared, and is equal to the last bit."""
        return not self.unlike and self.differing == 0


@dataclass(frozen=True)
class Comparison:
    """The reproduced model against the recorded version.

    Attributes:
        metrics: Metrics recorded then and measured now, each with its slice.
        gaps: Those that differ.
        predictions: On the eval split.
        weights: Variables of the SavedModels; not judged where they cannot be compared.
        asked_again: Metrics of the recorded model, asked again now, that are not those recorded:
            what evaluates has changed, not what trains.
    """

    metrics: int
    gaps: tuple[MetricGap, ...]
    predictions: ArrayGap
    weights: ArrayGap
    asked_again: tuple[MetricGap, ...] = ()

    def verdict(self, tolerance: float) -> Verdict:
        """The verdict.

        Args:
            tolerance: Largest absolute difference of a prediction, and of a metric's value.
        """
        if not self.metrics or not self.predictions.compared:
            return "could not judge"
        same_weights = bool(self.weights.unlike) or self.weights.equal
        if not self.gaps and self.predictions.equal and same_weights:
            return "identical"
        shapes = {"missing", "examples"}
        close = all(g.gap <= tolerance and g.part not in shapes for g in self.gaps)
        near = not self.predictions.unlike and self.predictions.largest <= tolerance
        return "within tolerance" if close and near else "different"


@dataclass(frozen=True)
class Reproduction:
    """The outcome of `benison reproduce`.

    Attributes:
        model: The registered model.
        version: The version that was reproduced.
        verdict: The verdict.
        tolerance: Of the verdict.
        comparison: What was compared; None where it could not be judged.
        reasons: Why it differs, or may; where it is identical, what differs all the same.
        seconds: Wall seconds of the steps and the comparison.
        run_id: The MLflow run of the reproduction.
        url: Where to look at it.
        kept: The scratch folder, where it was kept.
    """

    model: str
    version: int
    verdict: Verdict
    tolerance: float
    comparison: Comparison | None
    reasons: tuple[str, ...]
    seconds: float
    run_id: str
    url: str
    kept: str = ""

    @property
    def exit_code(self) -> int:
        """0 identical or within tolerance, 3 different, 1 could not judge."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON values; an infinite gap as the text `inf`."""
        found: dict[str, Any] = _finite({**asdict(self), "exit_code": self.exit_code})
        return found


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return str(value) if value == float("inf") else value
