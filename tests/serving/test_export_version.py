from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from mlproject.errors import ServingError
from mlproject.registry import model_digest
from serving.export import export_version


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "assets").mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_an_export_has_the_same_files_and_digest(source: Path, tmp_path: Path) -> None:
    target = export_version(source, tmp_path / "base", 7)
    assert target == tmp_path / "base" / "7"
    assert tree(target) == tree(source)
    assert model_digest(target) == model_digest(source)
    assert [path.name for path in (tmp_path / "base").iterdir()] == ["7"]


def test_exporting_the_same_content_again_changes_nothing(source: Path, tmp_path: Path) -> None:
    first = export_version(source, tmp_path / "base", 1)
    before = (first / "saved_model.pb").stat().st_mtime_ns
    assert export_version(source, tmp_path / "base", 1) == first
    assert (first / "saved_model.pb").stat().st_mtime_ns == before


def test_other_content_under_a_taken_version_is_refused(source: Path, tmp_path: Path) -> None:
    target = export_version(source, tmp_path / "base", 1)
    (source / "saved_model.pb").write_bytes(b"another graph")
    with pytest.raises(ServingError, match="already exported with other content") as caught:
        export_version(source, tmp_path / "base", 1)
    assert "BENISON_SERVING_ROOT" in str(caught.value.next_step)
    assert f"remove the folder {target}" in str(caught.value.next_step)
    assert (target / "saved_model.pb").read_bytes() == b"graph"


@pytest.mark.parametrize("where", ["nowhere", "empty"])
def test_a_source_that_is_no_saved_model_is_refused(where: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ServingError, match=r"saved_model\.pb"):
        export_version(tmp_path / where, tmp_path / "base", 1)
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_below_one_is_refused(version: int, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=f"version {version}"):
        export_version(source, tmp_path / "base", version)


def test_a_full_disk_leaves_nothing_behind(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(src: str, dst: str, **_: object) -> None:
        Path(dst).write_bytes(b"ha")
        raise OSError(errno.ENOSPC, "No space left on device", dst)

    monkeypatch.setattr(shutil, "copy2", full)
    # copytree bound the function as a default value when shutil was imported.
    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, full, False, False))
    with pytest.raises(ServingError, match="No space left on device"):
        export_version(source, tmp_path / "base", 1)
    assert list((tmp_path / "base").iterdir()) == []


def test_a_base_path_that_is_a_file_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "base").write_text("a file")
    with pytest.raises(ServingError, match="Exporting version 1"):
        export_version(source, tmp_path / "base", 1)


def test_two_exporters_of_the_same_version_both_succeed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        shutil.copytree(source, target)  # the other exporter is done just before us
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    assert export_version(source, base, 1) == base / "1"
    assert [path.name for path in base.iterdir()] == ["1"]
