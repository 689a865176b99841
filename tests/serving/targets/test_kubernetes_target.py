"""The Kubernetes target: its objects against the published schemas, its calls against an API."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from tests.kubernetes_api import FakeCluster

from mlproject.errors import ConfigError, ServingError
from mlproject.sections.deployment import DeploymentSection
from serving.targets.base import DeployedVersion, Deployment, Place, open_target
from serving.targets.kubernetes import KubernetesTarget, _rollout_state
from serving.targets.manifests import Cluster, manifests, object_name

KUBERNETES = ("1.28", "1.37")
BUCKET = Cluster("gs://bucket/models", "models", "reader")
FULL = {"replicas": 2, "max_replicas": 5, "gpu": 1, "batching": {"max_batch_size": 16}}


def deployment(
    champion: int, *others: int, root: str = "/srv/taxi", **config: object
) -> Deployment:
    numbers = sorted({champion, *others})
    versions = tuple(DeployedVersion(n, Path(root) / str(n), f"{n:064d}") for n in numbers)
    return Deployment(
        "taxi", versions, champion, {"stable": champion}, DeploymentSection.model_validate(config)
    )


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("cluster", [BUCKET, Cluster("pvc://claim/models"), Cluster("pvc://claim")])
@pytest.mark.parametrize("config", [{}, FULL])
def test_every_object_is_one_of_the_published_schemas(
    version: str, cluster: Cluster, config: dict[str, object]
) -> None:
    objects = manifests(deployment(3, 2, **config), cluster)
    kinds = [entry["kind"] for entry in objects]
    assert kinds[:3] == ["ConfigMap", "Service", "Deployment"]
    assert ("HorizontalPodAutoscaler" in kinds) == ("PodDisruptionBudget" in kinds) == bool(config)
    for entry in objects:
        kubernetes_validate.validate(entry, version, strict=True)


def test_pods_are_ready_with_the_champion_and_never_fewer_than_before() -> None:
    _, service, rollout = manifests(deployment(3, 2), BUCKET)
    spec = rollout["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/taxi/versions/3/metadata"
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    labels = spec["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == spec["selector"]["matchLabels"] == labels
    assert spec["template"]["spec"]["serviceAccountName"] == "reader"


def test_other_versions_are_another_config_map_and_the_same_ones_are_the_same() -> None:
    def config_map(wanted: Deployment) -> str:
        return str(manifests(wanted, BUCKET)[0]["metadata"]["name"])

    assert config_map(deployment(3, 2)) == config_map(deployment(3, 2))
    assert config_map(deployment(3, 2)) != config_map(deployment(3))
    text = manifests(deployment(3, 2), BUCKET)[0]["data"]["models.config"]
    assert "gs://bucket/models/taxi" in text
    assert 'key: "stable"' in text


@pytest.mark.parametrize("model", ["taxi", "Taxi", "taxi_fare", "Ä", "x" * 200, "taxi fare"])
def test_names_are_those_of_kubernetes_and_tell_models_apart(model: str) -> None:
    name = object_name(model)
    assert len(name) <= 63 - len("-0123456789")
    assert name == name.lower()
    assert all(c.isascii() and (c.isalnum() or c == "-") for c in name)
    assert model == "taxi" or name != object_name("taxi")


class ModelServer:
    """Answers metadata and predictions of every version but those told to refuse."""

    def __init__(self) -> None:
        self.refuses: set[int] = set()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                x = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}
                definition = {"inputs": {"x": x}, "outputs": {}}
                signatures = {"signature_def": {"serving_default": definition}}
                self._send(200, {"metadata": {"signature_def": signatures}})

            def do_POST(self) -> None:
                version = int(self.path.split("/")[5].partition(":")[0])
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if version in server.refuses:
                    self._send(400, {"error": "no such row"})
                else:
                    self._send(200, {"predictions": [row["x"] for row in body["instances"]]})

            def _send(self, status: int, value: object) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    fake = FakeCluster()
    yield fake
    fake.close()


@pytest.fixture
def server(cluster: FakeCluster) -> Iterator[ModelServer]:
    running = ModelServer()
    cluster.server = running.url
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def target(cluster: FakeCluster, tmp_path: Path) -> KubernetesTarget:
    environ = {
        "KUBECONFIG": str(cluster.kubeconfig(tmp_path)),
        "BENISON_DEPLOY_BASE_PATH": "pvc://claim/models",
    }
    opened = open_target("kubernetes", Place(tmp_path / "home", environ))
    assert isinstance(opened, KubernetesTarget)
    return opened


def with_samples(wanted: Deployment) -> Deployment:
    versions = tuple(
        DeployedVersion(v.number, v.folder, v.digest, {"x": 1.5}) for v in wanted.versions
    )
    return Deployment(wanted.model, versions, wanted.default_version, wanted.labels, wanted.config)


def test_a_model_is_deployed_changed_and_stopped(
    target: KubernetesTarget, cluster: FakeCluster, server: ModelServer
) -> None:
    assert target.status("taxi").state == "absent"
    first = target.deploy(with_samples(deployment(1, **FULL)))
    assert (first.state, first.versions, first.labels) == ("running", (1,), {"stable": 1})
    assert first.rest_url == "http://benison-taxi.models.svc:8501"
    assert "PodDisruptionBudget" in cluster.kinds()
    asked = [path for method, path in cluster.calls if method == "POST"]
    assert asked == [
        "/api/v1/namespaces/models/services/benison-taxi:http/proxy/v1/models/taxi/versions/1:predict"
    ]
    second = target.deploy(with_samples(deployment(2, 1)))
    assert second.versions == (1, 2)
    assert cluster.kinds() == ["ConfigMap", "ConfigMap", "Deployment", "Service"]
    third = target.reload(deployment(1))
    assert third.versions == (1,)
    assert len(cluster.of_kind("ConfigMap")) == 2
    target.stop("taxi")
    assert cluster.objects == {}
    assert target.status("taxi").state == "absent"


def test_a_version_that_does_not_load_is_taken_back(
    target: KubernetesTarget, cluster: FakeCluster, server: ModelServer
) -> None:
    target.deploy(deployment(1))
    (good,) = cluster.of_kind("Deployment")
    cluster.broken = {2}
    with pytest.raises(ServingError, match="Version 2 of 'taxi'") as caught:
        target.deploy(deployment(2))
    assert "timed out progressing" in str(caught.value)
    (after,) = cluster.of_kind("Deployment")
    assert after["spec"] == good["spec"]
    assert target.status("taxi").versions == (1,)


def test_a_version_that_refuses_its_sample_is_taken_back(
    target: KubernetesTarget, cluster: FakeCluster, server: ModelServer
) -> None:
    target.deploy(with_samples(deployment(1)))
    (good,) = cluster.of_kind("Deployment")
    server.refuses = {2}
    with pytest.raises(ServingError, match="no such row"):
        target.deploy(with_samples(deployment(2)))
    assert cluster.of_kind("Deployment")[0]["spec"] == good["spec"]


def test_a_version_of_before_that_refuses_its_sample_takes_nothing_back(
    target: KubernetesTarget, cluster: FakeCluster, server: ModelServer
) -> None:
    server.refuses = {1}
    assert target.deploy(with_samples(deployment(2, 1))).state == "running"


def test_an_object_that_is_refused_leaves_nothing(
    target: KubernetesTarget, cluster: FakeCluster
) -> None:
    cluster.refuses = "HorizontalPodAutoscaler"
    with pytest.raises(ServingError, match="403"):
        target.deploy(deployment(1, **FULL))
    assert cluster.objects == {}


def test_a_version_whose_pods_have_no_log_yet_is_taken_back(
    target: KubernetesTarget, cluster: FakeCluster
) -> None:
    target.deploy(deployment(1))
    (good,) = cluster.of_kind("Deployment")
    cluster.broken = {2}
    status = {"containerStatuses": [{"ready": False, "state": {"running": {}}}]}
    cluster.pods = [{"metadata": {"name": "a-pod"}, "status": status}]
    with pytest.raises(ServingError, match="the container is waiting to start"):
        target.deploy(deployment(2))
    assert cluster.of_kind("Deployment")[0]["spec"] == good["spec"]
    assert "waiting to start" in target.logs("taxi", 5)


def test_the_failure_of_an_earlier_rollout_is_not_that_of_the_next() -> None:
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}
    live = {"metadata": {"generation": 3}, "spec": {"replicas": 1}}
    stale = live | {"status": {"observedGeneration": 2, "conditions": [late]}}
    assert _rollout_state(stale)[0] == "starting"
    seen = live | {"status": {"observedGeneration": 3, "conditions": [late]}}
    assert _rollout_state(seen)[0] == "failed"


def test_a_damaged_record_is_an_error_that_names_the_file(
    target: KubernetesTarget, cluster: FakeCluster, tmp_path: Path
) -> None:
    target.deploy(deployment(1))
    for text in ("", "[]", "{}", "{"):
        (tmp_path / "home" / "deployments" / "taxi" / "kubernetes.json").write_text(text)
        with pytest.raises(ServingError, match=r"kubernetes\.json"):
            target.status("taxi")


def test_a_first_version_that_does_not_load_leaves_nothing(
    target: KubernetesTarget, cluster: FakeCluster
) -> None:
    cluster.broken = {1}
    with pytest.raises(ServingError, match="Version 1 of 'taxi'"):
        target.deploy(deployment(1))
    assert cluster.objects == {}


def test_a_token_that_is_refused_and_a_cluster_that_is_gone_are_errors(
    target: KubernetesTarget, cluster: FakeCluster
) -> None:
    cluster.token = "another"
    with pytest.raises(ServingError, match="401"):
        target.deploy(deployment(1))
    cluster.close()
    with pytest.raises(ServingError, match="in the cluster failed"):
        target.deploy(deployment(1))


@pytest.mark.parametrize("base_path", ["", "/srv/models", "gs://", "s3://bucket"])
def test_a_base_path_that_no_pod_can_read_is_refused(
    target: KubernetesTarget, tmp_path: Path, base_path: str
) -> None:
    place = Place(tmp_path, {"BENISON_DEPLOY_BASE_PATH": base_path})
    with pytest.raises(ConfigError, match="BENISON_DEPLOY_BASE_PATH"):
        open_target("kubernetes", place).deploy(deployment(1))


def test_without_a_kubeconfig_the_next_step_is_named(tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(tmp_path / "none"), "BENISON_DEPLOY_BASE_PATH": "pvc://claim"}
    with pytest.raises(ConfigError, match="--render"):
        open_target("kubernetes", Place(tmp_path, environ)).deploy(deployment(1))


def test_kserve_gets_the_champion_alone(cluster: FakeCluster, tmp_path: Path) -> None:
    environ = {
        "KUBECONFIG": str(cluster.kubeconfig(tmp_path)),
        "BENISON_DEPLOY_BASE_PATH": "pvc://claim/models",
    }
    target = open_target("kubernetes", Place(tmp_path / "home", environ))
    status = target.deploy(deployment(2, 1, kserve=True))
    (service,) = cluster.of_kind("InferenceService")
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "tensorflow"}
    assert model["storageUri"] == "pvc://claim/models/taxi.only-2"
    assert (status.versions, status.rest_url) == ((2,), "http://taxi.models.example.com")


def test_rendering_touches_no_cluster(tmp_path: Path) -> None:
    environ = {"BENISON_DEPLOY_BASE_PATH": "gs://bucket/models"}
    target = open_target("kubernetes", Place(tmp_path, environ))
    assert isinstance(target, KubernetesTarget)
    files = target.render(deployment(3, **FULL))
    assert next(iter(files)) == "01-configmap.yaml"
    assert "models.config: |" in files["01-configmap.yaml"]
    assert [yaml.safe_load(text)["kind"] for text in files.values()][2] == "Deployment"
