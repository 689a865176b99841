"""The evidence of a version, fetched from MLflow; of versions that others registered, too."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import RegistryError
from mlproject.registry import TRAIN_RUN_TAG, Registry, VersionInfo
from mlproject.registry.evidence import fetch_evidence, trained_params
from mlproject.settings import Settings, read_settings


class Store:
    """MLflow on SQLite, with a registered model whose versions lie in folders."""

    def __init__(self, folder: Path) -> None:
        from mlproject.tracking import connect

        self.folder = folder
        self.settings: Settings = read_settings({"BENISON_HOME": str(folder / "home")}, folder)
        self.client = connect(self.settings)
        self.client.create_registered_model("taxi")
        self.registry = Registry(self.settings)

    def version(self, *files: str, tags: dict[str, str] | None = None) -> VersionInfo:
        """A version whose artifacts are files with their own names in them."""
        source = self.folder / f"model-{len(self.registry.versions('taxi'))}"
        for name in files:
            file = source / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name, encoding="utf-8")
        made = self.client.create_model_version("taxi", source.as_uri(), tags=tags or {})
        found = self.registry.version("taxi", int(made.version))
        assert found is not None
        return found

    def fetch(self, version: VersionInfo, into: Path) -> Path | None:
        return fetch_evidence(self.settings, self.registry, version, into)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def test_the_folder_is_copied_with_what_lies_in_it(store: Store, tmp_path: Path) -> None:
    version = store.version("artifacts/evidence/config.json", "artifacts/evidence/code/taxi.py")
    folder = store.fetch(version, tmp_path)
    assert folder is not None
    assert folder.is_relative_to(tmp_path)
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files == {"config.json", "code/taxi.py"}


@pytest.mark.parametrize("files", [("MLmodel", "model.pkl"), ("artifacts/saved_model/x.pb",)])
def test_a_version_that_others_registered_has_none(
    store: Store, tmp_path: Path, files: tuple[str, ...]
) -> None:
    assert store.fetch(store.version(*files), tmp_path) is None


def test_artifacts_that_are_gone_are_an_error(store: Store, tmp_path: Path) -> None:
    version = store.version("artifacts/evidence/config.json")
    shutil.rmtree(store.folder / f"model-{version.version - 1}")
    with pytest.raises(RegistryError, match=r"The artifacts of version .* of 'taxi' are gone"):
        store.fetch(version, tmp_path)


def test_the_parameters_are_those_of_the_run_that_trained_it(store: Store) -> None:
    run: Any = store.client.create_run(store.client.create_experiment("taxi"))
    store.client.log_param(run.info.run_id, "epochs", 3)
    version = store.version("MLmodel", tags={TRAIN_RUN_TAG: run.info.run_id})
    assert trained_params(store.settings, version) == {"epochs": "3"}


@pytest.mark.parametrize("run_id", ["", "0" * 32, "../x"])
def test_a_run_that_is_gone_has_no_parameters(store: Store, run_id: str) -> None:
    version = store.version("MLmodel", tags={TRAIN_RUN_TAG: run_id})
    assert trained_params(store.settings, version) is None
