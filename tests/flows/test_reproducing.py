"""The scratch folder of a reproduction, and where its steps stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import reproducing
from mlproject.artifacts import Artifact
from mlproject.errors import BusyError, DataError
from mlproject.execution import Refusal
from mlproject.reproduction.recorded import STEPS


class Run:
    """Stands for a pipeline run whose data is blocked, or not."""

    def __init__(self, refusal: Refusal | None) -> None:
        self._refusal = refusal
        self.ran: list[str] = []

    def refusal(self, name: str) -> Refusal | None:
        assert "validate" in self.ran, f"'{name}' asked before there is a verdict"
        return self._refusal

    def run_step(self, name: str) -> tuple[Artifact, bool]:
        self.ran.append(name)
        return Artifact(name, "f", f"/{name}"), False


def test_blocked_data_ends_the_steps_before_anything_is_trained() -> None:
    refused = Refusal("validate", ("fare: out of domain",))
    run: Any = Run(refused)
    artifacts, found = reproducing._run_steps(run)
    assert found is refused
    assert run.ran == list(artifacts) == ["ingest", "statistics", "schema", "validate"]


def test_valid_data_is_trained_and_evaluated_and_no_further() -> None:
    run: Any = Run(None)
    artifacts, found = reproducing._run_steps(run)
    assert found is None
    assert tuple(run.ran) == tuple(artifacts) == STEPS
    assert not {"bless", "register", "export"} & set(run.ran)


def test_the_scratch_folder_begins_empty_and_is_removed(tmp_path: Path) -> None:
    root = tmp_path / "reproductions" / "taxi-7"
    (root / "files").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path)
    (root / "files" / "old").touch()
    with reproducing._scratch(root, keep=False):
        assert [entry.name for entry in root.iterdir()] == [".lock"]
        (root / "new").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_after_an_error_too_and_kept_only_if_asked(tmp_path: Path) -> None:
    root = tmp_path / "taxi-7"
    with pytest.raises(DataError), reproducing._scratch(root, keep=False):
        raise DataError("no rows")
    assert not root.exists()
    with reproducing._scratch(root, keep=True):
        (root / "kept").touch()
    assert (root / "kept").exists()


def test_a_second_reproduction_of_a_version_is_told_of_the_first(tmp_path: Path) -> None:
    root = tmp_path / "taxi-7"
    with reproducing._scratch(root, keep=False):
        (root / "mine").touch()
        with (
            pytest.raises(BusyError, match="Another reproduction"),
            reproducing._scratch(root, keep=False),
        ):
            pytest.fail("it was let in")
        assert (root / "mine").exists()
