"""The metrics page: TensorFlow Serving's names, units and form, and bounds on what it holds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlproject.errors import ConfigError
from serving.export import export_version
from serving.model_config import ModelConfig
from serving.model_server import ModelServer
from serving.model_server.batching import BatchingParameters, BatchQueue
from serving.model_server.listening import ServerOptions
from serving.model_server.metrics import (
    DEFAULT_PATH,
    OTHER_MODELS,
    ServedVersion,
    ServerMetrics,
    read_metrics_path,
)
from serving.model_server.observer import Observer
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code


def answered(
    metrics: ServerMetrics, model: str = "taxi", code: Code = Code.OK, seconds: float = 0.0005
) -> None:
    Observer(metrics).request(
        "REST", "Predict", model, 3, code, seconds, bytes_in=100, bytes_out=10, detail="secret"
    )


def lines(metrics: ServerMetrics) -> list[str]:
    return metrics.render().decode().splitlines()


def samples(metrics: ServerMetrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The page as Prometheus' own parser reads it; it adds `_total` to the names of counters."""
    return {
        (sample.name.removesuffix("_total"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


def test_what_is_asked_of_no_model_is_not_counted() -> None:
    metrics = ServerMetrics()
    answered(metrics, model="")
    assert not [line for line in lines(metrics) if 'model_name=""' in line]


def test_requests_are_counted_under_tensorflow_servings_names() -> None:
    metrics = ServerMetrics()
    for _ in range(3):
        answered(metrics)
    answered(metrics, code=Code.INVALID_ARGUMENT)
    page = lines(metrics)
    assert "# TYPE :tensorflow:serving:request_count counter" in page
    assert ':tensorflow:serving:request_count{model_name="taxi",status="OK"} 3' in page
    assert (
        ':tensorflow:serving:request_count{model_name="taxi",status="INVALID_ARGUMENT"} 1' in page
    )
    assert "secret" not in metrics.render().decode()


def test_latency_is_a_histogram_in_microseconds_with_tensorflow_servings_buckets() -> None:
    metrics = ServerMetrics()
    answered(metrics, seconds=15e-6)
    answered(metrics, seconds=18e-6)
    answered(metrics, seconds=1e6)
    page = lines(metrics)
    start = ':tensorflow:serving:request_latency_bucket{model_name="taxi",API="REST",'
    start += 'entrypoint="Predict",le='
    buckets = [line for line in page if line.startswith(start)]
    assert len(buckets) == 34
    assert buckets[:4] == [
        f"{start}{end}" for end in ('"10"} 0', '"18"} 2', '"32.4"} 2', '"58.32"} 2')
    ]
    assert buckets[-1] == f'{start}"+Inf"}} 3'
    total = [line for line in page if line.startswith(":tensorflow:serving:request_latency_sum")]
    assert float(total[0].split()[-1]) == pytest.approx(1e12)


def test_every_metric_of_tensorflow_serving_is_on_the_page() -> None:
    metrics = ServerMetrics()
    metrics.runtime("taxi", "Predict", 2e-3)
    metrics.examples("taxi", 7)
    metrics.load("/models/taxi/3", 1.5, succeeded=True)
    metrics.load("/models/taxi/4", 0.1, succeeded=False)
    metrics.warmup("/models/taxi/3", 0.2, Code.OK)
    found = samples(metrics)
    prefix = ":tensorflow:serving:"
    runtime = labels(model_name="taxi", API="Predict", runtime="TF1")
    assert found[f"{prefix}runtime_latency_sum", runtime] == 2000
    assert found[f"{prefix}request_example_counts_sum", labels(model="taxi")] == 7
    assert found[f"{prefix}request_example_count", labels(model="taxi")] == 7
    warmed = labels(model_path="/models/taxi/3", status="OK")
    assert found[f"{prefix}model_warmup_latency_sum", warmed] == 200_000
    prefix = ":tensorflow:cc:saved_model:"
    loaded = labels(model_path="/models/taxi/3")
    assert found[f"{prefix}load_latency", loaded] == 1_500_000
    assert found[f"{prefix}load_attempt_count", loaded | labels(status="success")] == 1
    failed = labels(model_path="/models/taxi/4", status="fail")
    assert found[f"{prefix}load_attempt_count", failed] == 1
    assert "# TYPE :tensorflow:serving:request_log_count counter" in lines(metrics)


def test_batches_are_measured() -> None:
    metrics = ServerMetrics()
    parameters = BatchingParameters(
        max_batch_size=8, allowed_batch_sizes=(4, 8), thread_pool_name="pool"
    )
    queue = BatchQueue(lambda feeds: feeds, parameters, ("x",), recorder=metrics)
    queue.run([np.zeros((3, 2))])
    found = samples(metrics)
    prefix = ":tensorflow:serving:batching_session:"
    assert found[f"{prefix}input_batch_size_sum", labels()] == 3
    assert found[f"{prefix}processed_batch_size_sum", labels()] == 4
    assert found[f"{prefix}padding_size_sum", labels(execution_batch_size="4")] == 1
    assert found[f"{prefix}queuing_latency_count", labels(thread_pool_name="pool")] == 1


def test_own_metrics_tell_of_versions_bytes_and_the_process() -> None:
    metrics = ServerMetrics(lambda: [ServedVersion("taxi", 3, "AVAILABLE", in_flight=2)])
    answered(metrics)
    answered(metrics, code=Code.NOT_FOUND)
    found = samples(metrics)
    version = labels(model_name="taxi", version="3")
    state = version | labels(state="AVAILABLE")
    assert found["benison_model_version_available", state] == 1
    assert found["benison_requests_in_flight", version] == 2
    sent = labels(model_name="taxi", API="REST", direction="in")
    assert found["benison_request_bytes", sent] == 200
    assert found["process_resident_memory_bytes", labels()] > 1e6
    assert ServerMetrics().render() != metrics.render()


def test_names_that_are_not_served_take_bounded_room_and_push_out_no_model() -> None:
    metrics = ServerMetrics()
    for number in range(5000):
        answered(metrics, f"guess-{number}", Code.NOT_FOUND)
    answered(metrics, "a-late-model")
    answered(metrics, "x" * 100_000, Code.NOT_FOUND)
    page = metrics.render().decode()
    assert len(page) < 500_000
    assert f'request_count{{model_name="{OTHER_MODELS}",status="NOT_FOUND"}} 4937' in page
    assert 'request_count{model_name="a-late-model",status="OK"} 1' in page
    for number in range(3000):
        metrics.load(f"/models/taxi/{number}", 1.0, succeeded=True)
    assert len(metrics.render()) < 1_000_000
    assert "/models/taxi/2999" in metrics.render().decode()


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb 1", "{}", "é", "\ud800"])
def test_hostile_names_leave_the_page_readable(name: str) -> None:
    metrics = ServerMetrics()
    answered(metrics, name, Code.NOT_FOUND)
    shown = name.encode("utf-8", "replace").decode()
    expected = labels(model_name=shown, status="NOT_FOUND")
    assert samples(metrics)[":tensorflow:serving:request_count", expected] == 1


def test_counts_from_many_threads_add_up() -> None:
    metrics = ServerMetrics()

    def work(number: int) -> None:
        for _ in range(500):
            answered(metrics, f"model-{number % 2}")
        metrics.render()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found: dict[Any, float] = samples(metrics)
    assert [
        found[":tensorflow:serving:request_count", labels(model_name=f"model-{n}", status="OK")]
        for n in (0, 1)
    ] == [2000, 2000]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true, path: "/metrics" }', "/metrics"),
        ("prometheus_config: { enable: true }", DEFAULT_PATH),
        ('prometheus_config { path: "/metrics" }', None),
        ("", None),
    ],
)
def test_the_monitoring_file_is_read_as_tensorflow_serving_reads_it(
    tmp_path: Path, text: str, path: str | None
) -> None:
    (tmp_path / "monitoring.txt").write_text(text)
    assert read_metrics_path(tmp_path / "monitoring.txt") == path


