"""A registry on a store of its own, and registrations of files that stand for a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mlproject.registry import TRAIN_RUN_TAG, Column, Registration, Registry, VersionInfo
from mlproject.settings import Settings
from mlproject.tracking import Tracker


class Shelf:
    """A registry, and what lies in its artifact store.

    Attributes:
        registry: The registry.
        client: MLflow's client of the same store.
        registration: A model of four files, with a Keras model.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        tracker = Tracker(settings, "toy")
        self.client = tracker.client
        self.registry = Registry(settings)
        self._store = settings.artifact_root / "toy"
        saved_model = folder / "trained" / "saved_model"
        for name in ("saved_model.pb", "variables/variables.index", "assets/words", "assets/odd b"):
            file = saved_model / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"what stands in {name}", encoding="utf-8")
        keras_model = folder / "trained" / "model.keras"
        keras_model.write_bytes(b"weights")
        (folder / "verdict").write_text("BLESSED", encoding="utf-8")
        self.registration = Registration(
            name="toy",
            saved_model=saved_model,
            keras_model=keras_model,
            evidence={
                "blessing.json": folder / "verdict",
                "code/parts/more.py": folder / "verdict",
            },
            columns=(Column("fare", "float"),),
            output="float",
            sample={"fare": 1.0},
            run_id=tracker.start_run("pipeline", {}),
            tags={TRAIN_RUN_TAG: "one"},
            description="",
        )

    def register(self, **changes: Any) -> VersionInfo:
        return self.registry.register(dataclasses.replace(self.registration, **changes))

    def stored(self, what: str) -> Path:
        """Where the artifact store holds a part of the one version there is."""
        (found,) = self._store.glob(f"models/*/artifacts/artifacts/{what}")
        return found


@pytest.fixture
def shelf(settings: Settings, tmp_path: Path) -> Shelf:
    return Shelf(settings, tmp_path)
