"""A sample row asked through the cluster's API, since a pod has no address on this machine."""

from __future__ import annotations

from mlproject.errors import ServingError
from serving.client import input_specs
from serving.rows import complete_row
from serving.targets.base import DeployedVersion
from serving.targets.cluster_api import ClusterApi, translate_cluster_errors

SIGNATURE = "serving_default"


def ask_row(api: ClusterApi, service: str, model: str, version: DeployedVersion) -> None:
    """Asks a version its sample row, where it has one.

    Args:
        api: The namespace.
        service: The model's Service.
        model: The model's name.
        version: The version.

    Raises:
        ServingError: It gave no prediction.
    """
    if not version.sample:
        return
    path = f"/v1/models/{model}/versions/{version.number}"
    with translate_cluster_errors(f"Version {version.number} of '{model}' refused its sample row"):
        inputs = input_specs(api.ask_service(service, f"{path}/metadata"), SIGNATURE)
        row = complete_row(version.sample, inputs, "The sample row")
        answer = api.ask_service(service, f"{path}:predict", {"instances": [row]})
    if len(answer.get("predictions", [])) != 1:
        raise ServingError(
            f"Version {version.number} of '{model}' gave no prediction for its sample row",
            received=str(answer)[:200],
        )
