"""The reviewed file: read, and replaced whole by a schema that can be used, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlproject.config import Project, load_project
from mlproject.errors import ConfigError, DataError, StorageError
from mlproject.schema import SCHEMA_FILE
from mlproject.schema.file import read_reviewed, reviewed_path, save_reviewed

YAML = """\
name: taxi
module: taxi.py
data: {path: trips.csv}
training: {label: big}
schema: {%s}
"""
TEXT = """\
# reviewed
feature { name: "fare" type: FLOAT }  # dollars
feature { name: "tips" type: FLOAT }
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project.yaml").write_text(YAML % f"path: {SCHEMA_FILE}, training_only: [tips]")
    (tmp_path / SCHEMA_FILE).write_text(TEXT)
    return load_project(tmp_path)


def test_a_project_that_names_no_schema_has_its_place_beside_project_yaml(tmp_path: Path) -> None:
    (tmp_path / "project.yaml").write_text(YAML % "")
    project = load_project(tmp_path)
    assert reviewed_path(project) == tmp_path / SCHEMA_FILE
    reviewed = read_reviewed(project)
    assert (reviewed.text, reviewed.schema) == ("", None)
    with pytest.raises(ConfigError, match="benison schema infer"):
        reviewed.known()


def test_a_changed_schema_replaces_the_file_and_keeps_the_rest_of_its_text(
    project: Project,
) -> None:
    reviewed = read_reviewed(project)
    schema = reviewed.known()
    schema.feature[1].float_domain.min = 0
    os.chmod(reviewed.path, 0o640)
    save_reviewed(reviewed, schema, project)
    text = reviewed.path.read_text()
    assert text.startswith('# reviewed\nfeature { name: "fare" type: FLOAT }  # dollars\n')
    assert read_reviewed(project).known() == schema
    assert reviewed.path.stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in project.folder.iterdir()) == ["project.yaml", SCHEMA_FILE]


def test_a_first_schema_makes_the_file(project: Project) -> None:
    schema = read_reviewed(project).known()
    reviewed_path(project).unlink()
    save_reviewed(read_reviewed(project), schema, project)
    assert read_reviewed(project).known() == schema


def test_a_link_stays_a_link(project: Project, tmp_path: Path) -> None:
    path = reviewed_path(project)
    real = tmp_path / "elsewhere.pbtxt"
    path.rename(real)
    path.symlink_to(real)
    reviewed = read_reviewed(project)
    schema = reviewed.known()
    schema.feature[0].float_domain.max = 9
    save_reviewed(reviewed, schema, project)
    assert path.is_symlink()
    assert "max: 9.0" in real.read_text()


def test_a_schema_that_cannot_be_used_leaves_the_file_as_it_is(project: Project) -> None:
    reviewed = read_reviewed(project)
    schema = reviewed.known()
    schema.feature[0].float_domain.min = 5
    schema.feature[0].float_domain.max = 1
    with pytest.raises(DataError, match="above max"):
        save_reviewed(reviewed, schema, project)
    assert reviewed.path.read_text() == TEXT


def test_a_schema_without_a_training_only_column_is_refused(project: Project) -> None:
    reviewed = read_reviewed(project)
    schema = reviewed.known()
    del schema.feature[1]
    with pytest.raises(ConfigError, match="tips"):
        save_reviewed(reviewed, schema, project)
    assert reviewed.path.read_text() == TEXT


def test_a_file_that_somebody_else_has_changed_meanwhile_is_not_overwritten(
    project: Project,
) -> None:
    reviewed = read_reviewed(project)
    reviewed.path.write_text(TEXT + "# Ada was here\n")
    with pytest.raises(ConfigError, match="changed by somebody else"):
        save_reviewed(reviewed, reviewed.known(), project)
    assert reviewed.path.read_text().endswith("# Ada was here\n")


def test_a_place_that_cannot_be_written_is_a_storage_error(project: Project) -> None:
    schema = read_reviewed(project).known()
    path = reviewed_path(project)
    path.unlink()
    missing = read_reviewed(project.model_copy(update={"folder": project.folder / "gone"}))
    gone = project.model_copy(update={"folder": project.folder / "gone"})
    with pytest.raises(StorageError, match="Writing the reviewed schema failed"):
        save_reviewed(missing, schema, gone)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"no schema", None], ids=["bytes", "text", "folder"]
)
def test_a_file_that_is_no_schema_is_a_config_error(
    content: bytes | None, project: Project
) -> None:
    path = reviewed_path(project)
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"schema\.pbtxt"):
        read_reviewed(project)
