"""The few calls of the Kubernetes API that a deployment needs, and its errors translated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, ServingError
from serving.targets.manifests import Object

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

FIELD_MANAGER = "benison"
TIMEOUT_S = 30
BAD_REQUEST, NOT_FOUND = 400, 404
_PLACES: Mapping[str, tuple[str, str]] = {
    "ConfigMap": ("/api/v1", "configmaps"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "InferenceService": ("/apis/serving.kserve.io/v1beta1", "inferenceservices"),
}


class ClusterApi:
    """A namespace of a cluster.

    Args:
        client: The client of `kubernetes`.
        namespace: The namespace.
    """

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    def apply(self, wanted: Object) -> Object:
        """Server-side apply: the object is made, or its fields that we own are changed."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        applied: Object = self._call(
            "PATCH",
            self._path(wanted["kind"], wanted["metadata"]["name"]),
            query,
            body=wanted,
            content_type="application/apply-patch+yaml",  # JSON is YAML
        )
        return applied

    def get(self, kind: str, name: str) -> Object | None:
        """An object; None where there is none."""
        from kubernetes.client.exceptions import ApiException

        try:
            found: Object = self._call("GET", self._path(kind, name))
            return found
        except ApiException as err:
            if err.status == NOT_FOUND:
                return None
            raise

    def find(self, kind: str, selector: Mapping[str, str]) -> list[Object]:
        """The objects with these labels; none where the cluster does not know the kind."""
        from kubernetes.client.exceptions import ApiException

        labels = ",".join(f"{name}={value}" for name, value in selector.items())
        try:
            found = self._call("GET", self._path(kind), {"labelSelector": labels})
        except ApiException as err:
            if err.status == NOT_FOUND:
                return []
            raise
        items: list[Object] = found["items"]
        return items

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object and what it owns; harmless where there is none."""
        from kubernetes.client.exceptions import ApiException

        try:
            self._call("DELETE", self._path(kind, name), {"propagationPolicy": "Background"})
        except ApiException as err:
            if err.status != NOT_FOUND:
                raise

    def pod_log(self, name: str, lines: int) -> str:
        """The last lines of a pod's log; why there is none where its container has not started."""
        from kubernetes.client.exceptions import ApiException

        try:
            text = self._raw("GET", f"{self._path('Pod', name)}/log", {"tailLines": str(lines)})
        except ApiException as err:
            if err.status not in (BAD_REQUEST, NOT_FOUND):
                raise
            return f"no log: {_message(err.body)}"
        return text.decode(errors="replace")

    def ask_service(self, name: str, path: str, body: Any = None) -> Any:
        """Asks a service's HTTP port through the cluster's API.

        Args:
            name: The service.
            path: The path, from its first slash.
            body: JSON to post; None to get.
        """
        place = f"{self._path('Service', f'{name}:http')}/proxy{path}"
        return self._call("GET" if body is None else "POST", place, body=body)

    def _path(self, kind: str, name: str = "") -> str:
        prefix, plural = _PLACES[kind]
        path = f"{prefix}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}" if name else path

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        return json.loads(self._raw(method, path, query, body=body, content_type=content_type))

    def _raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Any = None,
        content_type: str = "application/json",
    ) -> bytes:
        from kubernetes.client.exceptions import ApiException

        # The client serialises JSON itself, and takes other types as text alone.
        is_json = content_type == "application/json"
        prepared = self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            body=body if is_json or body is None else json.dumps(body),
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*prepared, _request_timeout=TIMEOUT_S)
        data: bytes = answer.read()
        if not 200 <= answer.status < 300:
            text = data.decode(errors="replace")
            raise ApiException.from_response(http_resp=answer, body=text, data=None)
        return data


@contextmanager
def open_cluster(environ: Mapping[str, str], namespace: str) -> Iterator[ClusterApi]:
    """The cluster of `KUBECONFIG`, or that in which this process runs.

    Args:
        environ: Environment variables.
        namespace: The namespace; empty for that of the kubeconfig's context.

    Raises:
        ConfigError: There is no cluster to be found.
    """
    import yaml

    try:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
    except ImportError as err:
        raise ConfigError(
            "Opening the cluster failed",
            received="no package `kubernetes`",
            next_step="pip install 'benison[kubernetes]'",
        ) from err
    settings = client.Configuration()
    try:
        if environ.get("KUBERNETES_SERVICE_HOST") and not environ.get("KUBECONFIG"):
            config.load_incluster_config(client_configuration=settings)
            found = namespace or "default"
        else:
            file = environ.get("KUBECONFIG") or None
            config.load_kube_config(config_file=file, client_configuration=settings)
            _, active = config.list_kube_config_contexts(config_file=file)
            found = namespace or active["context"].get("namespace", "default")
    except (ConfigException, OSError, yaml.YAMLError) as err:
        raise ConfigError(
            "Opening the cluster failed",
            received=" ".join(str(err).split())[:300],
            expected="KUBECONFIG, or ~/.kube/config, with a current context",
            next_step="benison deploy --render DIR writes the objects without a cluster",
        ) from err
    with client.ApiClient(settings) as api:
        yield ClusterApi(api, found)


@contextmanager
def translate_cluster_errors(doing: str) -> Iterator[None]:
    """Makes the API's errors a ServingError.

    Args:
        doing: What failed, should it fail.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as err:
        raise ServingError(
            doing,
            received=f"{err.status} {err.reason}: {_message(err.body)}",
            next_step="kubectl auth can-i, kubectl get events; is it the right KUBECONFIG?",
        ) from err
    except HTTPError as err:
        raise ServingError(
            doing,
            received=" ".join(str(err).split())[:300],
            expected="a cluster that answers",
            next_step="is it the right KUBECONFIG?",
        ) from err


def _message(body: Any) -> str:
    try:
        return str(json.loads(body)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return str(body)[:300]
