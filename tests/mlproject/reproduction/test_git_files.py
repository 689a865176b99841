"""Files of a commit, from real repositories; the repository stays as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlproject.errors import DataError
from mlproject.reproduction.git_files import find_repository

ME = ("-c", "user.email=a@example.org", "-c", "user.name=A", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *ME, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A repository with a project in `teams/taxi ü`, and a schema beside it."""
    folder = tmp_path / "clone"
    project = folder / "teams" / "taxi ü"
    project.mkdir(parents=True)
    (project / "taxi.py").write_text("OLD = 1\n", encoding="utf-8")
    (project / "run.sh").write_text("true\n", encoding="utf-8")
    (project / "run.sh").chmod(0o755)
    (folder / "common").mkdir()
    (folder / "common" / "schema.pbtxt").write_text("feature {}\n", encoding="utf-8")
    (folder / "else.txt").write_text("else\n", encoding="utf-8")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "old")
    return folder


def test_a_folder_of_an_old_commit_is_written_and_nothing_else(top: Path, tmp_path: Path) -> None:
    project = top / "teams" / "taxi ü"
    commit = git(top, "rev-parse", "HEAD")
    (project / "taxi.py").write_text("NEW = 1\n", encoding="utf-8")
    git(top, "commit", "-qam", "new")
    (project / "taxi.py").write_text("STAGED = 1\n", encoding="utf-8")
    git(top, "add", "-A")
    (project / "taxi.py").write_text("DIRTY = 1\n", encoding="utf-8")
    before = git(top, "status", "--porcelain", "--branch")
    found = find_repository(project)
    assert found is not None
    assert (found.top, found.prefix) == (top, "teams/taxi ü")
    into = tmp_path / "into"
    into.mkdir()
    assert found.write(commit, [found.prefix, "common/schema.pbtxt"], into) == 3
    files = {str(f.relative_to(into)) for f in into.rglob("*") if f.is_file()}
    assert files == {"teams/taxi ü/taxi.py", "teams/taxi ü/run.sh", "common/schema.pbtxt"}
    assert (into / found.prefix / "taxi.py").read_text(encoding="utf-8") == "OLD = 1\n"
    assert (into / found.prefix / "run.sh").stat().st_mode & 0o111
    assert git(top, "status", "--porcelain", "--branch") == before
    assert git(top, "worktree", "list").count("\n") == 0


def test_the_attributes_of_the_commit_hold_as_in_a_checkout(top: Path, tmp_path: Path) -> None:
    (top / ".gitattributes").write_text("*.txt text eol=crlf\n", encoding="utf-8")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "endings")
    into = tmp_path / "into"
    into.mkdir()
    found = find_repository(top)
    assert found is not None
    assert found.prefix == ""
    found.write(git(top, "rev-parse", "HEAD"), [], into)
    assert (into / "else.txt").read_bytes() == b"else\r\n"


def test_a_repository_says_which_commits_it_has(top: Path) -> None:
    found = find_repository(top)
    assert found is not None
    assert found.has(git(top, "rev-parse", "HEAD"))
    blob = git(top, "rev-parse", "HEAD:else.txt")
    assert not any(found.has(odd) for odd in ("0" * 40, "--help", "", blob, "a\nb"))


def test_a_commit_that_is_not_there_is_a_data_error(top: Path, tmp_path: Path) -> None:
    found = find_repository(top)
    assert found is not None
    with pytest.raises(DataError, match="git read-tree failed"):
        found.write("0" * 40, [], tmp_path)


def test_a_folder_outside_git_has_no_repository(tmp_path: Path) -> None:
    assert find_repository(tmp_path) is None
    assert find_repository(tmp_path / "gone") is None


def test_the_environment_of_a_git_hook_does_not_lead_to_another_repository(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    found = find_repository(top)
    assert found is not None
    assert found.top == top
