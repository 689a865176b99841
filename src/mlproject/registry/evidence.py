"""The evidence of a version as it lies in MLflow: its folder, and the parameters it trained with.

Imports MLflow when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlproject.errors import RegistryError
from mlproject.registry.names import EVIDENCE, TRAIN_RUN_TAG
from mlproject.registry.registry import Registry
from mlproject.registry.values import VersionInfo
from mlproject.settings import Settings
from mlproject.tracking import connect, first_line
from mlproject.tracking.past_run import read_run


def fetch_evidence(
    settings: Settings, registry: Registry, version: VersionInfo, into: Path
) -> Path | None:
    """Copies a version's folder of evidence.

    Args:
        settings: The platform's settings.
        registry: The registry that the version was found in.
        version: The version.
        into: An existing folder.

    Returns:
        The copy, or None where the version's artifacts have no such folder: it was registered by
        something else than the platform.

    Raises:
        RegistryError: The version's artifacts are gone.
    """
    found = _list(settings, version, "artifacts")
    if f"artifacts/{EVIDENCE}" in found:
        return registry.download(version, EVIDENCE, into)
    if not found and not _list(settings, version, ""):
        raise RegistryError(
            f"The artifacts of version {version.version} of '{version.name}' are gone",
            received="no file where the version says that they lie",
            expected="the artifacts that were registered with it",
            next_step="restore MLflow's artifact store, or name another version",
        )
    return None


def trained_params(settings: Settings, version: VersionInfo) -> Mapping[str, str] | None:
    """The parameters of the MLflow run that trained a version, as text.

    Returns:
        Name -> text, or None where no run is named or it is no longer there.
    """
    found = read_run(settings, version.tags.get(TRAIN_RUN_TAG))
    return found.params if found else None


def _list(settings: Settings, version: VersionInfo, what: str) -> set[str]:
    """Paths of the artifacts in a folder of a version; empty where there is no such folder."""
    from mlflow.artifacts import list_artifacts
    from mlflow.exceptions import MlflowException

    connect(settings)
    uri = f"models:/{version.name}/{version.version}/{what}".rstrip("/")
    try:
        return {str(entry.path) for entry in list_artifacts(artifact_uri=uri)}
    except (MlflowException, OSError) as err:
        raise RegistryError(
            f"Looking at the artifacts of version {version.version} of '{version.name}' failed",
            received=first_line(err, settings)[:200],
            expected="the artifacts that were registered with it",
            next_step="restore MLflow's artifact store, or name another version",
        ) from err
