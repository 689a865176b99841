"""The project made again: recorded files over the commit's, and the recorded data or a refusal."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlproject.config import load_project
from mlproject.errors import ConfigError, DataError
from mlproject.examples.sources import find_source
from mlproject.project_data import ingest_request
from mlproject.registry import GIT_COMMIT_TAG, SOURCE_DIGEST_TAG, SPANS_TAG, VersionInfo
from mlproject.reproduction.recorded import Recorded
from mlproject.reproduction.scratch_config import scratch_config
from mlproject.reproduction.scratch_project import Asked, make_scratch_project
from mlproject.user_module import read_module

ME = ("-c", "user.email=a@example.org", "-c", "user.name=A", "-c", "commit.gpgsign=false")
PROJECT = """
name: taxi
module: taxi.py
data: {path: data/trips.csv}
schema: {path: ../common/schema.pbtxt}
training: {label: big_tip, hyperparameters: {units: 4, rate: 1.0e-5, note: 3e-3}}
tuning: {space: {units: {low: 2, high: 8}}}
"""
MODULE = "from shapes import UNITS\n\n\ndef preprocessing_fn(inputs):\n    return inputs\n"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *ME, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class World:
    """A project in a repository, a version recorded from it, and what is asked."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "clone"
        self.project = self.top / "taxi"
        (self.project / "data").mkdir(parents=True)
        (self.top / "common").mkdir()
        self.write("project.yaml", PROJECT)
        self.write("taxi.py", MODULE)
        self.write("shapes.py", "UNITS = 4\n")
        self.write("words.txt", "cash\n")
        self.write("../common/schema.pbtxt", 'feature { name: "fare" type: FLOAT }\n')
        self.write("data/trips.csv", "fare\n1.5\n2.5\n")
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def write(self, name: str, text: str) -> None:
        (self.project / name).write_text(text, encoding="utf-8")

    def commit(self) -> str:
        if not (self.top / ".git").exists():
            git(self.top, "init", "-q")
        git(self.top, "add", "-A")
        git(self.top, "commit", "-qm", "state")
        return git(self.top, "rev-parse", "HEAD")

    def record(self, commit: str = "", **changes: Any) -> Recorded:
        """What the platform records of the project as it is now."""
        project = load_project(self.project)
        code = self.scratch / "evidence" / "code"
        code.mkdir(parents=True)
        for name in ("taxi.py", "shapes.py", "../common/schema.pbtxt"):
            shutil.copy(self.project / name, code)
        tags = {
            SOURCE_DIGEST_TAG: find_source(ingest_request(project)).digest(),
            GIT_COMMIT_TAG: commit,
        }
        recorded = Recorded(
            version=VersionInfo("taxi", 7, tags, "run"),
            base=None,
            config=json.loads(project.config_text()),
            evidence=code.parent,
            source_uri="file:///then/trips.csv",
            folder=str(self.project),
            hyperparameters={"units": 6, "rate": 1e-5, "note": "3e-3"},
            environment={},
            fingerprints={},
        )
        return dataclasses.replace(recorded, **changes)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_commit_and_the_recorded_files_win_over_what_the_folder_holds_now(
    world: World,
) -> None:
    recorded = world.record(world.commit())
    world.write("taxi.py", "x = 1\n")
    world.write("shapes.py", "UNITS = 9\n")
    world.write("words.txt", "card\n")
    world.write("../common/schema.pbtxt", "broken")
    world.write("project.yaml", "broken")
    made = make_scratch_project(recorded, Asked(), world.scratch)
    folder = made.project.folder
    assert folder.is_relative_to(world.scratch)
    assert made.from_folder == ""
    assert read_module(made.project.module_path).text == MODULE
    assert (folder / "shapes.py").read_text(encoding="utf-8") == "UNITS = 4\n"
    assert (folder / "words.txt").read_text(encoding="utf-8") == "cash\n"
    assert made.project.schema_path is not None
    assert "fare" in made.project.schema_path.read_text(encoding="utf-8")
    assert (world.project / "taxi.py").read_text(encoding="utf-8") == "x = 1\n"


def test_what_was_tuned_stands_in_the_configuration_and_nothing_is_tuned_again(
    world: World,
) -> None:
    made = make_scratch_project(world.record(world.commit()), Asked(), world.scratch)
    config = made.project.config
    assert config.tuning is None
    assert config.training.hyperparameters == {"units": 6, "rate": 1e-5, "note": "3e-3"}


def test_uncommitted_changes_of_then_are_in_the_recorded_files(world: World) -> None:
    commit = world.commit()
    world.write("taxi.py", MODULE + "\n\nDIRTY = 1\n")
    recorded = world.record(f"{commit}-dirty")
    world.write("taxi.py", "x = 1\n")
    made = make_scratch_project(recorded, Asked(), world.scratch)
    assert "DIRTY" in read_module(made.project.module_path).text


def test_data_that_changed_in_the_folder_is_taken_from_the_commit(world: World) -> None:
    recorded = world.record(world.commit())
    world.write("data/trips.csv", "fare\n9.5\n")
    made = make_scratch_project(recorded, Asked(), world.scratch)
    assert made.project.source_paths()[None].startswith(str(world.scratch))


def test_data_that_is_not_committed_is_taken_from_the_folder(world: World) -> None:
    (world.top / ".gitignore").write_text("data/\n", encoding="utf-8")
    made = make_scratch_project(world.record(world.commit()), Asked(), world.scratch)
    assert made.project.source_paths()[None] == str(world.project / "data" / "trips.csv")


