"""What is looked at on both sides of a comparison, as plain values. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

SAME, UNJUDGED = "same", "unjudged"
BETTER, WORSE, CHANGED, NOISE = "better", "worse", "changed", "within noise"
UNCHANGED, ADDED, REMOVED = "unchanged", "added", "removed"
TINY = 1e-9


@dataclass(frozen=True)
class Fact:
    """One named text of both sides.

    Attributes:
        name: Dotted where it stands in a tree: `training.hyperparameters.epochs`.
        before: The first version's; None where it has none.
        after: The second's.
    """

    name: str
    before: str | None
    after: str | None

    @property
    def differs(self) -> bool:
        """Whether the texts are others."""
        return self.before != self.after


@dataclass(frozen=True)
class RuleChange:
    """One difference of two schemas, as `schema.diff.Change`; `unchanged` for a feature as it was.

    Attributes:
        feature: The feature, or `(schema)`.
        type: Its type in lower case.
        text: What differs.
        effect: `widened`, `narrowed`, `changed` or `unchanged`.
    """

    feature: str
    type: str
    text: str
    effect: str

    @property
    def differs(self) -> bool:
        """Whether it is a difference."""
        return self.effect != UNCHANGED


@dataclass(frozen=True)
class Pair:
    """One number of both sides; None where a side does not have it.

    Attributes:
        name: `mean`, `p90`, or a value whose share it is.
        before: The first version's.
        after: The second's.
    """

    name: str
    before: float | None
    after: float | None

    @property
    def differs(self) -> bool:
        """Whether the numbers lie apart by more than rounding."""
        if self.before is None or self.after is None:
            return self.before is not self.after
        return not math.isclose(self.before, self.after, rel_tol=TINY, abs_tol=TINY)


@dataclass(frozen=True)
class FeatureShift:
    """A feature's statistics on both sides.

    Attributes:
        split: `train` or `eval`.
        feature: The feature.
        before: Its kind (`int`, `float`, `text`, `bytes`) in the first version; None where absent.
        after: Its kind in the second.
        numbers: `missing` (share of rows), `mean`, `std`, `p10` and others.
        shares: Share of the most frequent values, the largest shift first.
        distances: `js` (bits) and `linf`, as drift is measured; none where it cannot be.
    """

    split: str
    feature: str
    before: str | None
    after: str | None
    numbers: tuple[Pair, ...] = ()
    shares: tuple[Pair, ...] = ()
    distances: Mapping[str, float] = field(default_factory=dict)

    @property
    def differs(self) -> bool:
        """Whether kind, numbers, shares or histogram differ."""
        return (
            self.before != self.after
            or any(pair.differs for pair in (*self.numbers, *self.shares))
            or any(distance > TINY for distance in self.distances.values())
        )

    @property
    def distance(self) -> float:
        """The largest distance; endless where a side lacks the feature."""
        if None in (self.before, self.after):
            return math.inf
        return max(self.distances.values(), default=0.0)


@dataclass(frozen=True)
class Figure:
    """A metric of one version on one slice.

    Attributes:
        value: None where it could not be judged.
        low: Lower end of its confidence interval; None where there is none.
        high: Upper end.
        examples: Rows of the slice.
        standard_error: Of the value; None where there is none.
    """

    value: float | None
    low: float | None
    high: float | None
    examples: int
    standard_error: float | None = None


@dataclass(frozen=True)
class MetricShift:
    """A metric on one slice, of both versions.

    Attributes:
        slice: `overall`, `COLUMN=VALUE` or a cross.
        metric: Its name.
        before: The first version's; None where it has no such slice or metric.
        after: The second's.
        verdict: `same`, `better`, `worse`, `changed` (nothing says which way is better),
            `within noise` or `unjudged`.
        interval: Ends of the confidence interval of after minus before; None where there is none.
    """

    slice: str
    metric: str
    before: Figure | None
    after: Figure | None
    verdict: str
    interval: tuple[float, float] | None = None

    @property
    def differs(self) -> bool:
        """Whether the two versions have other values, be it within noise."""
        return self.verdict != SAME

    @property
    def change(self) -> float | None:
        """After minus before; None where a side has no value."""
        values = [side.value if side else None for side in (self.before, self.after)]
        if values[0] is None or values[1] is None:
            return None
        return values[1] - values[0]


@dataclass(frozen=True)
class FileChange:
    """One recorded file of code.

    Attributes:
        name: Its path in the folder of code.
        state: `unchanged`, `changed`, `added` or `removed`.
        lines: A unified diff without its two head lines; for bytes that are no text, a remark.
    """

    name: str
    state: str
    lines: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the file is another one."""
        return self.state != UNCHANGED
