"""The step `train`: what it hands the Trainer of the champion."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import RegistryError
from mlproject.registry import KERAS_DIGEST_TAG
from mlproject.steps.train import _base_model


class Versions:
    """A registry of which one version has a Keras model, in a folder of MLflow's own."""

    def download(self, version: Any, what: str, into: Path) -> Path:
        if version.version != 1:
            raise RegistryError("Fetching failed", received=f"no {what} among its artifacts")
        (into / "artifacts").mkdir()
        (into / "artifacts" / what).write_bytes(b"weights")
        return into / "artifacts" / what


def context(number: int | None, notes: list[str], **tags: str) -> Any:
    version = None if number is None else types.SimpleNamespace(version=number, tags=tags)
    return types.SimpleNamespace(
        plan=types.SimpleNamespace(base_model=version), registry=Versions(), note=notes.append
    )


@pytest.mark.parametrize(("number", "there"), [(1, True), (2, False)])
def test_a_warm_start_gets_a_folder_with_the_champions_model(number: int, there: bool) -> None:
    notes: list[str] = []
    with _base_model(context(number, notes)) as folder:
        assert folder is not None
        assert (folder / "model.keras").exists() is there
    assert not folder.exists()
    assert notes == (
        [] if there else ["version 2 has no model.keras: no model.keras among its artifacts"]
    )


def test_a_registered_keras_model_that_cannot_be_had_is_not_passed_over() -> None:
    notes: list[str] = []
    ctx = context(2, notes, **{KERAS_DIGEST_TAG: "of its bytes"})
    with pytest.raises(RegistryError, match="Fetching failed"), _base_model(ctx):
        pass
    assert notes == []


def test_without_a_champion_there_is_none() -> None:
    with _base_model(context(None, [])) as folder:
        assert folder is None
