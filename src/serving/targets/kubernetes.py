"""TensorFlow Serving in a Kubernetes cluster, or a KServe InferenceService.

Versions are put where the pods find them (`gs://`), the objects are applied, and Kubernetes rolls
the pods: each old one ends when a new one answers with the champion. What does not come to answer
in time is taken back: the objects of before are applied again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import yaml

from mlproject.errors import ServingError
from mlproject.whole_file import write_whole
from serving.targets.base import Deployment, Place, State, TargetStatus
from serving.targets.cluster_api import ClusterApi, open_cluster, translate_cluster_errors
from serving.targets.cluster_rows import ask_row
from serving.targets.json_record import read_json_record
from serving.targets.kserve import KIND, inference_service, kserve_shelf
from serving.targets.manifests import (
    NAMESPACE_VARIABLE,
    Cluster,
    Object,
    manifests,
    object_name,
    read_cluster,
    selector,
)
from serving.targets.shelf import open_shelf
from serving.targets.supervised import SupervisedServer
from serving.targets.tf_serving_config import GRPC_PORT, REST_PORT, served_by_tf_serving

TARGET = "kubernetes"
POLL_S = 1.0
LOCK_S = 600.0
LOG_LINES_OF_A_FAILURE = 10
RECORD = "kubernetes.json"
_KINDS = ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service", "ConfigMap")


def open_target(place: Place) -> KubernetesTarget:
    """The target of a home."""
    return KubernetesTarget(place)


class KubernetesTarget:
    """Serves models from a cluster.

    Args:
        place: Where this machine's deployments are remembered; `KUBECONFIG`, the namespace and
            the base path come from its environment.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def deploy(self, deployment: Deployment) -> TargetStatus:
        """Applies the desired state, and waits until the cluster serves it."""
        cluster = read_cluster(self._place.environ)
        wanted = served_by_tf_serving(deployment)
        self._put(cluster, wanted)
        with self._open("Deploying", wanted.model) as api:
            before = self._live(api, wanted)
            objects = _objects(wanted, cluster)
            try:
                with translate_cluster_errors(f"Deploying '{wanted.model}' in the cluster failed"):
                    for entry in objects:
                        api.apply(entry)
                        self._place.say(f"{entry['kind']} {entry['metadata']['name']} applied")
                    self._await(api, wanted)
                self._ask_samples(api, wanted)
            except ServingError:
                self._take_back(api, objects, before)
                raise
            self._prune(api, wanted.model, objects + before)
            self._remember(wanted, api.namespace)
        return self.status(wanted.model)

    def reload(self, deployment: Deployment) -> TargetStatus:
        """The same as a deployment, of what is there."""
        if self._record(deployment.model) is None:
            raise ServingError(
                f"There is nothing of '{deployment.model}' in the cluster to reload",
                next_step=f"benison deploy {deployment.model} --target {TARGET}",
            )
        return self.deploy(deployment)

    def status(self, model: str) -> TargetStatus:
        """What the cluster says of the objects."""
        record = self._record(model)
        if record is None:
            return TargetStatus(model, TARGET, "absent")
        with self._open("Asking for", model, alone=False) as api:
            kind = KIND if record["kserve"] else "Deployment"
            live = api.get(kind, object_name(model))
            if live is None:
                return TargetStatus(model, TARGET, "failed", detail=f"its {kind} is gone")
            state, detail = _service_state(live) if record["kserve"] else _rollout_state(live)
            address = f"{object_name(model)}.{api.namespace}.svc"
        url = live.get("status", {}).get("url", "") if record["kserve"] else ""
        running = state == "running"
        return TargetStatus(
            model,
            TARGET,
            state,
            rest_url=url or f"http://{address}:{REST_PORT}",
            grpc_address="" if record["kserve"] else f"{address}:{GRPC_PORT}",
            versions=tuple(record["versions"]) if running else (),
            default_version=max(record["versions"]) if running else None,
            labels=record["labels"] if running else {},
            detail=detail,
            facts={"namespace": record["namespace"], "kind": kind},
        )

    def stop(self, model: str) -> None:
        """Deletes every object of the model; the versions' files stay."""
        with self._open("Stopping", model) as api:
            for kind in (*_KINDS, KIND):
                for entry in api.find(kind, selector(model)):
                    api.delete(kind, entry["metadata"]["name"])
        (self._place.folder(model) / RECORD).unlink(missing_ok=True)

    def logs(self, model: str, lines: int) -> str:
        """The last lines of each pod."""
        with self._open("Reading the logs of", model, alone=False) as api:
            pods = [pod["metadata"]["name"] for pod in self._pods(api, model)]
            return "\n".join(f"==> {pod}\n{api.pod_log(pod, lines).rstrip()}" for pod in pods)

    def render(self, deployment: Deployment) -> Mapping[str, str]:
        """The objects as YAML, a file each, numbered in the order to apply them."""
        objects = _objects(served_by_tf_serving(deployment), read_cluster(self._place.environ))
        return {
            f"{number:02d}-{entry['kind'].lower()}.yaml": yaml.dump(
                entry, Dumper=_Readable, sort_keys=False
            )
            for number, entry in enumerate(objects, 1)
        }

    def _put(self, cluster: Cluster, wanted: Deployment) -> None:
        """Puts the versions where the pods find them."""
        if not cluster.base_path.startswith("gs://"):
            self._place.say(
                f"{cluster.base_path}: the claim must hold {wanted.model}/<version>/ already; "
                "`--target gcs` with a mount of it puts them there"
            )
            return
        shelf = open_shelf(self._place, self._place.say)
        if wanted.config.kserve:
            shelf.put(kserve_shelf(wanted), wanted.version(wanted.default_version))
            return
        for version in wanted.versions:
            shelf.put(wanted.model, version)

    def _live(self, api: ClusterApi, wanted: Deployment) -> list[Object]:
        """The objects of before that a take-back would apply again: none at a first deployment."""
        kind = KIND if wanted.config.kserve else "Deployment"
        live = api.get(kind, object_name(wanted.model))
        return [] if live is None else [_appliable(live)]

    def _await(self, api: ClusterApi, wanted: Deployment) -> None:
        """Waits until the cluster serves what was applied.

        Raises:
            ServingError: It does not come to serve it in time.
        """
        name, is_kserve = object_name(wanted.model), wanted.config.kserve
        kind = KIND if is_kserve else "Deployment"
        deadline = time.monotonic() + wanted.config.start_timeout_s + 60
        said = ""
        while True:
            live = api.get(kind, name) or {}
            state, detail = _service_state(live) if is_kserve else _rollout_state(live)
            if state == "running":
                return
            if detail != said:
                self._place.say(f"{kind} {name}: {detail}")
                said = detail
            if state == "failed" or time.monotonic() > deadline:
                raise ServingError(
                    f"Version {wanted.default_version} of '{wanted.model}' does not come to answer "
                    "in the cluster",
                    received="; ".join([detail, *self._why(api, wanted.model)]),
                    expected="pods that become ready; what was served before stays",
                    next_step=f"kubectl describe {kind.lower()} {name}",
                )
            time.sleep(POLL_S)

    def _ask_samples(self, api: ClusterApi, wanted: Deployment) -> None:
        """Asks each version its sample row; only the default one's refusal is an error."""
        for version in wanted.versions if not wanted.config.kserve else ():
            try:
                ask_row(api, object_name(wanted.model), wanted.model, version)
            except ServingError as err:
                if version.number == wanted.default_version:
                    raise
                self._place.say(f"warning: {err}")

    def _why(self, api: ClusterApi, model: str) -> Iterator[str]:
        """What pods that are not ready wait for, and their last lines."""
        for pod in self._pods(api, model):
            for container in pod.get("status", {}).get("containerStatuses", []):
                if container.get("ready"):
                    continue
                waiting = container.get("state", {}).get("waiting", {})
                name = pod["metadata"]["name"]
                yield f"pod {name}: {waiting.get('reason') or 'not ready'}"
                if not waiting:
                    yield api.pod_log(name, LOG_LINES_OF_A_FAILURE)

    def _take_back(self, api: ClusterApi, applied: list[Object], before: list[Object]) -> None:
        """Applies the objects of before; at a first deployment, deletes what was made."""
        for entry in before:
            api.apply(entry)
            self._place.say(f"{entry['kind']} {entry['metadata']['name']}: taken back")
        for entry in () if before else reversed(applied):
            api.delete(entry["kind"], entry["metadata"]["name"])

    def _prune(self, api: ClusterApi, model: str, keep: list[Object]) -> None:
        """Deletes objects of the model that are neither wanted nor needed to go back by one."""
        kept = {(entry["kind"], entry["metadata"]["name"]) for entry in keep}
        named = {
            ("ConfigMap", volume["configMap"]["name"])
            for entry in keep
            if entry["kind"] == "Deployment"
            for volume in entry["spec"]["template"]["spec"]["volumes"]
            if "configMap" in volume
        }
        for kind in (*_KINDS, KIND):
            for entry in api.find(kind, selector(model)):
                if (kind, entry["metadata"]["name"]) not in kept | named:
                    api.delete(kind, entry["metadata"]["name"])

    def _pods(self, api: ClusterApi, model: str) -> list[Object]:
        return api.find("Pod", selector(model))

    def _remember(self, wanted: Deployment, namespace: str) -> None:
        folder = self._place.folder(wanted.model)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [wanted.default_version] if wanted.config.kserve else list(wanted.numbers)
        value = {
            "namespace": namespace,
            "versions": numbers,
            "labels": {} if wanted.config.kserve else dict(wanted.labels),
            "kserve": wanted.config.kserve,
        }
        write_whole(folder / RECORD, json.dumps(value, indent=1))

    def _record(self, model: str) -> dict[str, Any] | None:
        names = ("namespace", "versions", "labels", "kserve")
        return read_json_record(
            self._place.folder(model) / RECORD, lambda value: {name: value[name] for name in names}
        )

    @contextmanager
    def _open(self, doing: str, model: str, *, alone: bool = True) -> Iterator[ClusterApi]:
        record = self._record(model) or {}
        asked = self._place.environ.get(NAMESPACE_VARIABLE, "")
        namespace = asked or record.get("namespace", "")
        lock = SupervisedServer(self._place.folder(model)).locked(LOCK_S, self._place.say)
        with (
            lock if alone else nullcontext(),
            open_cluster(self._place.environ, namespace) as api,
            translate_cluster_errors(f"{doing} '{model}' in the cluster failed"),
        ):
            yield api


