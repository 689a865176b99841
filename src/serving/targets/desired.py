"""What is to be served of a registered model, its files exported and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproject.errors import PlatformError
from mlproject.registry import SAMPLE_TAG, Registry, VersionInfo, registered_digest
from mlproject.sections.deployment import DeploymentSection
from serving.targets.base import CANARY, STABLE, DeployedVersion, Deployment


@dataclass(frozen=True)
class Wanted:
    """The versions of a model that are to be served.

    Attributes:
        default: The champion, or the one version that is asked for by its number.
        challenger: Served as `canary`; None for none.
        previous: Kept loaded; None for none.
        labelled: Whether the default one is `stable`: not a trial by its number.
    """

    default: VersionInfo
    challenger: VersionInfo | None = None
    previous: VersionInfo | None = None
    labelled: bool = True


def desired_deployment(
    registry: Registry,
    wanted: Wanted,
    config: DeploymentSection,
    serving_root: Path,
    say: Callable[[str], None],
) -> Deployment:
    """Exports the wanted versions, and says what is to be served.

    A challenger or a previous version that cannot be had is left out, and said.

    Args:
        registry: The model registry.
        wanted: The versions; whether they may be served was judged before.
        config: How they are deployed.
        serving_root: The root of the base paths; each version's files go to
            `<serving_root>/<model>/<version>/`, checked against its digest.
        say: Takes a line of progress.

    Raises:
        RegistryError: The default version's files are gone, or not those that were registered.
        ServingError: They could not be exported.
    """
    default = wanted.default
    say(f"{default.name}/{default.version}: checking its files")
    versions = {default.version: _export(registry, default, serving_root)}
    labels = {STABLE: default.version} if wanted.labelled else {}
    beside = {CANARY: wanted.challenger, "": wanted.previous if config.keep_previous else None}
    for label, version in beside.items():
        if version is None or version.version == default.version:
            continue
        try:
            found = versions.get(version.version) or _export(registry, version, serving_root)
        except PlatformError as err:
            say(f"{version.name}/{version.version} is left out: {err}")
            continue
        versions[version.version] = found
        if label:
            labels[label] = version.version
    return Deployment(
        model=default.name,
        versions=tuple(versions[number] for number in sorted(versions)),
        default_version=default.version,
        labels=labels,
        config=config,
    )


def _export(registry: Registry, version: VersionInfo, serving_root: Path) -> DeployedVersion:
    from serving.steps import export_registered

    folder = export_registered(registry, version, serving_root)
    return DeployedVersion(version.version, folder, registered_digest(version), _sample(version))


def _sample(version: VersionInfo) -> Mapping[str, Any]:
    """The raw row that was registered with a version; empty for none."""
    try:
        return dict(json.loads(version.tags.get(SAMPLE_TAG) or "{}"))
    except (ValueError, TypeError):  # a tag that somebody wrote by hand
        return {}