@pytest.mark.parametrize("text", ["prometheus { enable: true }", "prometheus_config {", "\x00"])
def test_a_wrong_monitoring_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "monitoring.txt").write_text(text)
    with pytest.raises(ConfigError, match="Invalid protobuf file"):
        read_metrics_path(tmp_path / "monitoring.txt")


def test_a_server_shows_its_requests_loads_and_batches(
    saved_models: dict[str, Path], tmp_path: Path
) -> None:
    export_version(saved_models["double"], tmp_path / "double", 7)
    options = ServerOptions(
        rest_port=0, grpc_port=0, metrics_path="/metrics", access_log=str(tmp_path / "access.log")
    )
    configs = (ModelConfig("double", str(tmp_path / "double")),)
    server = ModelServer.of(configs, options, ManagerOptions(batching=BatchingParameters()))
    with server, httpx.Client(base_url=server.rest_url) as client:
        server.wait_until_available(60)
        answer = client.post("/v1/models/double:predict", json={"instances": [1.5, 2.5]})
        assert answer.json() == {"predictions": [3.0, 5.0]}
        assert client.post("/v1/models/none:predict", json={"instances": [1]}).status_code == 404
        page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    shown = page.text.splitlines()
    prefix = ":tensorflow:serving:"
    assert f'{prefix}request_count{{model_name="double",status="OK"}} 1' in shown
    assert f'{prefix}request_count{{model_name="none",status="NOT_FOUND"}} 1' in shown
    ran = f'{prefix}runtime_latency_count{{model_name="double",API="Predict",runtime="TF1"}} 1'
    assert ran in shown
    assert f"{prefix}batching_session:input_batch_size_sum{{}} 2" in shown
    path = tmp_path / "double" / "7"
    attempts = ":tensorflow:cc:saved_model:load_attempt_count"
    assert f'{attempts}{{model_path="{path}",status="success"}} 1' in shown
    state = 'model_name="double",state="AVAILABLE",version="7"'
    assert f"benison_model_version_available{{{state}}} 1.0" in shown
    logged = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert [(line["model"], line["version"]) for line in logged[:1]] == [("double", 7)]
    assert [line["status"] for line in logged[:2]] == ["OK", "NOT_FOUND"]
