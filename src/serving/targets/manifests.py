"""A deployment as Kubernetes objects. Pure: nothing is asked of a cluster.

The versions and labels stand in a ConfigMap whose name holds a hash of its text. Other versions are
another ConfigMap, so Kubernetes rolls the pods one after the other, each out of service only when
the next answers: a pod is ready when it answers with the champion. A version that does not load
leaves the old pods in service.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlproject.errors import ConfigError
from serving.targets.base import BASE_PATH_VARIABLE, Deployment
from serving.targets.docker_spec import image_of
from serving.targets.tf_serving_config import (
    CONFIG_ROOT,
    GRPC_PORT,
    METRICS_PATH,
    MODELS_ROOT,
    REST_PORT,
    config_files,
    server_flags,
)

Object = dict[str, Any]

NAMESPACE_VARIABLE = "BENISON_KUBERNETES_NAMESPACE"
ACCOUNT_VARIABLE = "BENISON_KUBERNETES_SERVICE_ACCOUNT"
MANAGED_BY = "benison"
SERVER = "tensorflow-serving"
PROBE_EVERY_S = 2
DRAIN_S = 10
NOBODY = 65_534
CPU_TARGET_PERCENT = 70
MAX_NAME = 36
_GS, _PVC = "gs://", "pvc://"


@dataclass(frozen=True)
class Cluster:
    """What the environment says of the cluster.

    Attributes:
        base_path: Where the pods find `<model>/<version>/`: `gs://bucket/prefix` or
            `pvc://claim/prefix`.
        namespace: The namespace; empty for that of the kubeconfig's context.
        service_account: Whose rights the pods have in the bucket; empty for the default one.
    """

    base_path: str
    namespace: str = ""
    service_account: str = ""


def read_cluster(environ: Mapping[str, str]) -> Cluster:
    """Reads the cluster's settings.

    Raises:
        ConfigError: There is no base path that pods can read.
    """
    base_path = environ.get(BASE_PATH_VARIABLE, "").rstrip("/")
    if not base_path.startswith((_GS, _PVC)) or base_path in (_GS, _PVC):
        raise ConfigError(
            f"Reading the setting {BASE_PATH_VARIABLE} failed",
            received=base_path or "(unset)",
            expected="gs://bucket/prefix, or pvc://claim/prefix for a PersistentVolumeClaim",
            next_step="set it to where the pods find <model>/<version>/",
        )
    return Cluster(
        base_path, environ.get(NAMESPACE_VARIABLE, ""), environ.get(ACCOUNT_VARIABLE, "")
    )


def object_name(model: str) -> str:
    """A model's name as names of Kubernetes objects are: lower case, digits and hyphens.

    Where letters are lost, a hash keeps two models apart.
    """
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in model.lower())
    plain = plain.strip("-")[:MAX_NAME].strip("-")
    if plain != model:
        digest = hashlib.sha256(model.encode()).hexdigest()[:6]
        plain = f"{plain or 'model'}-{digest}"
    return f"benison-{plain}"


def manifests(deployment: Deployment, cluster: Cluster) -> list[Object]:
    """Every object, in the order in which they are applied.

    Args:
        deployment: What TensorFlow Serving may hold of the desired state.
        cluster: The cluster's settings.
    """
    config_map = _config_map(deployment, cluster)
    objects = [config_map, _service(deployment), _deployment(deployment, cluster, config_map)]
    config = deployment.config
    if config.max_replicas > config.replicas:
        objects.append(_autoscaler(deployment))
    if max(config.replicas, config.max_replicas) > 1:
        objects.append(_disruption_budget(deployment))
    if cluster.namespace:
        for entry in objects:
            entry["metadata"]["namespace"] = cluster.namespace
    return objects


def selector(model: str) -> dict[str, str]:
    """The labels that tell a model's pods."""
    return {"app.kubernetes.io/name": SERVER, "app.kubernetes.io/instance": object_name(model)}


def ready_path(deployment: Deployment) -> str:
    """The path that a server answers with 200 once it answers with the champion."""
    return f"/v1/models/{deployment.model}/versions/{deployment.default_version}/metadata"


def model_base_path(cluster: Cluster, model: str) -> str:
    """The model's base path as a pod sees it."""
    if cluster.base_path.startswith(_GS):
        return f"{cluster.base_path}/{model}"
    return f"{MODELS_ROOT}/{model}"


