"""The section `deployment` of a project, kept with its registered model.

So `benison deploy taxi` finds it where the project's folder is not at hand. It stands in the tag
`benison.deployment` of the registered model; hosts and secrets are never in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlproject.errors import RegistryError
from mlproject.registry.upsert import upsert
from mlproject.sections.deployment import DeploymentSection
from mlproject.settings import Settings
from mlproject.tracking import TAG, translate_mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEPLOYMENT_TAG = f"{TAG}deployment"


def read_deployment(settings: Settings, client: MlflowClient, name: str) -> DeploymentSection:
    """How a registered model is deployed; the defaults where nobody said.

    Raises:
        TrackingError: There is no such model, or MLflow does not answer.
        RegistryError: What is kept with the model is damaged.
    """
    with translate_mlflow_errors(f"Reading the registered model '{name}'", settings):
        text = client.get_registered_model(name).tags.get(DEPLOYMENT_TAG)
    if text is None:
        return DeploymentSection()
    try:
        return DeploymentSection.model_validate_json(text)
    except ValueError as err:
        raise RegistryError(
            f"Reading how '{name}' is deployed failed",
            received=text[:200],
            expected=f"what Benison wrote to the tag {DEPLOYMENT_TAG}",
            next_step="deploy the project's folder, which writes it anew: benison deploy PROJECT",
        ) from err


def keep_deployment(
    settings: Settings, client: MlflowClient, name: str, section: DeploymentSection
) -> None:
    """Keeps with a registered model how it is deployed.

    Raises:
        TrackingError: There is no such model, or MLflow does not answer.
    """
    text = section.model_dump_json()
    with translate_mlflow_errors(f"Tagging the registered model '{name}'", settings):
        if client.get_registered_model(name).tags.get(DEPLOYMENT_TAG) != text:
            upsert(client.set_registered_model_tag, name, DEPLOYMENT_TAG, text)
