"""The digest of raw files: content and base names, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlproject.errors import DataError
from mlproject.examples.files_source import FilesSource, find_files
from mlproject.examples.request import IngestRequest


def write(folder: Path, **contents: str) -> Path:
    folder.mkdir()
    for name, text in contents.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def digest(folder: Path) -> str:
    return FilesSource(IngestRequest(source=str(folder))).digest()


def test_the_digest_survives_a_move_and_does_not_depend_on_the_uri(tmp_path: Path) -> None:
    folder = write(tmp_path / "here", a="1", b="2")
    before = digest(folder)
    folder.rename(tmp_path / "there")
    assert digest(tmp_path / "there") == before
    assert FilesSource(IngestRequest(source=f"file://{tmp_path}/there")).digest() == before


@pytest.mark.parametrize(
    "contents",
    [
        {"a": "1", "b": "3"},
        {"a": "1", "c": "2"},
        {"a": "1"},
        {"a": "12", "b": ""},
        {"a": "2", "b": "1"},
        {"a": "15:b.csv2"},
    ],
    ids=["content", "name", "file gone", "content moved", "content swapped", "name as content"],
)
def test_the_digest_tells_changes(tmp_path: Path, contents: dict[str, str]) -> None:
    before = digest(write(tmp_path / "here", a="1", b="2"))
    assert digest(write(tmp_path / "there", **contents)) != before


def test_the_digest_of_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "here", a="1")
    source = FilesSource(IngestRequest(source=str(folder)))
    (folder / "a.csv").unlink()
    with pytest.raises(DataError, match="No such file"):
        source.digest()


def test_globs_reach_subfolders(tmp_path: Path) -> None:
    write(tmp_path / "day=1", part="1")
    write(tmp_path / "day=2", part="2")
    files = find_files(str(tmp_path / "**" / "*.csv"))
    assert [Path(file.path).parent.name for file in files] == ["day=1", "day=2"]
    assert find_files(str(tmp_path / "day=1")) == files[:1]
