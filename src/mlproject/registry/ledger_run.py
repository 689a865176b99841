"""Which MLflow run is a model's ledger: of several processes that make one at once, one wins.

MLflow takes a name once. Who makes the registered model names the ledger with it. Of a model that
was there before, who is first to lay claim by the name of an experiment makes the ledger; the
others take it, and delete their own. All lay claim at that one place: the run of a version would be
another one as soon as an older version gets a run, and may be shared with another model.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from mlproject.errors import TrackingError
from mlproject.registry.upsert import upsert
from mlproject.settings import Settings
from mlproject.tracking import TAG
from mlproject.tracking.names import STEP_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEDGER_TAG = f"{TAG}ledger"
LEDGER = "ledger"


def make_ledger(client: MlflowClient, settings: Settings, name: str) -> str:
    """Makes the ledger of a model that has none, and the registered model where there is none.

    Args:
        client: MLflow's client.
        settings: The platform's settings.
        name: The registered model.

    Returns:
        The ledger's run: ours, or that of somebody who was faster.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

    tags = {MLFLOW_RUN_NAME: f"ledger: {name}", STEP_TAG: LEDGER, f"{TAG}model": name}
    made = client.create_run(_experiment_id(client, settings, name), tags=tags).info.run_id
    client.set_terminated(made, "FINISHED")
    try:
        client.create_registered_model(name, tags={LEDGER_TAG: made})
        return str(made)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            client.delete_run(made)
            raise
    chosen = client.get_registered_model(name).tags.get(LEDGER_TAG)
    if not chosen:
        chosen = _first(client, name, made)
        upsert(client.set_registered_model_tag, name, LEDGER_TAG, chosen)
    if chosen != made:
        client.delete_run(made)
    return str(chosen)


def _experiment_id(client: MlflowClient, settings: Settings, name: str) -> str:
    """The model's experiment, which somebody else may make at this moment."""
    from mlproject.tracking import Tracker

    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage == "active":
        return str(experiment.experiment_id)
    try:
        return str(Tracker(settings, name).experiment_id)
    except TrackingError:
        experiment = client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise
        return str(experiment.experiment_id)


def _first(client: MlflowClient, name: str, made: str) -> str:
    """The run of who laid claim first; a claim of a run that is gone by now does not count."""
    for number in itertools.count(1):
        there = _claim(client, f"ledger {number}: {name}", made)
        if there == made or _is_active(client, there):
            break
    return there


def _claim(client: MlflowClient, claim: str, made: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_experiment(claim, tags={LEDGER_TAG: made})
        return made
    except MlflowException:
        there = client.get_experiment_by_name(claim)
        if there is None:
            raise
        return str(there.tags.get(LEDGER_TAG, ""))


def _is_active(client: MlflowClient, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as err:
        if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise
