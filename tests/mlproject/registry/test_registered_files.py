"""A version's files: their digests at registration, and the check whenever they are fetched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mlproject.registry.conftest import Shelf

from mlproject.errors import RegistryError
from mlproject.registry import (
    BLESSING_TAG,
    EVIDENCE,
    KERAS_DIGEST_TAG,
    KERAS_MODEL,
    MODEL_DIGEST_TAG,
    SAVED_MODEL,
    TRAIN_RUN_TAG,
    model_digest,
)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def test_a_version_is_registered_with_the_digests_of_its_files(shelf: Shelf, into: Path) -> None:
    version = shelf.register()
    fetched = shelf.registry.download(version, SAVED_MODEL, into)
    assert version.tags[MODEL_DIGEST_TAG] == model_digest(fetched)
    assert model_digest(fetched) == model_digest(shelf.registration.saved_model)
    keras_model = shelf.registry.download(version, KERAS_MODEL, into)
    assert keras_model.read_bytes() == b"weights"
    assert version.tags[KERAS_DIGEST_TAG] == model_digest(keras_model)
    assert shelf.registry.resolve("toy/1").tags == version.tags


def test_a_keras_model_that_was_added_later_is_not_handed_out(shelf: Shelf, into: Path) -> None:
    version = shelf.register(keras_model=None)
    assert version.tags[KERAS_DIGEST_TAG] == ""
    shelf.stored(SAVED_MODEL).with_name(KERAS_MODEL).write_bytes(b"weights")
    with pytest.raises(RegistryError, match=r"model\.keras of version 1 of 'toy' is not") as caught:
        shelf.registry.download(version, KERAS_MODEL, into)
    assert caught.value.expected == "none at all"


def test_evidence_may_lie_in_folders(shelf: Shelf, into: Path) -> None:
    evidence = shelf.registry.download(shelf.register(), EVIDENCE, into)
    files = {f.relative_to(evidence).as_posix() for f in evidence.rglob("*") if f.is_file()}
    assert files == {"blessing.json", "code/parts/more.py", "sample.json"}
    assert (evidence / "code/parts/more.py").read_text(encoding="utf-8") == "BLESSED"


def change(folder: Path) -> None:
    (folder / "assets" / "words").write_text("What stands in assets/words", encoding="utf-8")


def add(folder: Path) -> None:
    (folder / "assets" / "more").touch()


def lose(folder: Path) -> None:
    (folder / "variables" / "variables.index").unlink()


@pytest.mark.parametrize("damage", [change, add, lose])
def test_a_model_that_was_changed_is_not_handed_out(
    damage: Callable[[Path], None], shelf: Shelf, into: Path
) -> None:
    version = shelf.register()
    damage(shelf.stored(SAVED_MODEL))
    with pytest.raises(RegistryError, match="The saved_model of version 1 of 'toy'") as caught:
        shelf.registry.download(version, SAVED_MODEL, into)
    assert "restore MLflow's artifact store" in str(caught.value.next_step)
    assert [f for f in into.rglob("*") if f.is_file()] == []  # nor left for who goes on


def test_a_keras_model_that_was_changed_is_not_handed_out(shelf: Shelf, into: Path) -> None:
    version = shelf.register()
    shelf.stored(KERAS_MODEL).write_bytes(b"weightz")
    with pytest.raises(RegistryError, match=r"The model\.keras of version 1 of 'toy'"):
        shelf.registry.download(version, KERAS_MODEL, into)
    assert [f for f in into.rglob("*") if f.is_file()] == []
    shelf.registry.download(version, SAVED_MODEL, into)


@pytest.mark.parametrize("what", [SAVED_MODEL, KERAS_MODEL])
def test_files_that_are_gone_say_what_to_do(what: str, shelf: Shelf, into: Path) -> None:
    version = shelf.register()
    stored = shelf.stored(what)
    if stored.is_dir():
        shutil.rmtree(stored)
    else:
        stored.unlink()
    with pytest.raises(RegistryError, match="Fetching version 1 of 'toy' failed") as caught:
        shelf.registry.download(version, what, into)
    assert what in str(caught.value.received)
    assert "restore MLflow's artifact store" in str(caught.value.next_step)


def test_a_model_without_a_digest_can_be_loaded(shelf: Shelf, into: Path) -> None:
    shelf.register()
    shelf.client.delete_model_version_tag("toy", "1", MODEL_DIGEST_TAG)
    change(shelf.stored(SAVED_MODEL))
    assert shelf.registry.download(shelf.registry.resolve("toy/1"), SAVED_MODEL, into).is_dir()


def test_a_model_that_holds_a_link_is_not_registered(shelf: Shelf, tmp_path: Path) -> None:
    (shelf.registration.saved_model / "assets" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RegistryError, match="a symbolic link"):
        shelf.register()
    assert shelf.registry.versions("toy") == []


def test_a_version_that_is_judged_again_keeps_its_digests(shelf: Shelf) -> None:
    first = shelf.register()
    again = shelf.register(tags={TRAIN_RUN_TAG: "one", BLESSING_TAG: "BLESSED"})
    assert again.tags == {**first.tags, BLESSING_TAG: "BLESSED"}
    assert shelf.registry.resolve("toy/1") == again


@pytest.mark.parametrize("what", [f"{SAVED_MODEL}/saved_model.pb", KERAS_MODEL])
def test_a_verdict_on_other_files_is_not_the_versions(what: str, shelf: Shelf) -> None:
    first = shelf.register()
    (shelf.registration.saved_model.parent / what).write_bytes(b"other")
    with pytest.raises(RegistryError, match="Judging version 1 of 'toy' again failed") as caught:
        shelf.register(tags={TRAIN_RUN_TAG: "one", BLESSING_TAG: "BLESSED"})
    assert "--from train" in str(caught.value.next_step)
    assert shelf.registry.versions("toy") == [first]


def test_a_version_of_before_there_were_digests_gets_one(shelf: Shelf) -> None:
    first = shelf.register()
    for tag in (MODEL_DIGEST_TAG, KERAS_DIGEST_TAG):
        shelf.client.delete_model_version_tag("toy", "1", tag)
    assert shelf.register() == first
    assert shelf.registry.resolve("toy/1") == first


def test_but_only_if_its_files_are_those_that_were_trained(shelf: Shelf) -> None:
    shelf.register()
    shelf.client.delete_model_version_tag("toy", "1", MODEL_DIGEST_TAG)
    change(shelf.stored(SAVED_MODEL))
    with pytest.raises(RegistryError, match="The saved_model of version 1 of 'toy' is not"):
        shelf.register()
    assert MODEL_DIGEST_TAG not in shelf.registry.resolve("toy/1").tags
