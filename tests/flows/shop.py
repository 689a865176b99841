"""A registered model of files that stand for one, which tests promote, move by hand and serve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlproject.promotion.asks import Ask
from mlproject.promotion.entries import Entry
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry import (
    BLESSING_TAG,
    INFRA_TAG,
    TRAIN_RUN_TAG,
    Column,
    Registration,
    VersionInfo,
)
from mlproject.sections.registry import RegistrySection
from mlproject.settings import Settings
from mlproject.tracking import Tracker


class Shop:
    """The model `shop` and its stages.

    Attributes:
        settings: Of a home of the test's own.
        promoter: The stages.
        client: MLflow's client of the same store.
        files: Whether new versions have files, so that they can be exported; slower.
    """

    name = "shop"
    files = False

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.promoter = Promoter(settings)
        self.client = self.promoter.registry.client
        self._folder = folder
        self._tracker = Tracker(settings, self.name)

    def version(self, blessing: str = "BLESSED", infra: str = "INFRA_BLESSED") -> VersionInfo:
        """A new version, with a run and a metric."""
        run_id = self._tracker.start_run("pipeline", {})
        self._tracker.log_metrics(run_id, {"auc": 0.75})
        self._tracker.finish_run(run_id, "FINISHED")
        tags = {TRAIN_RUN_TAG: run_id, BLESSING_TAG: blessing, INFRA_TAG: infra}
        if self.files:
            return self._registered(run_id, tags)
        if not self.promoter.registry.versions(self.name):
            self.client.create_registered_model(self.name)
        made = self.client.create_model_version(self.name, "s3://none", run_id, tags=tags)
        return self.promoter.registry.resolve(f"{self.name}/{made.version}")

    def _registered(self, run_id: str, tags: Mapping[str, str]) -> VersionInfo:
        saved_model = self._folder / run_id / "saved_model"
        saved_model.mkdir(parents=True)
        (saved_model / "saved_model.pb").write_text(f"graph {run_id}", encoding="utf-8")
        return self.promoter.registry.register(
            Registration(
                name=self.name,
                saved_model=saved_model,
                keras_model=None,
                evidence={},
                columns=(Column("fare", "float"),),
                output="float",
                sample={"fare": 1.0},
                run_id=run_id,
                tags=tags,
                description="",
            )
        )

    def champion(self) -> VersionInfo:
        """A new version in production."""
        version = self.staged()
        self.promoter.move(version, Ask(Stage.PRODUCTION, "the first"))
        return version

    def staged(self) -> VersionInfo:
        """A new version in staging."""
        version = self.version()
        self.promoter.move(version, Ask(Stage.STAGING, "blessed"))
        return version

    def requested(self, timeout_s: float = 3_600.0) -> tuple[VersionInfo, Entry]:
        """A new version that waits for a person."""
        version = self.staged()
        policy = RegistrySection(approval="required", approval_timeout_s=timeout_s)
        self.promoter.projection.set_policy(self.name, policy)
        return version, self.promoter.request(version, Ask(Stage.PRODUCTION, "it is better"))

    def move_alias(self, alias: str, version: VersionInfo) -> None:
        """Moves an alias as somebody does in MLflow's pages."""
        self.client.set_registered_model_alias(self.name, alias, str(version.version))

    def alias(self, alias: str) -> int | None:
        """Where an alias points to."""
        found = self.client.get_registered_model(self.name).aliases.get(alias)
        return None if found is None else int(found)

    def stage(self, version: VersionInfo) -> Stage:
        """The stage of a version."""
        return self.promoter.standing(self.name).stage(version.version)

    def exported(self) -> list[str]:
        """The versions that servers find."""
        folder = self.settings.serving_root / self.name
        return sorted(path.name for path in folder.glob("*")) if folder.exists() else []
