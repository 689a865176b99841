"""The export of a registered version: every deployment's files are those that were registered."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import RegistryError
from mlproject.registry import MODEL_DIGEST_TAG, VersionInfo, model_digest
from serving.steps import export_registered


class Shelf:
    """Stands for a registry: one version, whose files are checked as `Registry.download` does."""

    def __init__(self, stored: Path) -> None:
        self.stored = stored
        self.version = VersionInfo("toy", 3, {MODEL_DIGEST_TAG: model_digest(stored)}, None)
        self.downloads = 0

    def download(self, version: VersionInfo, what: str, into: Path) -> Path:
        self.downloads += 1
        return Path(shutil.copytree(self.stored, into / what))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    stored = tmp_path / "stored"
    (stored / "variables").mkdir(parents=True)
    (stored / "saved_model.pb").write_bytes(b"graph")
    (stored / "variables" / "variables.index").write_bytes(b"index")
    return Shelf(stored)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "served"


def export(shelf: Any, root: Path) -> Path:
    return export_registered(shelf, shelf.version, root)


def test_a_version_is_exported_once_and_needs_no_store_after_that(shelf: Shelf, root: Path) -> None:
    exported = export(shelf, root)
    assert exported == root / "toy" / "3"
    assert model_digest(exported) == shelf.version.tags[MODEL_DIGEST_TAG]
    shutil.rmtree(shelf.stored)
    assert export(shelf, root) == exported
    assert shelf.downloads == 1


@pytest.mark.parametrize("damage", ["changed", "added", "missing"])
def test_an_exported_folder_that_was_changed_is_refused_as_it_is(
    damage: str, shelf: Shelf, root: Path
) -> None:
    exported = export(shelf, root)
    if damage == "changed":
        (exported / "saved_model.pb").write_bytes(b"grapi")
    elif damage == "added":
        (exported / "assets").mkdir()
        (exported / "assets" / "more").touch()
    else:
        (exported / "variables" / "variables.index").unlink()
    before = model_digest(exported)
    with pytest.raises(RegistryError, match="The exported version 3 of 'toy' is not") as caught:
        export(shelf, root)
    assert f"remove the folder {exported}" in str(caught.value.next_step)
    assert "BENISON_SERVING_ROOT" in str(caught.value.next_step)
    assert model_digest(exported) == before
    shutil.rmtree(exported)  # what the message says to do
    assert model_digest(export(shelf, root)) == shelf.version.tags[MODEL_DIGEST_TAG]


def test_an_exported_folder_without_a_file_is_refused(shelf: Shelf, root: Path) -> None:
    (root / "toy" / "3").mkdir(parents=True)
    with pytest.raises(RegistryError, match="Reading a model's files failed"):
        export(shelf, root)


def test_a_copy_that_went_wrong_is_refused(shelf: Shelf, root: Path) -> None:
    (shelf.stored / "saved_model.pb").write_bytes(b"what no check of the download saw")
    with pytest.raises(RegistryError, match="is not what was registered"):
        export(shelf, root)


@pytest.mark.parametrize("exported_before", [False, True])
def test_a_version_without_a_digest_is_not_deployed(
    exported_before: bool, shelf: Shelf, root: Path
) -> None:
    if exported_before:
        export(shelf, root)
    shelf.version = VersionInfo("toy", 3, {}, None)
    with pytest.raises(RegistryError, match="Version 3 of 'toy' cannot be deployed"):
        export(shelf, root)
    assert shelf.downloads == exported_before
    assert (root / "toy").exists() is exported_before
