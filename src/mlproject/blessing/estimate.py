"""A measured value against a bound, with its uncertainty. Pure.

Three judges:

    point         the value decides
    significant   it fails only where the whole confidence interval lies beyond the bound
    proven        it passes only where the whole interval lies within the bound; an interval without
                  width proves nothing: the bootstrap saw no difference between rows

The slices that one threshold names by `COLUMN=*` are a family of tests: at 95 %, one slice in
twenty would be found beyond its bound by chance alone. Their intervals are widened by Bonferroni's
correction (O. J. Dunn, "Multiple comparisons among means", JASA 56, 1961, after C. E. Bonferroni):
with m slices judged and a confidence of 1 - a, each interval is

    value +- z(1 - a / (2 m)) * standard error

with z the quantile of the normal distribution and the standard error of the bootstrap (B. Efron,
"Nonparametric estimates of standard error", Biometrika 68, 1981).
So the chance that one or more of the m slices is found beyond a bound that it keeps is at most a,
whatever the dependence between the slices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from mlproject.blessing.numbers import finite, number
from mlproject.sections.evaluation import Judge

Standing = Literal["within", "in doubt", "beyond"]


@dataclass(frozen=True)
class Estimate:
    """A value, and the interval that it lies in with the asked confidence.

    Attributes:
        value: As measured.
        low: Lower end of its confidence interval; None where there is none.
        high: Upper end.
        family: Number of slices that the interval was widened for; 0 where it was not.
    """

    value: float
    low: float | None = None
    high: float | None = None
    family: int = 0

    @property
    def has_interval(self) -> bool:
        """Whether there are two ends, in order."""
        if self.low is None or self.high is None:
            return False
        return finite(self.low) and finite(self.high) and self.low <= self.high

    @property
    def negative(self) -> Estimate:
        """The estimate of minus the value."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Estimate(-self.value, low, high, self.family)

    def within(self, lowest: float, highest: float) -> Estimate:
        """The estimate with its interval cut at the lowest and highest value that there can be."""
        if not self.has_interval or self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, lowest), high=min(self.high, highest))

    @property
    def interval(self) -> str:
        """The interval as text, after a space; empty where there is none."""
        if not self.has_interval or self.low is None or self.high is None:
            return ""
        return f" [{number(self.low)}, {number(self.high)}]"

    @property
    def widened(self) -> str:
        """That the interval was widened, in words, after a semicolon; empty where it was not."""
        return f"; interval widened for {self.family} slices" if self.family > 1 else ""


def family_interval(
    value: float, standard_error: float | None, confidence: float, family: int
) -> Estimate:
    """The estimate of one slice of a family, its interval widened (see above).

    Args:
        value: As measured.
        standard_error: Of the value, from the bootstrap.
        confidence: Of the family, two-sided.
        family: Number of slices judged, 1 or more.
    """
    if standard_error is None or not finite(standard_error) or standard_error < 0:
        return Estimate(value, family=family)
    z = NormalDist().inv_cdf(1 - (1 - confidence) / (2 * family))
    return Estimate(value, value - z * standard_error, value + z * standard_error, family)


def stands(estimate: Estimate, most: float, judge: Judge) -> tuple[bool, Standing] | None:
    """Whether an estimate keeps an upper bound.

    Args:
        estimate: The value and its interval.
        most: The bound, inclusive.
        judge: How.

    Returns:
        Whether it passes, and how the value stands to the bound: `in doubt` where its interval
        holds the bound. None where the judge needs an interval and there is none, or one that
        proves nothing.
    """
    if judge == "point":
        return (True, "within") if estimate.value <= most else (False, "beyond")
    if not estimate.has_interval or estimate.low is None or estimate.high is None:
        return None
    if estimate.high <= most:
        proves = judge == "significant" or estimate.low < estimate.high
        return (True, "within") if proves else None
    if estimate.low > most:
        return False, "beyond"
    return judge == "significant", "in doubt"
