"""Versions of registered models in MLflow: found, registered and fetched."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import RegistryError, closest
from mlproject.registry.integrity import DIGEST_TAGS, RESTORE, check_model, model_digest
from mlproject.registry.logged_model import log_model, write_evidence
from mlproject.registry.names import (
    CHAMPION_ALIAS,
    EVIDENCE,
    KERAS_DIGEST_TAG,
    MODEL_DIGEST_TAG,
    SAMPLE_FILE,
    SAMPLE_TAG,
    TRAIN_RUN_TAG,
    versions_filter,
)
from mlproject.registry.values import Registration, VersionInfo, parse_reference, version_info
from mlproject.settings import Settings
from mlproject.tracking import connect, first_line, translate_mlflow_errors
from mlproject.tracking.names import MAX_VERSION_TAG_CHARS, mlflow_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Registry:
    """The model registry behind the tracking URI.

    Args:
        settings: The platform's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: MlflowClient = connect(settings)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, for the ledger and for what shows it."""
        return self._client

    def champion(self, name: str) -> VersionInfo | None:
        """The version with the alias `champion`, or None."""
        return self._by_alias(name, CHAMPION_ALIAS)

    def version(self, name: str, number: int) -> VersionInfo | None:
        """A version of a registered model, or None."""
        return next((v for v in self.versions(name) if v.version == number), None)

    def versions(self, name: str) -> list[VersionInfo]:
        """Every version of a registered model, oldest first; empty if there is no such model."""
        with self._translate(f"Reading the versions of '{name}'"):
            found = self._client.search_model_versions(versions_filter(name))
        return sorted((version_info(v) for v in found), key=lambda v: v.version)

    def resolve(self, reference: str) -> VersionInfo:
        """The version that `MODEL`, `MODEL@alias` or `MODEL/version` means.

        Args:
            reference: `taxi` (its champion), `taxi@champion` or `taxi/3`.

        Raises:
            RegistryError: No such model, alias or version; the closest names are offered.
        """
        name, alias, number = parse_reference(reference)
        versions = self.versions(name)
        if not versions:
            with self._translate("Reading the registered models"):
                names = [m.name for m in self._client.search_registered_models()]
            raise RegistryError(
                "There is no such registered model, or it has no version",
                received=name,
                expected=closest(name, names),
                next_step="train it: `benison train PROJECT`",
            )
        if number is not None:
            numbered = self.version(name, number)
            if numbered is not None:
                return numbered
            raise RegistryError(
                f"The registered model '{name}' has no such version",
                received=str(number),
                expected="one of " + ", ".join(str(v.version) for v in versions),
            )
        found_by_alias = self._by_alias(name, alias or CHAMPION_ALIAS)
        if found_by_alias is None:
            with self._translate(f"Reading the aliases of '{name}'"):
                aliases = list(self._client.get_registered_model(name).aliases)
            raise RegistryError(
                f"The registered model '{name}' has no version with that alias",
                received=alias or CHAMPION_ALIAS,
                expected=closest(alias or CHAMPION_ALIAS, aliases),
                next_step="only a blessed version becomes champion; see `benison train`",
            )
        return found_by_alias

    def register(self, registration: Registration) -> VersionInfo:
        """Registers a model as a new version; gives the same version if asked again.

        Args:
            registration: What to register. Where a version of the same training exists, it gets
                the new blessing, sample and description: a killed run that is started again, or
                a change of thresholds alone, makes no second version of the same weights.

        Returns:
            The version, with the digests of its files among its tags.

        Raises:
            RegistryError: The model's files cannot be read, or are not those that a version of
                the same training was registered with.
        """
        name = registration.name
        made_by = registration.tags[TRAIN_RUN_TAG]
        with self._translate(f"Registering a version of '{name}'"):
            registration = _with_digests(registration)
            for known in self.versions(name):
                if made_by and known.tags.get(TRAIN_RUN_TAG) == made_by:
                    return self._judge_again(known, registration)
            run = self._client.get_run(registration.run_id)
            logged = self._client.create_logged_model(
                run.info.experiment_id, name, run.info.run_id, params=run.data.params
            )
            try:
                source = log_model(registration, logged.model_id)
                self._make_model(name)
                made = self._client.create_model_version(
                    name,
                    source=source,
                    run_id=registration.run_id,
                    tags=mlflow_tags(registration.tags, MAX_VERSION_TAG_CHARS),
                    description=registration.description,
                    model_id=logged.model_id,  # a server checks that the source is this model's
                )
            except BaseException:
                self._client.delete_logged_model(logged.model_id)
                raise
            return version_info(made)

    def _judge_again(self, known: VersionInfo, registration: Registration) -> VersionInfo:
        self._same_files_or_refuse(known, registration.tags)
        number = str(known.version)
        source = self._client.get_model_version(known.name, number).source or ""
        model_id = source.removeprefix("models:/")
        if model_id != source:
            with tempfile.TemporaryDirectory() as folder:
                write_evidence(registration, Path(folder))
                where = f"artifacts/{EVIDENCE}"
                self._client.log_model_artifacts(model_id, folder, artifact_path=where)
        tags = mlflow_tags(registration.tags, MAX_VERSION_TAG_CHARS)
        for tag, value in tags.items():
            if known.tags.get(tag) != value:
                self._client.set_model_version_tag(known.name, number, tag, value)
        self._client.update_model_version(known.name, number, registration.description)
        return replace(known, tags={**known.tags, **tags})

    def _same_files_or_refuse(self, known: VersionInfo, digests: Mapping[str, str]) -> None:
        """Checks that a version holds the files that were judged again."""
        if not known.tags.get(MODEL_DIGEST_TAG):  # registered before there were digests
            given = replace(known, tags=digests)
            with tempfile.TemporaryDirectory() as folder:
                for what, tag in DIGEST_TAGS.items():
                    if digests[tag]:
                        self.download(given, what, Path(folder))
        elif any(known.tags.get(tag) != digests[tag] for tag in DIGEST_TAGS.values()):
            raise RegistryError(
                f"Judging version {known.version} of '{known.name}' again failed",
                received="files of its training that have changed since it was registered",
                expected="the files that were registered",
                next_step="train anew: `benison train PROJECT --from train`",
            )

    def download(self, version: VersionInfo, what: str, into: Path) -> Path:
        """Copies a folder or file of a version's artifacts.

        Args:
            version: The version.
            what: `saved_model`, `evidence/sample.json`, ...
            into: An existing folder.

        Returns:
            The copy's path.

        Raises:
            RegistryError: The version's artifacts are gone, or its model is not the one that was
                registered. A model without a digest (something else registered it) is copied as
                it is, and may not be deployed (`integrity.registered_digest`).
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        uri = f"models:/{version.name}/{version.version}/artifacts/{what}"
        try:
            copied = Path(
                download_artifacts(
                    artifact_uri=uri,
                    dst_path=str(into),
                    tracking_uri=self._settings.tracking_uri,
                    registry_uri=self._settings.tracking_uri,
                )
            )
        except (MlflowException, OSError) as err:
            raise RegistryError(
                f"Fetching version {version.version} of '{version.name}' failed",
                received=f"{what}: {first_line(err, self._settings)[:200]}",
                expected="the artifacts that were registered with it",
                next_step=RESTORE,
            ) from err
        if not copied.exists():
            raise RegistryError(
                f"Fetching version {version.version} of '{version.name}' failed",
                received=f"no {what} among its artifacts",
                next_step=RESTORE,
            )
        digest = version.tags.get(DIGEST_TAGS.get(what, ""))
        if digest is not None:
            model = f"The {what} of version {version.version} of '{version.name}'"
            try:
                check_model(copied, digest, model)
            except RegistryError:
                _remove(copied)  # nobody shall take it all the same
                raise
        return copied

    def sample(self, version: VersionInfo) -> dict[str, Any]:
        """The raw row that the version was last registered with."""
        if SAMPLE_TAG in version.tags:
            return dict(json.loads(version.tags[SAMPLE_TAG]))
        with tempfile.TemporaryDirectory() as folder:
            file = self.download(version, f"{EVIDENCE}/{SAMPLE_FILE}", Path(folder))
            return dict(json.loads(file.read_text(encoding="utf-8")))

    def _by_alias(self, name: str, alias: str) -> VersionInfo | None:
        from mlflow.exceptions import MlflowException

        with self._translate(f"Reading the alias '{alias}' of '{name}'"):
            try:
                return version_info(self._client.get_model_version_by_alias(name, alias))
            except MlflowException as err:
                if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def _make_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as err:
            if err.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _translate(self, doing: str) -> Any:
        return translate_mlflow_errors(doing, self._settings)


def _remove(copied: Path) -> None:
    if copied.is_dir():
        shutil.rmtree(copied, ignore_errors=True)
    else:
        copied.unlink(missing_ok=True)


def _with_digests(registration: Registration) -> Registration:
    keras_model = registration.keras_model
    digests = {
        MODEL_DIGEST_TAG: model_digest(registration.saved_model),
        KERAS_DIGEST_TAG: model_digest(keras_model) if keras_model else "",
    }
    return replace(registration, tags={**registration.tags, **digests})
