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
from mlproject.tracking import connect, first_line, translate_mlflow_errors


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
    from mlflow.exceptions import MlflowException

    run_id = version.tags.get(TRAIN_RUN_TAG)
    if not run_id:
        return None
    client = connect(settings)
    with translate_mlflow_errors(f"Reading the training run of '{version.name}'", settings):
        try:
            return dict(client.get_run(run_id).data.params)
        except MlflowException as err:
            if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


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
