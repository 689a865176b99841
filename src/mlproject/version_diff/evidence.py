"""What is recorded of one version, and how a part of it is read from two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlproject.errors import PlatformError
from mlproject.webpage.text import plain

if TYPE_CHECKING:
    from mlproject.registry import Registry, VersionInfo
    from mlproject.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Evidence:
    """What MLflow holds of one version beside the model.

    Attributes:
        name: The registered model.
        number: The version.
        tags: The version's tags.
        folder: A copy of its folder `evidence`; None where it has none.
        params: Parameters of the run that trained it, as text; None where it is gone.
    """

    name: str
    number: int
    tags: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    params: Mapping[str, str] | None = None

    @property
    def title(self) -> str:
        """`MODEL/version`."""
        return f"{self.name}/{self.number}"

    def path(self, name: str) -> Path | None:
        """A file or folder of the evidence; None where it is not recorded."""
        found = self.folder / name if self.folder else None
        return found if found and found.exists() else None


def read_evidence(
    settings: Settings, registry: Registry, version: VersionInfo, into: Path
) -> Evidence:
    """Fetches what is recorded of a version.

    Args:
        settings: The platform's settings.
        registry: The registry that the version was found in.
        version: The version.
        into: An existing, empty folder for the copy.

    Raises:
        RegistryError: The version's artifacts are gone.
    """
    from mlproject.registry.evidence import fetch_evidence, trained_params

    return Evidence(
        name=version.name,
        number=version.version,
        tags=version.tags,
        folder=fetch_evidence(settings, registry, version, into),
        params=trained_params(settings, version),
    )


def read_both(
    what: str, read: Callable[[Evidence], T | None], before: Evidence, after: Evidence
) -> tuple[tuple[T, T] | None, tuple[str, ...]]:
    """Reads one part of the evidence of two versions.

    Args:
        what: The part, for the reasons.
        read: Gives it, or None where it is not recorded; a PlatformError where it is damaged.
        before: The first version's evidence.
        after: The second's.

    Returns:
        Both, or None; and why not.
    """
    found, reasons = [], []
    for side in (before, after):
        try:
            value = read(side)
        except PlatformError as err:
            said = plain(err.received or err.failed, 160)
            reasons.append(f"{side.title}: {what} cannot be read: {said}")
            continue
        if value is None:
            reasons.append(f"{side.title}: {what} not recorded")
        else:
            found.append(value)
    reasons = list(dict.fromkeys(reasons))
    return ((found[0], found[1]) if len(found) == 2 else None), tuple(reasons)
