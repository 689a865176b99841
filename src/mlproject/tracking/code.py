"""Which code ran."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

from mlproject.tracking.names import TAG


def code_tags(folder: Path) -> dict[str, str]:
    """Tags that say which code ran: the platform's version, and the project's git commit."""
    from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE

    tags = {
        f"{TAG}version": version("benison"),
        MLFLOW_SOURCE_NAME: str(folder),
        MLFLOW_SOURCE_TYPE: "PROJECT",
    }
    commit = git_commit(folder)
    if commit:
        tags[MLFLOW_GIT_COMMIT] = commit
    return tags


def git_commit(folder: Path) -> str | None:
    """The git commit of a folder, with `-dirty` if it has changes; None outside git."""

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-dirty" if git("status", "--porcelain", "--", ".") else commit
    except (OSError, subprocess.SubprocessError):
        return None
