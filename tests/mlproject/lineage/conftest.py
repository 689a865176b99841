"""An MLflow store with versions that were made by the client alone, and its reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from mlflow.entities import Metric

from mlproject.lineage import Lineage, trace
from mlproject.record import Dataset, Record
from mlproject.registry import Registry
from mlproject.registry.lineage_reader import LineageReader
from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    GIT_COMMIT_TAG,
    MODULE_DIGEST_TAG,
    ROWS_TAG,
    RUN_TAG,
    SCHEMA_DIGEST_TAG,
    SOURCE_DIGEST_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
)
from mlproject.settings import Settings
from mlproject.tracking import STEP_TAG, Tracker
from mlproject.tracking.datasets import dataset_inputs
from mlproject.tracking.names import mlflow_params

MARCH = "file:///data/march.csv"
STEPS = (
    "ingest",
    "statistics",
    "schema",
    "validate",
    "transform",
    "train",
    "evaluate",
    "infra_validate",
    "bless",
)
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "schema": {"schema": "inferred", "features": 18},
    "train": {"learning_rate": 0.01, "epochs": 3},
}
METRICS: Mapping[str, Mapping[str, float]] = {
    "statistics": {"examples_train": 40.0, "seconds": 1.0},
    "train": {"loss": 0.25, "system/cpu": 3.0},
    "evaluate": {"auc": 0.9, "auc_low": 0.88, "champion_auc": 0.87, "z": 1.0},
}


class Past:
    """Makes runs and versions, as pipelines of long ago left them.

    Attributes:
        client: MLflow's client.
        reader: The reader under test.
        registry: The registry.
        settings: The settings of the store.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._tracker = Tracker(settings, "taxi")
        self.client: Any = self._tracker.client
        self.reader = LineageReader(settings)
        self.registry = Registry(settings)

    def run(
        self,
        name: str,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        data: tuple[Dataset, ...] = (),
    ) -> str:
        """A run that has ended; of a step, where the name is one's."""
        step = {STEP_TAG: name} if name in STEPS else {}
        run = self._tracker.start_run(name, {**step, **(tags or {})}, parent)
        metrics = [Metric(key, value, 0, 0) for key, value in METRICS.get(name, {}).items()]
        self.client.log_batch(run, metrics, mlflow_params(PARAMS.get(name, {})))
        if data:
            self.client.log_inputs(run, dataset_inputs(Record(datasets=data)))
        self._tracker.finish_run(run, "FINISHED")
        return run

    def version(
        self, tags: Mapping[str, str] | None = None, run_id: str | None = None, name: str = "taxi"
    ) -> int:
        """A version with these tags alone."""
        if not self.client.search_registered_models(f"name='{name}'"):
            self.client.create_registered_model(name)
        made = self.client.create_model_version(name, "file:///none", run_id, tags=dict(tags or {}))
        return int(made.version)

    def trained(
        self,
        uri: str = MARCH,
        source: str = "5e" * 32,
        split: str = "a1" * 32,
        spans: tuple[list[Any], ...] = (),
        **tags: Any,
    ) -> int:
        """A version of a whole pipeline.

        Args:
            uri: Where its data lay.
            source: Digest of the source.
            split: Digest of the split `train`.
            spans: The spans, as the tag has them.
            tags: `parent` and `baseline`, versions; others as they are.
        """
        pipeline = self.run("taxi pipeline", tags={"mlflow.source.name": "/projects/taxi"})
        data = (Dataset("taxi-train", uri, split, 40, "train", {"fare": "float"}),)
        runs = {n: self.run(n, pipeline, data=data if n == "ingest" else ()) for n in STEPS}
        own = {
            **{f"{RUN_TAG}{step}": run for step, run in runs.items()},
            SOURCE_URI_TAG: json.dumps({"train": uri}),
            SOURCE_DIGEST_TAG: source,
            ROWS_TAG: json.dumps({"train": 40}),
            SPANS_TAG: json.dumps(list(spans)),
            SCHEMA_DIGEST_TAG: "5c" * 32,
            MODULE_DIGEST_TAG: "c0de" * 5,
            GIT_COMMIT_TAG: "ab" * 20 + "-dirty",
            BLESSING_TAG: "BLESSED",
            BASE_TAG: str(tags.pop("parent", "")),
            BASELINE_TAG: str(tags.pop("baseline", "")),
        }
        return self.version({**own, **tags}, pipeline)

    def traced(self, reference: str) -> Lineage:
        """The lineage of a version."""
        return trace(self.reader, self.registry.resolve(reference))

    def tag(self, number: int, tag: str, value: str) -> None:
        """Sets a tag of a version of taxi."""
        self.client.set_model_version_tag("taxi", str(number), tag, value)


@pytest.fixture
def past(settings: Settings) -> Past:
    return Past(settings)
