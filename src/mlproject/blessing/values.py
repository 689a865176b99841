"""The values of a Blessing: single checks, and the verdict made of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlproject.blessing.override import Override

Verdict = Literal["BLESSED", "NOT_BLESSED", "NOT_VALIDATED"]
CheckOutcome = Literal["pass", "fail", "unjudged", "skipped"]
Gate = Literal["thresholds", "cases", "infra"]
OverrideEffect = Literal["applied", "not needed", "refused"]


@dataclass(frozen=True)
class Check:
    """One threshold on one slice, one behavioural case, or the infra validation.

    Attributes:
        gate: What it belongs to.
        outcome: `pass`, `fail`, `unjudged` (withholds the blessing) or `skipped` (does not).
        reason: The outcome in plain words.
        family: The metric and the slices that one threshold names by `COLUMN=*`; empty where the
            slice is named by itself.
        in_doubt: It passed although the value is beyond its bound, since that is within noise.
    """

    gate: Gate
    outcome: CheckOutcome
    reason: str
    family: str = ""
    in_doubt: bool = False


@dataclass(frozen=True)
class Blessing:
    """The verdict on a candidate.

    Attributes:
        verdict: `BLESSED`; `NOT_BLESSED` where a check failed; `NOT_VALIDATED` where none failed
            and something could not be judged.
        reasons: Why, in plain words; what decided comes first.
        checks: Every check, in the order of the reasons.
        without_override: The verdict of the checks alone.
        override: A person's word against it, or None.
        override_effect: What became of it: `applied`; `not needed`, where the checks bless by
            themselves; `refused`, where the model did not pass its trial in a server.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    without_override: Verdict
    override: Override | None = None
    override_effect: OverrideEffect | None = None

    @property
    def blessed(self) -> bool:
        """True only for `BLESSED`."""
        return self.verdict == "BLESSED"

    def as_value(self) -> dict[str, Any]:
        """What `blessing.json` and the step's value hold."""
        override: Mapping[str, Any] | None = None
        if self.override is not None:
            override = {**asdict(self.override), "effect": self.override_effect}
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "without_override": self.without_override,
            "override": override,
            "checks": [asdict(check) for check in self.checks],
        }
