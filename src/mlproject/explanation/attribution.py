"""The values of one explanation. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Share:
    """What one feature adds to a prediction.

    Attributes:
        feature: A transformed feature; or raw features, `fare + trip_miles` where one transformed
            feature comes from several.
        value: The feature in the row; of several raw features, a value for each, by name. None
            where a raw value is missing.
        attribution: What it adds, in units of the prediction.
        parts: What each of its values adds, nested like `value`; None of a single value, of
            features without a gradient, and of raw features.
    """

    feature: str
    value: Any
    attribution: float
    parts: Any = None


@dataclass(frozen=True)
class Attribution:
    """Why one row got its prediction, and not the baseline's.

    Attributes:
        prediction: The number that is explained.
        baseline: The same output for the baseline.
        output: The class that is explained; None where the model gives one number.
        transformed: What each transformed feature adds.
        raw: The same, summed to the raw features; empty where the model does not tell which
            transformed feature comes from which.
        steps: Points of the path integral, at most; 0 where no feature has a gradient.
        permutations: Orders of the features that were drawn; None where all were counted.
        baseline_rows: Rows that the baseline is the middle of; 0 for a row with nothing in it.
    """

    prediction: float
    baseline: float
    output: int | None
    transformed: tuple[Share, ...]
    raw: tuple[Share, ...]
    steps: int
    permutations: int | None
    baseline_rows: int

    @property
    def shares(self) -> tuple[Share, ...]:
        """Raw features where known, else transformed ones; what adds most, up or down, first."""
        return tuple(sorted(self.raw or self.transformed, key=lambda s: -abs(s.attribution)))

    @property
    def gap(self) -> float:
        """Prediction minus baseline minus all attributions: what the numeric integral missed."""
        return self.prediction - self.baseline - sum(s.attribution for s in self.transformed)

    def as_dict(self) -> dict[str, Any]:
        """The explanation as JSON takes it."""
        return {**asdict(self), "gap": self.gap}


def sum_to_raw(
    transformed: Sequence[Share],
    origins: Mapping[str, Sequence[str]],
    values: Mapping[str, Any],
) -> tuple[Share, ...]:
    """Sums attributions of transformed features to the raw features that they come from.

    Args:
        transformed: What each transformed feature adds.
        origins: Transformed feature -> raw features.
        values: Raw feature -> value in the row.

    Returns:
        A share for each raw feature, or for several that a transformed feature mixes; none where
        a transformed feature's origin is not known.
    """
    sums: dict[tuple[str, ...], float] = {}
    for share in transformed:
        if share.feature not in origins:
            return ()
        names = tuple(origins[share.feature])
        if names:  # a constant adds nothing
            sums[names] = sums.get(names, 0.0) + share.attribution
    return tuple(
        Share(
            " + ".join(names),
            values.get(names[0]) if len(names) == 1 else {n: values.get(n) for n in names},
            total,
        )
        for names, total in sums.items()
    )
