"""What somebody wants of a version, and the refusal that it may meet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlproject.errors import RegistryError
from mlproject.promotion.stages import Stage
from mlproject.user import user_name

ANY_CHAMPION = -1
PLATFORM = "benison"
COMPARED_WITH = "compared_with"  # evidence of a request: the champion then, or `none`


class RefusedTransitionError(RegistryError):
    """A version may not enter a stage: an illegal step, or a guard that says no."""


@dataclass(frozen=True)
class Ask:
    """What somebody wants.

    Attributes:
        after: The stage.
        why: The reason.
        who: The user; the one of this process by default.
        evidence: Name -> what it stands on.
        override: Why evidence that is missing for production is done without; empty for none.
        approved: Whether a person said yes.
        compared_with: The champion that the version's evaluation compared it with, None for none;
            any champion may be replaced if left out.
    """

    after: Stage
    why: str
    who: str = field(default_factory=user_name)
    evidence: Mapping[str, str] = field(default_factory=dict)
    override: str = ""
    approved: bool = False
    compared_with: int | None = ANY_CHAMPION