class _Readable(yaml.SafeDumper):
    """Writes texts of several lines as such."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """A text, in block style where it has several lines."""
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _Readable.represent_text)


def _objects(wanted: Deployment, cluster: Cluster) -> list[Object]:
    if wanted.config.kserve:
        return [inference_service(wanted, cluster)]
    return manifests(wanted, cluster)


def _rollout_state(live: Object) -> tuple[State, str]:
    """How far a Deployment's rollout has come."""
    spec, status = live.get("spec", {}), live.get("status", {})
    wanted = spec.get("replicas", 1)
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    progress = conditions.get("Progressing", {})
    seen = status.get("observedGeneration", 0) >= live.get("metadata", {}).get("generation", 1)
    if seen and progress.get("reason") == "ProgressDeadlineExceeded":
        return "failed", str(progress.get("message", "the rollout made no progress"))
    updated, ready = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    done = seen and updated == ready == status.get("replicas", 0) == wanted
    detail = f"{ready} of {wanted} pods answer, {updated} of them new"
    return ("running" if done else "starting"), detail


def _service_state(live: Object) -> tuple[State, str]:
    """What KServe says of an InferenceService."""
    status = live.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    generation = live.get("metadata", {}).get("generation", 1)
    if status.get("observedGeneration", generation) < generation:
        return "starting", "not seen by KServe yet"
    if ready.get("status") == "True":
        return "running", "ready"
    transition = status.get("modelStatus", {})
    failure = transition.get("lastFailureInfo", {}).get("message", "")
    if transition.get("transitionStatus") in ("InvalidSpec", "BlockedByFailedLoad"):
        return "failed", failure or str(transition["transitionStatus"])
    return "starting", str(ready.get("message") or "not ready yet")


def _appliable(live: Object) -> Object:
    """A live object without what the cluster itself writes into it."""
    metadata = {
        name: live["metadata"][name]
        for name in ("name", "namespace", "labels", "annotations")
        if name in live["metadata"]
    }
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": metadata,
        "spec": live["spec"],
    }
