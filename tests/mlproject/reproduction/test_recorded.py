"""What a version was made of, read back: whole, missing in parts, changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import RegistryError
from mlproject.registry import (
    BASE_TAG,
    GIT_COMMIT_TAG,
    MODULE_DIGEST_TAG,
    RUN_TAG,
    SOURCE_DIGEST_TAG,
    SOURCE_URI_TAG,
    TRAIN_RUN_TAG,
    Registry,
    VersionInfo,
)
from mlproject.reproduction.environment import ENVIRONMENT_TAG
from mlproject.reproduction.hyperparameters import recorded_hyperparameters
from mlproject.reproduction.recorded import Recorded, read_recorded
from mlproject.settings import Settings
from mlproject.tracking import FINGERPRINT_TAG, Tracker
from mlproject.user_module import read_module

MODULE = "def preprocessing_fn(inputs):\n    return inputs\n"
CONFIG: Mapping[str, Any] = {
    "name": "taxi",
    "module": "taxi.py",
    "data": {"path": "trips.csv"},
    "training": {
        "label": "tip",
        "epochs": 5,
        "seed": 42,
        "early_stopping": None,
        "hyperparameters": {"rate": 0.003, "units": [64, 32], "kind": "wide"},
    },
    "tuning": {"space": {"rate": {"low": 0.001, "high": 0.1}}},
}


class Store:
    """A registry whose versions have artifacts in plain folders."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.registry = Registry(settings)
        self.tracker = Tracker(settings, "taxi")
        self.train = self.tracker.start_run(
            "train",
            {FINGERPRINT_TAG: "f1", ENVIRONMENT_TAG: '{"cores": "2"}', "benison.step": "train"},
        )
        params = {"label": "tip", "epochs": 5, "seed": 42, "early_stopping": None}
        tuned = {"rate": 0.0123, "units": [64, 32], "kind": "deep", "dropout": 0.5}
        self.tracker.log_params(self.train, {**params, **tuned, "warmup_requests": 12})
        self.pipeline = self.tracker.start_run("pipeline", {"mlflow.source.name": "/then/taxi"})
        self.registry.client.create_registered_model("taxi")
        self.evidence = folder / "artifacts" / "evidence"
        (self.evidence / "code").mkdir(parents=True)
        (self.evidence / "code" / "taxi.py").write_text(MODULE, encoding="utf-8")
        (self.evidence / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        (self.evidence / "metrics.parquet").write_bytes(b"")

    def version(self, **changes: str) -> VersionInfo:
        tags = {
            SOURCE_DIGEST_TAG: "d1",
            MODULE_DIGEST_TAG: read_module(self.evidence / "code" / "taxi.py").digest,
            TRAIN_RUN_TAG: self.train,
            GIT_COMMIT_TAG: "a" * 40 + "-dirty",
            SOURCE_URI_TAG: '{"eval": "file:///t.csv", "train": "file:///t.csv"}',
            BASE_TAG: "",
            f"{RUN_TAG}train": self.train,
            f"{RUN_TAG}ingest": self.train,
        } | {f"benison.{name}": value for name, value in changes.items()}
        made = self.registry.client.create_model_version(
            "taxi", self.folder.as_uri(), run_id=self.pipeline, tags=tags
        )
        return self.registry.resolve(f"taxi/{made.version}")

    def read(self, version: VersionInfo, into: Path) -> Recorded:
        into.mkdir()
        return read_recorded(self.settings, self.registry, version, into)


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Store:
    return Store(settings, tmp_path / "model")


def test_a_version_says_what_it_was_made_of(store: Store, tmp_path: Path) -> None:
    found = store.read(store.version(), tmp_path / "into")
    assert (found.source_digest, found.commit) == ("d1", "a" * 40 + "-dirty")
    assert (found.folder, found.source_uri) == ("/then/taxi", "file:///t.csv")
    assert found.environment == {"cores": "2"}
    assert found.fingerprints == {"ingest": "f1"}, "what was tuned is another fingerprint"
    assert (found.code / "taxi.py").read_text(encoding="utf-8") == MODULE
    assert found.base is None


def test_what_was_tuned_is_read_back_in_its_types(store: Store, tmp_path: Path) -> None:
    found = store.read(store.version(), tmp_path / "into")
    assert dict(found.hyperparameters) == {
        "rate": 0.0123,
        "units": [64, 32],
        "kind": "deep",
        "dropout": 0.5,
    }


def test_without_tuning_the_configuration_alone_counts() -> None:
    config = {**CONFIG, "tuning": None}
    assert recorded_hyperparameters(config, {"rate": "9"}) == CONFIG["training"]["hyperparameters"]


def test_a_tuned_name_that_the_section_has_too_is_a_hyperparameter_where_it_differs() -> None:
    found = recorded_hyperparameters(CONFIG, {"epochs": "9", "seed": "42", "rate": "0.003"})
    assert found == {**CONFIG["training"]["hyperparameters"], "epochs": 9}


def test_a_value_that_mlflow_cut_is_refused() -> None:
    with pytest.raises(RegistryError, match="cut at 6,000"):
        recorded_hyperparameters(CONFIG, {"words": "x" * 6000})


def test_everything_that_is_missing_is_named_at_once(store: Store, tmp_path: Path) -> None:
    (store.evidence / "metrics.parquet").unlink()
    (store.evidence / "code" / "taxi.py").rename(store.evidence / "other.py")
    made = store.registry.client.create_model_version(
        "taxi", store.folder.as_uri(), tags={TRAIN_RUN_TAG: "gone", BASE_TAG: "77"}
    )
    with pytest.raises(RegistryError) as refused:
        store.read(store.registry.resolve(f"taxi/{made.version}"), tmp_path / "into")
    for what in (
        SOURCE_DIGEST_TAG,
        MODULE_DIGEST_TAG,
        "evidence/metrics.parquet",
        "evidence/code/taxi.py",
        "version 77",
        "the run of its training",
    ):
        assert what in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"training": 1, "module": "x"}', None])
def test_a_configuration_that_is_gone_or_damaged_is_named(
    store: Store, tmp_path: Path, text: str | None
) -> None:
    file = store.evidence / "config.json"
    file.unlink() if text is None else file.write_text(text, encoding="utf-8")
    with pytest.raises(RegistryError, match=r"evidence/config\.json"):
        store.read(store.version(), tmp_path / "into")


def test_a_version_of_somebody_else_has_no_evidence(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other" / "artifacts"
    other.mkdir(parents=True)
    (other / "MLmodel").write_text("", encoding="utf-8")
    made = store.registry.client.create_model_version("taxi", other.parent.as_uri())
    with pytest.raises(RegistryError, match="the folder evidence/"):
        store.read(store.registry.resolve(f"taxi/{made.version}"), tmp_path / "into")


def test_a_module_that_was_changed_among_the_evidence_is_refused(
    store: Store, tmp_path: Path
) -> None:
    version = store.version()
    (store.evidence / "code" / "taxi.py").write_text("import os\n", encoding="utf-8")
    with pytest.raises(RegistryError, match="not the one it was made with"):
        store.read(version, tmp_path / "into")


@pytest.mark.parametrize("text", ["no json", "[1]", "null"])
def test_a_damaged_environment_counts_as_not_recorded(
    store: Store, tmp_path: Path, text: str
) -> None:
    store.tracker.set_tags(store.train, {ENVIRONMENT_TAG: text})
    assert store.read(store.version(), tmp_path / "into").environment == {}
