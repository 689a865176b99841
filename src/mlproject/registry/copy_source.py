"""What is taken of a version that is copied: its files, its run, and what describes it.

Imports MLflow when it is called. The source's store is in force meanwhile (`stores.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import RegistryError
from mlproject.promotion.guards import Case, refusals
from mlproject.promotion.stages import Stage
from mlproject.registry.deployment_settings import DEPLOYMENT_TAG
from mlproject.registry.integrity import DIGEST_TAGS, RESTORE, check_model
from mlproject.registry.ledger_run import LEDGER_TAG
from mlproject.registry.names import BLESSING_TAG, INFRA_TAG, KERAS_MODEL, MODEL_DIGEST_TAG
from mlproject.registry.projection import POLICY_TAG
from mlproject.registry.registry import Registry
from mlproject.registry.stores import ModelStore
from mlproject.registry.values import VersionInfo
from mlproject.tracking import first_line, translate_mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

ML_MODEL, ARTIFACTS = "MLmodel", "artifacts"
META_FILE = "registered_model_meta"  # MLflow writes it to what it downloads
_OF_THE_SOURCE = (LEDGER_TAG, "register.", "export.")  # its ledger, number and served folder


@dataclass(frozen=True)
class Described:
    """A version that may be copied, and what is known of it.

    Attributes:
        version: The version.
        address: Where it is: the source's URI, without secrets, the model's name and the number.
        digest: The digest of its model.
        description: Of the version.
        run: The MLflow run that made it; None where it is gone.
        params: Parameters of MLflow's model.
        model_type: Its type in MLflow, if it has one.
        model_tags: The policy of the registered model and how it is deployed, as MLflow keeps them.
    """

    version: VersionInfo
    address: str
    digest: str
    description: str
    run: Run | None
    params: Mapping[str, str] = field(default_factory=dict)
    model_type: str | None = None
    model_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """The files of a version, fetched.

    Attributes:
        folder: Where they lie: `MLmodel`, `artifacts/saved_model`, `artifacts/evidence`, ...
        count: How many they are.
        size_bytes: All of them together.
    """

    folder: Path
    count: int
    size_bytes: int


def describe(source: ModelStore, registry: Registry, version: VersionInfo) -> Described:
    """Reads what is known of a version.

    Args:
        source: Its store.
        registry: The source's registry.
        version: The version.

    Raises:
        RegistryError: It could not enter staging there, or has no digest to check.
        TrackingError: MLflow does not answer.
    """
    _refuse_unfit(version)
    client, name, number = registry.client, version.name, str(version.version)
    with translate_mlflow_errors(f"Reading version {number} of '{name}'", source.settings):
        found = client.get_model_version(name, number)
        model = _logged_model(client, found.source or "")
        run = find_run(client, version.run_id)
        tags = client.get_registered_model(name).tags
    params = model.params if model else (run.data.params if run else {})
    return Described(
        version=version,
        address=f"{source.shown}/{name}/{number}",
        digest=version.tags[MODEL_DIGEST_TAG],
        description=found.description or "",
        run=run,
        params=own_params(params or {}),
        model_type=model.model_type if model else None,
        model_tags={tag: tags[tag] for tag in (POLICY_TAG, DEPLOYMENT_TAG) if tag in tags},
    )


def own_params(params: Mapping[str, str]) -> dict[str, str]:
    """Parameters without those that mean something in the source's registry alone."""
    return {name: value for name, value in params.items() if not name.startswith(_OF_THE_SOURCE)}


def find_run(client: MlflowClient, run_id: str | None) -> Run | None:
    """A run, or None where there is none of that id."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as err:
        if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def fetch(source: ModelStore, described: Described, into: Path) -> Files:
    """Fetches every file of a version, and checks its models against their digests.

    Args:
        source: Its store.
        described: The version.
        into: An existing folder.

    Raises:
        RegistryError: The files are gone, or the models are not those that were registered.
    """
    version = described.version
    what = f"version {version.version} of '{version.name}'"
    folder = download_model(
        source, f"models:/{version.name}/{version.version}", into, f"Fetching {what}"
    )
    if not (folder / ML_MODEL).is_file():
        raise RegistryError(
            f"Fetching {what} failed", received=f"no {ML_MODEL} in its files", next_step=RESTORE
        )
    for part, tag in DIGEST_TAGS.items():
        path, digest = folder / ARTIFACTS / part, version.tags.get(tag)
        if digest:
            check_model(path, digest, f"The {part} of {what}", next_step=_REPAIR)
        elif path.exists():
            raise RegistryError(
                f"The {KERAS_MODEL} of {what} cannot be checked",
                received=f"no digest in the tag {tag}",
                expected="the models that were registered, and no other",
                next_step=_REPAIR,
            )
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return Files(folder, len(sizes), sum(sizes))


def download_model(store: ModelStore, uri: str, into: Path, doing: str) -> Path:
    """Copies all files of a model as they were logged.

    Args:
        store: The store that it is in; it is in force.
        uri: `models:/taxi/3`, or `models:/m-...`.
        into: An existing folder.
        doing: What is done, for the message ("Fetching version 3 of 'taxi'").

    Returns:
        The folder that they lie in.

    Raises:
        RegistryError: There are none.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    place = store.settings.tracking_uri
    try:
        found = download_artifacts(
            artifact_uri=uri, dst_path=str(into), tracking_uri=place, registry_uri=place
        )
    except (MlflowException, OSError) as err:
        raise RegistryError(
            f"{doing} failed",
            received=first_line(err, store.settings)[:200],
            expected="the files that were registered with it",
            next_step=RESTORE,
        ) from err
    folder = Path(found)
    (folder / META_FILE).unlink(missing_ok=True)
    return folder


def _refuse_unfit(version: VersionInfo) -> None:
    """Says before anything is copied what the target would say after it."""
    tags, what = version.tags, f"Version {version.version} of '{version.name}' cannot be copied"
    case = Case(
        version=version.version,
        before=Stage.NONE,
        after=Stage.STAGING,
        blessing=tags.get(BLESSING_TAG, ""),
        infra=tags.get(INFRA_TAG, ""),
    )
    reasons = refusals(case)
    if reasons:
        raise RegistryError(
            f"{what}: it could not enter staging there",
            received="; ".join(reasons),
            expected="a version that was blessed, and that a server loaded",
            next_step=f"see `benison history {version.name}`, and copy another version",
        )
    if not tags.get(MODEL_DIGEST_TAG):
        raise RegistryError(
            f"{what}: its files could not be checked",
            received=f"no tag {MODEL_DIGEST_TAG}: something else registered it, or an older "
            "platform",
            expected="a version with the digest of its model",
            next_step="register it anew (`benison train PROJECT --from register`)",
        )


def _logged_model(client: MlflowClient, source: str) -> LoggedModel | None:
    from mlflow.exceptions import MlflowException

    model_id = source.removeprefix("models:/")
    if model_id == source:
        return None
    try:
        return client.get_logged_model(model_id)
    except MlflowException as err:
        if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None  # fetching the files will say what that means
        raise


_REPAIR = "restore MLflow's artifact store, or copy another version"
