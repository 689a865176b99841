"""What MLflow shows of a ledger: aliases, the tag of each version's stage, and its old stages.

All of it can be written again from the ledger at any time. The tag `benison.projected` of the
registered model says how many entries it shows: while that is less than there are, a process died
before it was through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlproject.errors import RegistryError
from mlproject.promotion.stages import Stage
from mlproject.promotion.standing import Standing
from mlproject.registry.names import (
    CHALLENGER_ALIAS,
    CHAMPION_ALIAS,
    PREVIOUS_ALIAS,
    STAGE_TAG,
    versions_filter,
)
from mlproject.registry.upsert import upsert
from mlproject.sections.registry import RegistrySection
from mlproject.settings import Settings
from mlproject.tracking import TAG, translate_mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PROJECTED_TAG, POLICY_TAG, ALERT_TAG = f"{TAG}projected", f"{TAG}policy", f"{TAG}alert"
MLFLOW_STAGES: Mapping[Stage, str] = {
    Stage.NONE: "None",
    Stage.STAGING: "Staging",
    Stage.SHADOW: "Staging",
    Stage.CANARY: "Staging",
    Stage.PRODUCTION: "Production",
    Stage.ARCHIVED: "Archived",
    Stage.REJECTED: "Archived",
    Stage.ROLLED_BACK: "Archived",
}


@dataclass(frozen=True)
class Shown:
    """What MLflow shows of a model now.

    Attributes:
        aliases: Alias -> version.
        projected: How many entries of the ledger it shows.
        policy: What the model's versions must pass.
        alert: What was put back last and why; empty for nothing.
    """

    aliases: Mapping[str, int]
    projected: int
    policy: RegistrySection
    alert: str


class Projection:
    """Reads and writes what MLflow shows.

    Args:
        settings: The platform's settings.
        client: MLflow's client.
    """

    def __init__(self, settings: Settings, client: MlflowClient) -> None:
        self._settings = settings
        self._client = client

    def read(self, name: str) -> Shown:
        """What MLflow shows of a model.

        Raises:
            TrackingError: There is no such model, or MLflow does not answer.
            RegistryError: The policy that is kept with the model is damaged.
        """
        with translate_mlflow_errors(f"Reading the registered model '{name}'", self._settings):
            model = self._client.get_registered_model(name)
        projected = model.tags.get(PROJECTED_TAG, "0")
        return Shown(
            aliases={alias: int(version) for alias, version in model.aliases.items()},
            projected=int(projected) if projected.isdecimal() else 0,
            policy=_policy(name, model.tags.get(POLICY_TAG)),
            alert=model.tags.get(ALERT_TAG, ""),
        )

    def write(self, name: str, standing: Standing) -> tuple[str, ...]:
        """Makes MLflow show a standing; writes only what differs.

        Args:
            name: The registered model.
            standing: What its ledger adds up to.

        Returns:
            What was written, in words.
        """
        written = []
        with translate_mlflow_errors(f"Showing the stages of '{name}'", self._settings):
            model = self._client.get_registered_model(name)
            versions = self._client.search_model_versions(versions_filter(name))
            there = standing.among(int(version.version) for version in versions)
            # The champion last: whoever follows it finds the rest in place.
            for alias, version in (
                (PREVIOUS_ALIAS, there.previous),
                (CHALLENGER_ALIAS, there.challenger),
                (CHAMPION_ALIAS, there.champion),
            ):
                now = model.aliases.get(alias)
                if version is None and now is not None:
                    self._client.delete_registered_model_alias(name, alias)
                    written.append(f"alias {alias} deleted")
                elif version is not None and str(now) != str(version):
                    upsert(self._client.set_registered_model_alias, name, alias, str(version))
                    written.append(f"alias {alias} -> {version}")
            mirror = _policy(name, model.tags.get(POLICY_TAG)).mirror_stages
            written += self._write_stages(versions, standing, mirror)
            if model.tags.get(PROJECTED_TAG) != str(standing.entries):
                entries = str(standing.entries)
                upsert(self._client.set_registered_model_tag, name, PROJECTED_TAG, entries)
        return tuple(written)

    def set_policy(self, name: str, policy: RegistrySection) -> None:
        """Keeps with a model what its versions must pass."""
        self._set_tag(name, POLICY_TAG, policy.model_dump_json())

    def set_alert(self, name: str, text: str) -> None:
        """Shows on a model's page what was put back, and why."""
        self._set_tag(name, ALERT_TAG, text[:5_000])

    def _set_tag(self, name: str, tag: str, value: str) -> None:
        with translate_mlflow_errors(f"Tagging the registered model '{name}'", self._settings):
            model = self._client.get_registered_model(name)
            if model.tags.get(tag) != value:
                upsert(self._client.set_registered_model_tag, name, tag, value)

    def _write_stages(
        self, versions: Iterable[ModelVersion], standing: Standing, mirror: bool
    ) -> list[str]:
        written = []
        for version in versions:
            name, number = version.name, int(version.version)
            stage = standing.stage(number)
            if (version.tags or {}).get(STAGE_TAG, Stage.NONE) != stage:
                upsert(
                    self._client.set_model_version_tag, name, str(number), STAGE_TAG, stage.value
                )
                written.append(f"version {number}: {stage}")
            if mirror and version.current_stage != MLFLOW_STAGES[stage]:
                self._mirror(name, number, MLFLOW_STAGES[stage])
                written.append(f"version {number}: MLflow's stage {MLFLOW_STAGES[stage]}")
        return written

    def _mirror(self, name: str, version: int, stage: str) -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the stages are deprecated
            self._client.transition_model_version_stage(name, str(version), stage)


def _policy(name: str, text: str | None) -> RegistrySection:
    if text is None:
        return RegistrySection()
    try:
        return RegistrySection.model_validate_json(text)
    except ValueError as err:
        raise RegistryError(
            f"Reading the policy of '{name}' failed",
            received=text[:200],
            expected=f"what Benison wrote to the tag {POLICY_TAG}",
            next_step="run the project's pipeline, which writes it anew",
        ) from err
