"""A comparison of two versions: its sections, its verdict, and it as JSON values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

from mlproject.version_diff.values import (
    SAME,
    UNJUDGED,
    Fact,
    FeatureShift,
    FileChange,
    MetricShift,
    RuleChange,
)

DIFFERENT = "different"


class Comparable(Protocol):
    """Something that was looked at on both sides."""

    @property
    def differs(self) -> bool:
        """Whether the two sides differ in it."""
        ...


T = TypeVar("T", bound=Comparable)


@dataclass(frozen=True)
class Section(Generic[T]):
    """What was looked at of one kind.

    Attributes:
        items: All of it, what is the same too.
        unjudged: Why some of it could not be compared: not recorded, damaged.
        notes: What to know when reading it.
    """

    items: tuple[T, ...] = ()
    unjudged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[T, ...]:
        """The items that differ."""
        return tuple(item for item in self.items if item.differs)


@dataclass(frozen=True)
class VersionDiff:
    """Two versions compared.

    Attributes:
        before: `MODEL/version` of the first.
        after: Of the second.
        version: Stage, blessing and what else is said of the version itself.
        parameters: project.yaml and hyperparameters.
        data: Source, spans and rows.
        statistics: Of each split's features.
        schema: The rules of the data.
        metrics: On all rows and on slices.
        code: The recorded files.
    """

    before: str
    after: str
    version: Section[Fact]
    parameters: Section[Fact]
    data: Section[Fact]
    statistics: Section[FeatureShift]
    schema: Section[RuleChange]
    metrics: Section[MetricShift]
    code: Section[FileChange]

    @property
    def sections(self) -> Mapping[str, Section[Any]]:
        """Name -> section, in the order in which they are shown."""
        names = ("version", "parameters", "data", "statistics", "schema", "metrics", "code")
        return {name: getattr(self, name) for name in names}

    @property
    def verdict(self) -> str:
        """`different`, `unjudged` (no difference found, but not all could be compared), `same`."""
        if any(section.changes for section in self.sections.values()):
            return DIFFERENT
        if self.before != self.after and any(s.unjudged for s in self.sections.values()):
            return UNJUDGED
        return SAME

    @property
    def is_same(self) -> bool:
        """Whether everything could be compared and nothing differs."""
        return self.verdict == SAME

    def as_dict(self, every: bool = False) -> dict[str, Any]:
        """JSON values.

        Args:
            every: What is the same too.
        """
        sections = {
            name: {
                "items": [asdict(item) for item in (section.items if every else section.changes)],
                "unjudged": list(section.unjudged),
                "notes": list(section.notes),
            }
            for name, section in self.sections.items()
        }
        return {
            "before": self.before,
            "after": self.after,
            "verdict": self.verdict,
            **sections,
        }
