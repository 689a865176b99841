"""Figures of the serving benchmarks and what they have to reach."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A figure that the server should reach.

    Attributes:
        name: What is measured.
        value: What was measured.
        bound: The bound.
        at_most: Whether the bound is the largest good value; otherwise it is the smallest.
    """

    name: str
    value: float
    bound: float
    at_most: bool = False

    def line(self) -> str:
        """One line of the table of targets."""
        reached = self.value <= self.bound if self.at_most else self.value >= self.bound
        sign = "<=" if self.at_most else ">="
        verdict = "ok  " if reached else "MISS"
        return f"{verdict} {self.name:58} {self.value:10.6g} {sign} {self.bound:g}"
