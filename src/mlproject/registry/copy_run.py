"""The MLflow run of a copy, and which versions are copies: what another try finds again.

Imports MLflow when it is called. The target's store is in force meanwhile (`stores.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlproject.errors import TrackingError
from mlproject.promotion.promoter import Promoter
from mlproject.registry.copy_source import Described, find_run, own_params
from mlproject.registry.names import COPIED_FROM_RUN_TAG, COPIED_FROM_TAG, MODEL_DIGEST_TAG
from mlproject.registry.stores import ModelStore
from mlproject.registry.values import VersionInfo
from mlproject.tracking import ROOT_TAG, STEP_TAG, TAG, translate_mlflow_errors
from mlproject.tracking.names import mlflow_tags
from mlproject.user import user_name

if TYPE_CHECKING:
    from mlflow.entities import Run

COPY, DONE = "copy", "FINISHED"
_KEPT = "mlflow.source.git.commit"


@dataclass(frozen=True)
class Place:
    """Where a copy is written.

    Attributes:
        store: The target.
        promoter: Its stages, with its registry.
        name: The registered model there.
        artifacts: URI below which a new experiment's artifacts lie; empty for the store's own.
    """

    store: ModelStore
    promoter: Promoter
    name: str
    artifacts: str = ""

    def translate(self, doing: str) -> Any:
        """Turns what MLflow raises into one TrackingError."""
        return translate_mlflow_errors(doing, self.store.settings)


def find_copy(place: Place, described: Described) -> VersionInfo | None:
    """The version that is a copy already: of the same source, with the same digest."""
    found = copies_of(place, described.address, described.version.run_id)
    return next((v for v in found if v.tags.get(MODEL_DIGEST_TAG) == described.digest), None)


def write_run(place: Place, described: Described, experiment: str) -> str:
    """Writes the run of a copy, or the one of an earlier try again; returns its id."""
    from mlflow.entities import Metric, Param, RunTag

    client, run = place.promoter.registry.client, described.run
    with place.translate("Writing the MLflow run of the copy"):
        tags = _run_tags(described)
        known = _known_run(place, experiment, tags)
        run_id = known or str(client.create_run(experiment, tags=tags).info.run_id)
        if run is not None:
            when = run.info.end_time or run.info.start_time
            client.log_batch(
                run_id,
                metrics=[Metric(n, v, when, 0) for n, v in run.data.metrics.items()],
                params=[Param(n, v) for n, v in own_params(run.data.params).items()],
                tags=[RunTag(n, v) for n, v in tags.items()],
            )
            datasets = list(run.inputs.dataset_inputs) if run.inputs else []
            if datasets:
                client.log_inputs(run_id, datasets)
    return run_id


def _run_tags(described: Described) -> dict[str, str]:
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_USER

    tags = dict(described.run.data.tags) if described.run else {}
    kept = {n: v for n, v in tags.items() if n == _KEPT or not n.startswith("mlflow.")}
    for name in (ROOT_TAG, f"{TAG}error"):  # a folder of another machine; of an earlier try
        kept.pop(name, None)
    return mlflow_tags(
        {
            **kept,
            MLFLOW_RUN_NAME: f"copied from {described.address}",
            MLFLOW_USER: user_name(),
            STEP_TAG: COPY,
            **origin_tags(described),
            MODEL_DIGEST_TAG: described.digest,
        }
    )


def _known_run(place: Place, experiment: str, tags: Mapping[str, str]) -> str | None:
    """The run of an earlier try of the same copy."""
    found: list[Run] = place.promoter.registry.client.search_runs(
        [experiment], f"tags.`{STEP_TAG}` = '{COPY}'", max_results=10_000
    )
    same = (COPIED_FROM_TAG, MODEL_DIGEST_TAG)
    for run in found:  # compared here: MLflow's filters cannot hold a path with a quote
        if all(run.data.tags.get(tag) == tags[tag] for tag in same):
            return str(run.info.run_id)
    return None


def finish_run(place: Place, version: VersionInfo) -> None:
    """Ends the run of a copy that is whole."""
    client = place.promoter.registry.client
    with place.translate("Ending the MLflow run of the copy"):
        run = find_run(client, version.run_id)
        if run is not None and run.info.status != DONE and run.info.lifecycle_stage == "active":
            client.set_terminated(run.info.run_id, DONE)


def fail_run(place: Place, run_id: str, err: BaseException) -> None:
    """Ends the run of a copy that broke off; a target that is gone must not hide the error."""
    from mlflow.exceptions import MlflowException

    status = "FAILED" if isinstance(err, Exception) else "KILLED"
    try:
        with place.translate("Ending an MLflow run"):
            client = place.promoter.registry.client
            if client.get_run(run_id).info.status != DONE:  # by another process
                client.set_terminated(run_id, status)
    except (TrackingError, MlflowException):
        return


def copies_of(place: Place, address: str, run_id: str | None) -> list[VersionInfo]:
    """The versions of the target that were copied from one of a source, oldest first.

    One server may be reached by several addresses; the run, then, tells that it is the same.
    """
    tail = "/".join(address.rsplit("/", 2)[1:])
    found = []
    for version in place.promoter.registry.versions(place.name):
        origin = version.tags.get(COPIED_FROM_TAG, "")
        same_run = bool(run_id) and version.tags.get(COPIED_FROM_RUN_TAG) == run_id
        if origin == address or (same_run and origin.endswith(f"/{tail}")):
            found.append(version)
    return found


def origin_tags(described: Described) -> dict[str, str]:
    """Tags that say what was copied."""
    return {
        COPIED_FROM_TAG: described.address,
        COPIED_FROM_RUN_TAG: described.version.run_id or "",
    }
