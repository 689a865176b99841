"""The stages of a version, and which may follow which. Pure.

none -> staging -> shadow -> canary -> production -> archived
  |        |         |         |           |            |
  +--------+---------+---------+-> rejected +-> rolled_back
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mlproject.errors import RegistryError, closest


class Stage(StrEnum):
    """Where a version stands.

    Attributes:
        NONE: Registered, and judged by nobody.
        STAGING: Blessed, and served to nobody.
        SHADOW: Asked a copy of the requests; its answers reach nobody.
        CANARY: Answers a share of the requests.
        PRODUCTION: Answers the requests: the champion. One version of a model at most.
        ARCHIVED: Was in production, or was set aside.
        REJECTED: Refused: by a person, by a rollout, or since nobody approved it in time.
        ROLLED_BACK: Was taken out of production.
    """

    NONE = "none"
    STAGING = "staging"
    SHADOW = "shadow"
    CANARY = "canary"
    PRODUCTION = "production"
    ARCHIVED = "archived"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


# A later stage may be reached past one between (a project without a canary has none); the guards
# ask for the evidence that would come from there.
TRANSITIONS: Mapping[Stage, frozenset[Stage]] = {
    Stage.NONE: frozenset({Stage.STAGING, Stage.REJECTED}),
    Stage.STAGING: frozenset(
        {Stage.SHADOW, Stage.CANARY, Stage.PRODUCTION, Stage.ARCHIVED, Stage.REJECTED}
    ),
    Stage.SHADOW: frozenset({Stage.CANARY, Stage.PRODUCTION, Stage.ARCHIVED, Stage.REJECTED}),
    Stage.CANARY: frozenset({Stage.PRODUCTION, Stage.ARCHIVED, Stage.REJECTED}),
    Stage.PRODUCTION: frozenset({Stage.ARCHIVED, Stage.ROLLED_BACK}),
    Stage.ARCHIVED: frozenset({Stage.STAGING, Stage.PRODUCTION}),
    Stage.REJECTED: frozenset({Stage.STAGING}),
    Stage.ROLLED_BACK: frozenset({Stage.STAGING}),
}
WAITING = (Stage.CANARY, Stage.SHADOW, Stage.STAGING)  # for production, the nearest first


def parse_stage(text: str) -> Stage:
    """The stage of a name.

    Raises:
        RegistryError: There is no such stage; the closest is named.
    """
    try:
        return Stage(text.lower())
    except ValueError as err:
        raise RegistryError(
            "Reading the stage failed", received=text, expected=closest(text, list(Stage))
        ) from err


def is_legal(before: Stage, after: Stage) -> bool:
    """Whether a version may go from one stage to another."""
    return after in TRANSITIONS[before]


def legal_words(before: Stage) -> str:
    """The stages that may follow one, in words."""
    return ", ".join(stage for stage in Stage if stage in TRANSITIONS[before])