def test_data_that_changed_everywhere_is_refused_with_both_digests(world: World) -> None:
    (world.top / ".gitignore").write_text("data/\n", encoding="utf-8")
    recorded = world.record(world.commit())
    world.write("data/trips.csv", "fare\n9.5\n")
    with pytest.raises(DataError) as refused:
        make_scratch_project(recorded, Asked(), world.scratch)
    said = str(refused.value)
    now = find_source(ingest_request(load_project(world.project))).digest()
    assert f"digest {now[:12]} now, {recorded.source_digest[:12]} then" in said
    assert "file:///then/trips.csv" in said


def test_data_says_where_the_rows_are_now(world: World, tmp_path: Path) -> None:
    (world.top / ".gitignore").write_text("data/\n", encoding="utf-8")
    recorded = world.record(world.commit())
    moved = tmp_path / "moved" / "trips.csv"
    moved.parent.mkdir()
    shutil.move(world.project / "data" / "trips.csv", moved)
    with pytest.raises(DataError, match="There is no data at") as gone:
        make_scratch_project(recorded, Asked(), world.scratch)
    assert "file:///then/trips.csv" in gone.value.__notes__[0]
    shutil.rmtree(world.scratch / "files")
    made = make_scratch_project(recorded, Asked(data=(str(moved),)), world.scratch)
    assert made.project.source_paths()[None] == str(moved)
    shutil.rmtree(world.scratch / "files")
    moved.write_text("fare\n9\n", encoding="utf-8")
    with pytest.raises(DataError, match="The data has changed"):
        make_scratch_project(recorded, Asked(data=(str(moved),)), world.scratch)


def test_a_commit_that_the_repository_lacks_is_refused_until_a_folder_is_named(
    world: World,
) -> None:
    world.commit()
    recorded = world.record("0" * 40)
    with pytest.raises(ConfigError, match=f"no commit {'0' * 40} in the repository"):
        make_scratch_project(recorded, Asked(), world.scratch)
    shutil.rmtree(world.scratch / "files")
    made = make_scratch_project(recorded, Asked(str(world.project)), world.scratch)
    assert made.from_folder == str(world.project)


def test_outside_git_the_folders_other_files_are_linked_and_the_recorded_ones_written(
    world: World,
) -> None:
    (world.project / "words").mkdir()
    world.write("words/cash.txt", "cash\n")
    recorded = world.record()
    (recorded.code / "words").mkdir()
    (recorded.code / "words" / "own.py").write_text("OWN = 1\n", encoding="utf-8")
    world.write("taxi.py", "x = 1\n")
    made = make_scratch_project(recorded, Asked(), world.scratch)
    folder = made.project.folder
    assert made.from_folder == str(world.project)
    assert read_module(made.project.module_path).text == MODULE
    assert (folder / "words.txt").read_text(encoding="utf-8") == "cash\n"
    assert (folder / "words" / "cash.txt").read_text(encoding="utf-8") == "cash\n"
    assert (folder / "words" / "own.py").is_file()
    assert not (world.project / "words" / "own.py").exists()
    assert (world.project / "taxi.py").read_text(encoding="utf-8") == "x = 1\n"


def test_another_module_takes_the_recorded_ones_place(world: World, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("MINE = 1\n", encoding="utf-8")
    recorded = world.record()
    made = make_scratch_project(recorded, Asked(module=str(mine)), world.scratch)
    assert read_module(made.project.module_path).text == "MINE = 1\n"
    shutil.rmtree(world.scratch / "files")
    with pytest.raises(ConfigError, match="--module"):
        make_scratch_project(recorded, Asked(module="gone.py"), world.scratch)


@pytest.mark.parametrize("project", ["", "gone"])
def test_a_project_that_is_not_there_is_asked_for(world: World, project: str) -> None:
    with pytest.raises(ConfigError, match="--project DIR"):
        make_scratch_project(world.record(folder=""), Asked(project), world.scratch)


def test_a_commit_without_the_folder_is_refused(world: World) -> None:
    commit = world.commit()
    recorded = world.record(commit)
    shutil.move(world.project, world.top / "moved")
    with pytest.raises(ConfigError, match="no folder 'moved' in commit"):
        make_scratch_project(recorded, Asked(str(world.top / "moved")), world.scratch)


def test_a_configuration_of_another_version_of_the_platform_is_said_to_be_one(
    world: World,
) -> None:
    recorded = world.record()
    config = {**recorded.config, "feature_store": {"url": "x"}}
    with pytest.raises(ConfigError, match="not one of this version of the platform") as refused:
        make_scratch_project(dataclasses.replace(recorded, config=config), Asked(), world.scratch)
    assert "feature_store" in str(refused.value)


@pytest.mark.parametrize(
    ("spans", "span"),
    [("[[3, null, false], [4, 1, false]]", "4"), ("[[19000, null, true]]", "2022-01-08")],
)
def test_the_newest_span_of_then_is_asked_for_not_the_newest_of_now(
    world: World, spans: str, span: str
) -> None:
    recorded = world.record()
    tags = {**recorded.version.tags, SPANS_TAG: spans}
    recorded = dataclasses.replace(
        recorded, version=dataclasses.replace(recorded.version, tags=tags)
    )
    assert scratch_config(recorded, world.project)["data"]["span"] == span


@pytest.mark.parametrize("spans", ["", "[]", "no json", '{"a": 1}', "[[1]]", "[3]"])
def test_data_without_spans_or_with_a_damaged_tag_asks_for_none(world: World, spans: str) -> None:
    recorded = world.record()
    tags = {**recorded.version.tags, SPANS_TAG: spans}
    version = dataclasses.replace(recorded.version, tags=tags)
    assert dataclasses.replace(recorded, version=version).span == ""
