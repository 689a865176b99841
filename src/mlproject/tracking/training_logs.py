"""The TensorBoard logs that a training left in MLflow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import TrackingError
from mlproject.settings import Settings
from mlproject.tracking.connection import connect, translate_mlflow_errors
from mlproject.tracking.names import STEP_TAG, TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FOLDER = "tensorboard"
RUN_ID = re.compile(r"[0-9a-f]{32}")
_CACHED = re.compile(r"cached, made in ([0-9a-f]{32})")


def download_tensorboard(settings: Settings, reference: str, into: Path) -> tuple[str, Path]:
    """Copies the TensorBoard logs of a training.

    Args:
        settings: The platform's settings.
        reference: An MLflow run (a training's, or a pipeline's), or a project's name: then its
            newest training.
        into: An existing folder.

    Returns:
        The training's MLflow run, and the folder of the logs.

    Raises:
        TrackingError: There is no such run or project, or no logs in it, or MLflow does not answer.
    """
    client = connect(settings)
    with translate_mlflow_errors("Fetching TensorBoard's logs", settings):
        if RUN_ID.fullmatch(reference):
            run = _training_of(client, reference)
        else:
            run = _newest(client, reference)
        if run is None:
            raise TrackingError(
                "Looking for a training failed",
                received=reference,
                expected="the id of an MLflow run that trained, or the name of a project that did",
                next_step="see the runs with `benison ui`",
            )
        run_id = run.info.run_id
        if not any(file.path == FOLDER for file in client.list_artifacts(run_id)):
            raise TrackingError(
                "The training left no TensorBoard logs",
                received=f"MLflow run {run_id}",
                next_step="pass fn_args.callbacks to `fit` in run_fn",
            )
        return run_id, Path(client.download_artifacts(run_id, FOLDER, str(into)))


def _newest(client: MlflowClient, project: str) -> Run | None:
    experiment = client.get_experiment_by_name(project)
    if experiment is None:
        return None
    found = client.search_runs(
        [experiment.experiment_id],
        f"tags.`{STEP_TAG}` = 'train' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return found[0] if found else None


def _training_of(client: MlflowClient, run_id: str) -> Run | None:
    """The run itself, the one nested in it that trained, or that whose model it took."""
    run = client.get_run(run_id)
    if run.data.tags.get(STEP_TAG) == "train":
        return run
    nested = client.search_runs(
        [run.info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{run_id}' and tags.`{STEP_TAG}` = 'train'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if nested:
        return nested[0]
    cached = _CACHED.fullmatch(run.data.tags.get(f"{TAG}step.train", ""))
    return _training_of(client, cached[1]) if cached and cached[1] != run_id else None