def _metadata(deployment: Deployment, name: str) -> Object:
    labels = selector(deployment.model) | {"app.kubernetes.io/managed-by": MANAGED_BY}
    return {"name": name, "labels": labels}


def _config_map(deployment: Deployment, cluster: Cluster) -> Object:
    base_path = model_base_path(cluster, deployment.model)
    data = config_files(deployment, deployment.labels, base_path)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(deployment, f"{object_name(deployment.model)}-{digest}"),
        "immutable": True,
        "data": data,
    }


def _service(deployment: Deployment) -> Object:
    metadata = _metadata(deployment, object_name(deployment.model))
    metadata["annotations"] = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(REST_PORT),
        "prometheus.io/path": METRICS_PATH,
    }
    ports = [
        {"name": "http", "port": REST_PORT, "targetPort": "http", "appProtocol": "http"},
        {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "appProtocol": "grpc"},
    ]
    spec = {"type": "ClusterIP", "selector": selector(deployment.model), "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _deployment(deployment: Deployment, cluster: Cluster, config_map: Object) -> Object:
    config = deployment.config
    spec: Object = {
        "selector": {"matchLabels": selector(deployment.model)},
        "progressDeadlineSeconds": int(config.start_timeout_s) + 60,
        "revisionHistoryLimit": 3,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "template": _pod_template(deployment, cluster, config_map["metadata"]["name"]),
    }
    if config.max_replicas <= config.replicas:
        spec["replicas"] = config.replicas  # else the autoscaler's
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(deployment, object_name(deployment.model)),
        "spec": spec,
    }


def _pod_template(deployment: Deployment, cluster: Cluster, config_map: str) -> Object:
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": config_map}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts: list[Object] = [
        {"name": "config", "mountPath": CONFIG_ROOT, "readOnly": True},
        {"name": "scratch", "mountPath": "/tmp"},
    ]
    if cluster.base_path.startswith(_PVC):
        claim, _, prefix = cluster.base_path.removeprefix(_PVC).partition("/")
        volumes.append(
            {"name": "models", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        )
        mount: Object = {"name": "models", "mountPath": MODELS_ROOT, "readOnly": True}
        mounts.append(mount | ({"subPath": prefix} if prefix else {}))
    spec: Object = {
        "terminationGracePeriodSeconds": DRAIN_S + 30,
        "automountServiceAccountToken": bool(cluster.service_account),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(deployment, mounts)],
        "volumes": volumes,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(deployment.model)},
            }
        ],
    }
    if cluster.service_account:
        spec["serviceAccountName"] = cluster.service_account
    digests = {str(version.number): version.digest for version in deployment.versions}
    return {
        "metadata": {
            "labels": selector(deployment.model),
            "annotations": {"benison.model-digests": json.dumps(digests, sort_keys=True)},
        },
        "spec": spec,
    }


def _container(deployment: Deployment, mounts: list[Object]) -> Object:
    config = deployment.config
    limits: Object = {"memory": config.memory}
    if config.gpu:
        limits["nvidia.com/gpu"] = str(config.gpu)
    ready = {"httpGet": {"path": ready_path(deployment), "port": "http"}}
    return {
        "name": SERVER,
        "image": image_of(deployment),
        "args": server_flags(config),
        "env": [
            {"name": "MODEL_NAME", "value": deployment.model},
            {"name": "MODEL_BASE_PATH", "value": MODELS_ROOT},
        ],
        "ports": [
            {"name": "http", "containerPort": REST_PORT},
            {"name": "grpc", "containerPort": GRPC_PORT},
        ],
        "resources": {"requests": {"cpu": config.cpu, **limits}, "limits": limits},
        "startupProbe": ready
        | {
            "periodSeconds": PROBE_EVERY_S,
            "failureThreshold": max(1, round(config.start_timeout_s / PROBE_EVERY_S)),
        },
        "readinessProbe": ready | {"periodSeconds": PROBE_EVERY_S, "failureThreshold": 2},
        "livenessProbe": {
            "httpGet": {"path": f"/v1/models/{deployment.model}", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        # Requests still come for a moment after a pod was told to end.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(DRAIN_S)]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _autoscaler(deployment: Deployment) -> Object:
    name, config = object_name(deployment.model), deployment.config
    target = {"type": "Utilization", "averageUtilization": CPU_TARGET_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(deployment, name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": config.replicas,
            "maxReplicas": config.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _disruption_budget(deployment: Deployment) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(deployment, object_name(deployment.model)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(deployment.model)},
        },
    }
