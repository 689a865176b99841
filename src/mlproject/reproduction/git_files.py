"""Files of a git commit, written to a folder; the repository stays as it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlproject.errors import DataError

TIMEOUT_S = 600
_NOT_OURS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
_INDEX = ".benison-index"


@dataclass(frozen=True)
class Repository:
    """The git repository that a folder stands in.

    Attributes:
        top: Its top folder.
        git_dir: Where git keeps it.
        prefix: The folder, relative to the top; empty for the top itself.
    """

    top: Path
    git_dir: Path
    prefix: str

    def has(self, commit: str) -> bool:
        """Whether the repository has a commit."""
        try:
            _git(self.git_dir, "cat-file", "-e", f"{commit}^{{commit}}")
        except DataError:
            return False
        return True

    def write(self, commit: str, paths: Sequence[str], into: Path) -> int:
        """Writes files of a commit, as a checkout of it would: with its own attributes and filters.

        Args:
            commit: The commit.
            paths: Files and folders, relative to the top; empty for all.
            into: An existing, empty folder; the files get their paths below it.

        Returns:
            The number of files.

        Raises:
            DataError: git refuses.
        """
        # An index of its own: `git worktree add` would leave traces of a killed process behind.
        index = into / _INDEX
        place = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(into)}
        try:
            _git(self.git_dir, "read-tree", commit, cwd=into, environment=place)
            listing = ("--literal-pathspecs", "ls-files", "-z", "--", *paths)
            names = _git(self.git_dir, *listing, cwd=into, environment=place)
            _git(
                self.git_dir,
                "checkout-index",
                "-z",
                "--stdin",
                given=names,
                cwd=into,
                environment=place,
            )
        finally:
            index.unlink(missing_ok=True)
        return names.count(b"\0")


def find_repository(folder: Path) -> Repository | None:
    """The repository that a folder stands in, or None."""
    try:
        asked = ("rev-parse", "--show-toplevel", "--absolute-git-dir", "--show-prefix")
        top, git_dir, prefix = os.fsdecode(_git(None, *asked, cwd=folder)).split("\n")[:3]
    except (DataError, ValueError):
        return None
    return Repository(Path(top), Path(git_dir), prefix.rstrip("/"))


def _git(
    git_dir: Path | None,
    *arguments: str,
    given: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """What git prints.

    Raises:
        DataError: There is no git, it fails, or it takes longer than ten minutes.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    where = ["--git-dir", str(git_dir)] if git_dir else []
    try:
        done = subprocess.run(
            ["git", *where, *arguments],
            input=given,
            capture_output=True,
            cwd=cwd,
            env={**kept, **(environment or {})},
            timeout=TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as err:
        said = (getattr(err, "stderr", b"") or str(err).encode()).decode(errors="replace")
        raise DataError(
            f"git {arguments[0]} failed",
            received=" ".join(said.split())[:300],
            expected="a git repository that can be read",
        ) from err
    return done.stdout
