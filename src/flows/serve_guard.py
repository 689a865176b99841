"""What stands between the registry and traffic: an alias is settled first, a version is blessed."""

from __future__ import annotations

from mlproject.errors import ConfigError, RegistryError
from mlproject.promotion.findings import Finding
from mlproject.promotion.guards import BLESSED
from mlproject.promotion.promoter import Promoter
from mlproject.registry import (
    BLESSING_TAG,
    CHAMPION_ALIAS,
    Registry,
    VersionInfo,
    parse_reference,
)
from mlproject.registry.ledger import LedgerConflictError
from mlproject.settings import Settings

TRIES = 3


def resolve_guarded(
    settings: Settings, registry: Registry, reference: str, *, unblessed: bool
) -> VersionInfo:
    """The version to serve.

    Args:
        settings: The platform's settings.
        registry: The model registry.
        reference: `MODEL`, `MODEL@alias` or `MODEL/version`.
        unblessed: Whether a version that is not blessed may be served; never as the champion.

    Raises:
        ConfigError: `unblessed` was asked for the champion.
        RegistryError: There is no such version, or it is not blessed.
    """
    _, alias, number = parse_reference(reference)
    if unblessed and number is None and alias in (None, CHAMPION_ALIAS):
        raise ConfigError(
            "Reading --unblessed failed",
            received=reference,
            expected="a version by its number, such as taxi/3; the champion is always blessed",
        )
    version = settle_and_resolve(settings, registry, reference)
    if not unblessed:
        check_blessed(version)
    return version


def settle_and_resolve(settings: Settings, registry: Registry, reference: str) -> VersionInfo:
    """The version that a reference means, once aliases that were moved by hand are settled.

    Raises:
        RegistryError: There is no such version.
    """
    name, _, number = parse_reference(reference)
    if number is None:
        settle(Promoter(settings, registry), name)
    return registry.resolve(reference)


def settle(promoter: Promoter, name: str) -> tuple[Finding, ...]:
    """`Promoter.settle`; where another process settles at the same time, once more.

    Raises:
        PlatformError: MLflow does not answer, or the ledger is damaged.
    """
    for _ in range(TRIES - 1):
        try:
            return promoter.settle(name)
        except LedgerConflictError:
            continue
    return promoter.settle(name)


def check_blessed(version: VersionInfo) -> None:
    """Refuses a version that is not blessed.

    Raises:
        RegistryError: It is not blessed.
    """
    blessing = version.tags.get(BLESSING_TAG, "")
    if blessing != BLESSED:
        raise RegistryError(
            f"Version {version.version} of '{version.name}' may not be served",
            received=f"blessing {blessing or '(none)'}",
            expected=BLESSED,
            next_step="see its reasons in MLflow (tag benison.reasons); for a trial by its number "
            "give --unblessed",
        )
