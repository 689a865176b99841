"""A deployment as a KServe InferenceService.

KServe copies a folder into the pod and starts TensorFlow Serving on it, which serves the newest
version there. So it is given a folder that holds the champion alone: `<base path>/<shelf>/`, where
`<shelf>` is `kserve_shelf`, with `<version>/` in it.
"""

from __future__ import annotations

from serving.targets.base import Deployment
from serving.targets.manifests import Cluster, Object, object_name, selector

KIND, API_VERSION = "InferenceService", "serving.kserve.io/v1beta1"


def kserve_shelf(deployment: Deployment) -> str:
    """The folder below the root of base paths that holds the champion alone."""
    return f"{deployment.model}.only-{deployment.default_version}"


def inference_service(deployment: Deployment, cluster: Cluster) -> Object:
    """The InferenceService.

    Args:
        deployment: The desired state.
        cluster: The cluster's settings.
    """
    config = deployment.config
    limits: Object = {"cpu": config.cpu, "memory": config.memory}
    if config.gpu:
        limits["nvidia.com/gpu"] = str(config.gpu)
    predictor: Object = {
        "minReplicas": config.replicas,
        "maxReplicas": max(config.replicas, config.max_replicas),
        "model": {
            "modelFormat": {"name": "tensorflow"},
            "storageUri": f"{cluster.base_path}/{kserve_shelf(deployment)}",
            "resources": {"requests": dict(limits), "limits": dict(limits)},
        },
    }
    if cluster.service_account:
        predictor["serviceAccountName"] = cluster.service_account
    champion = deployment.version(deployment.default_version)
    metadata: Object = {
        "name": object_name(deployment.model),
        "labels": selector(deployment.model),
        "annotations": {
            "benison.model": deployment.model,
            "benison.version": str(champion.number),
            "benison.model-digest": champion.digest,
        },
    }
    if cluster.namespace:
        metadata["namespace"] = cluster.namespace
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }
