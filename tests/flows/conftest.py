"""What tests of several commands share: a small project that can be trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.flows.shop import Shop

from mlproject.settings import read_settings

PREPROCESSING = """
import keras
import tensorflow as tf


def preprocessing_fn(inputs):
    fare = tf.reshape(tf.cast(inputs["fare"], tf.float32), [-1, 1])
    return {"fare_xf": fare / 40.0, "big_tip": tf.cast(fare[:, 0] > 20.0, tf.int64)}
"""
OUTSIDE = (
    "MLFLOW_TRACKING_URI",
    "BENISON_PIPELINE_ROOT",
    "BENISON_TUNING_STORAGE",
    "TF_CONFIG",
)


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a project of 600 trips, and gives the platform a home of its own.

    Args of the function:
        text: project.yaml, with `module: taxi.py` and `data: {path: trips.csv}`.
        model: The module file behind `preprocessing_fn`, which gives `fare_xf` and `big_tip`.
    """
    monkeypatch.setenv("BENISON_HOME", str(tmp_path / "home"))
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)

    def make(text: str, model: str) -> Path:
        project = tmp_path / "project"
        project.mkdir()
        (project / "project.yaml").write_text(text, encoding="utf-8")
        (project / "taxi.py").write_text(PREPROCESSING + model, encoding="utf-8")
        rows = "\n".join(f"{number % 24},{number % 37 + 0.5}" for number in range(600))
        (project / "trips.csv").write_text(f"hour,fare\n{rows}\n", encoding="utf-8")
        return project

    return make


@pytest.fixture
def shop(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The model `shop` in a home of the test's own, which commands find too."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")
    for name in (*OUTSIDE, "BENISON_SERVING_ROOT", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENISON_HOME", str(home))
    return Shop(read_settings(), tmp_path / "models")
