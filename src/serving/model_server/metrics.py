"""What a model server measures, and its page for Prometheus.

The page holds TensorFlow Serving's metrics under its own names and units (microseconds), so that
dashboards and alerts for it work unchanged, and after them those of this server (`benison_`) and
of its process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.model_server.config_messages import read_message
from serving.model_server.metric_families import (
    COUNT_BOUNDS,
    LATENCY_BOUNDS,
    CounterFamily,
    Histogram,
    HistogramFamily,
    exponential,
)
from serving.model_server.status import Code

DEFAULT_PATH = "/monitoring/prometheus/metrics"
OTHER_MODELS = "(other)"

# Names of models come from requests: those that never answered get this many places at most.
_MOST_UNKNOWN_MODELS = 64
_LONGEST_NAME = 256
_LOOKS_LIKE = f'prometheus_config {{ enable: true path: "{DEFAULT_PATH}" }}'


@dataclass(frozen=True)
class ServedVersion:
    """One model version, as the page shows it.

    Attributes:
        model: The model's name.
        version: The version's number.
        state: `AVAILABLE`, `LOADING`, ...
        in_flight: Requests that run on it now.
    """

    model: str
    version: int
    state: str
    in_flight: int = 0


class _RequestCell:
    """What one kind of request adds up to."""

    __slots__ = ("bytes_in", "bytes_out", "count", "latency")

    def __init__(self, latency: Histogram) -> None:
        self.count = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.latency = latency


class ServerMetrics:
    """The metrics of one server; safe to use from several threads at once.

    Args:
        versions: Gives the model versions of the server when the page is made; None shows none.
    """

    def __init__(self, versions: Callable[[], Iterable[ServedVersion]] | None = None) -> None:
        self.versions = versions
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, str, Code], _RequestCell] = {}
        self._known: set[str] = set()
        self._unknown: set[str] = set()
        serving, saved_model = "/tensorflow/serving/", "/tensorflow/cc/saved_model/"
        batching = f"{serving}batching_session/"
        latency, model = LATENCY_BOUNDS, ("model_name",)
        self._request_latency = HistogramFamily(
            f"{serving}request_latency", (*model, "API", "entrypoint"), latency
        )
        self._runtime = HistogramFamily(
            f"{serving}runtime_latency", (*model, "API", "runtime"), latency
        )
        self._examples = HistogramFamily(
            f"{serving}request_example_counts", ("model",), COUNT_BOUNDS
        )
        self._example_total = CounterFamily(f"{serving}request_example_count_total", ("model",))
        self._logged = CounterFamily(f"{serving}request_log_count", (*model, "status"))
        self._loads = CounterFamily(f"{saved_model}load_attempt_count", ("model_path", "status"))
        self._load_count = CounterFamily(f"{saved_model}load_count", ("write_version",))
        self._load_time = CounterFamily(f"{saved_model}load_latency", ("model_path",))
        self._warmup = HistogramFamily(
            f"{serving}model_warmup_latency", ("model_path", "status"), latency, most=256
        )
        self._queuing = HistogramFamily(
            f"{batching}queuing_latency", ("thread_pool_name",), exponential(100, 1.2, 52)
        )
        sizes = COUNT_BOUNDS[:-1]
        self._input_rows = HistogramFamily(f"{batching}input_batch_size", (), sizes)
        self._batch_rows = HistogramFamily(f"{batching}processed_batch_size", (), sizes)
        self._padding = HistogramFamily(f"{batching}padding_size", ("execution_batch_size",), sizes)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_OwnMetrics(self))
        GCCollector(registry=self._registry)
        ProcessCollector(registry=self._registry)

    def request(
        self,
        api: str,
        entrypoint: str,
        model: str,
        code: Code,
        seconds: float,
        *,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        """Count a request for a model that was answered; see `Observer.request`."""
        if not model:  # a probe, this page, a path that is none
            return
        with self._lock:
            cell = self._requests.get((api, entrypoint, model, code))
            if cell is None:
                cell = self._request_cell(api, entrypoint, model, code)
            cell.count += 1
            cell.bytes_in += bytes_in
            cell.bytes_out += bytes_out
            cell.latency.observe(seconds * 1e6)

    def runtime(self, model: str, entrypoint: str, seconds: float) -> None:
        """Record how long a served model ran for a request, by the request's method."""
        with self._lock:
            self._runtime.cell(model, entrypoint, "TF1").observe(seconds * 1e6)

    def examples(self, model: str, count: int) -> None:
        """Record how many `tf.Example`s a request of a served model held."""
        with self._lock:
            self._examples.cell(model).observe(count)
            self._example_total.add(count, model)

    def load(self, path: str, seconds: float, *, succeeded: bool) -> None:
        """Record an attempt to load a SavedModel."""
        with self._lock:
            self._loads.add(1, path, "success" if succeeded else "fail")
            if succeeded:
                self._load_count.add(1, "2")
                self._load_time.add(int(seconds * 1e6), path)

    def warmup(self, path: str, seconds: float, code: Code) -> None:
        """Record the warm-up of a SavedModel."""
        with self._lock:
            self._warmup.cell(path, code.name).observe(seconds * 1e6)

    def batch(
        self, pool: str, request_rows: Sequence[int], waits_s: Sequence[float], rows: int
    ) -> None:
        """Record a batch; see `BatchRecorder`."""
        with self._lock:
            for count, wait in zip(request_rows, waits_s, strict=True):
                self._input_rows.cell().observe(count)
                self._queuing.cell(pool).observe(wait * 1e6)
            self._batch_rows.cell().observe(rows)
            self._padding.cell(str(rows)).observe(rows - sum(request_rows))

    def render(self) -> bytes:
        """The page in Prometheus' text format."""
        with self._lock:
            lines = [line for part in self._tensorflow_lines() for line in part]
        return "\n".join([*lines, ""]).encode() + generate_latest(self._registry)

    def collect_own(self) -> Iterator[Metric]:
        """This server's own metrics, for the Prometheus client library."""
        sizes = CounterMetricFamily(
            "benison_request_bytes",
            "Bytes of request and response bodies",
            labels=("model_name", "API", "direction"),
        )
        with self._lock:
            amounts: dict[tuple[str, str, str], int] = {}
            for (api, _, model, _), cell in self._requests.items():
                for direction, amount in (("in", cell.bytes_in), ("out", cell.bytes_out)):
                    key = (model, api, direction)
                    amounts[key] = amounts.get(key, 0) + amount
        for key, amount in amounts.items():
            sizes.add_metric(key, amount)
        available = GaugeMetricFamily(
            "benison_model_version_available",
            "Whether a model version answers requests",
            labels=("model_name", "version", "state"),
        )
        running = GaugeMetricFamily(
            "benison_requests_in_flight",
            "Requests that run now",
            labels=("model_name", "version"),
        )
        for served in self.versions() if self.versions else ():
            number = str(served.version)
            available.add_metric((served.model, number, served.state), served.state == "AVAILABLE")
            running.add_metric((served.model, number), served.in_flight)
        yield from (sizes, available, running)

    def _request_cell(self, api: str, entrypoint: str, model: str, code: Code) -> _RequestCell:
        name = self._label(model, code)
        key = (api, entrypoint, name, code)
        cell = self._requests.get(key)
        if cell is None:
            latency = self._request_latency.cell(name, api, entrypoint)
            cell = self._requests[key] = _RequestCell(latency)
        return cell

    def _label(self, model: str, code: Code) -> str:
        """The model's label: its name, as long as names that do not answer leave room for it."""
        if model in self._known:
            return model
        if code is Code.OK:
            self._known.add(model)
            self._unknown.discard(model)
            return model
        name = model[:_LONGEST_NAME].encode("utf-8", "replace").decode()
        if name not in self._unknown:
            if len(self._unknown) >= _MOST_UNKNOWN_MODELS:
                return OTHER_MODELS
            self._unknown.add(name)
        return name

    def _tensorflow_lines(self) -> Iterator[Iterable[str]]:
        counts = CounterFamily("/tensorflow/serving/request_count", ("model_name", "status"))
        for (_, _, model, code), cell in self._requests.items():
            counts.add(cell.count, model, code.name)
        yield counts.lines()
        for family in (
            self._request_latency,
            self._runtime,
            self._examples,
            self._example_total,
            self._logged,
            self._loads,
            self._load_count,
            self._load_time,
            self._warmup,
            self._queuing,
            self._input_rows,
            self._batch_rows,
            self._padding,
        ):
            yield family.lines()


class _OwnMetrics(Collector):
    """Hands this server's own metrics to the Prometheus client library."""

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        return self._metrics.collect_own()


def read_metrics_path(path: Path) -> str | None:
    """Reads a file with a `MonitoringConfig` in text form, as `--monitoring_config_file` takes it.

    Args:
        path: The file.

    Returns:
        The path of the Prometheus page; None where it is off.

    Raises:
        ConfigError: The file cannot be read, or is no `MonitoringConfig`.
    """
    config = read_message("MonitoringConfig", path, _LOOKS_LIKE).prometheus_config
    if not config.enable:
        return None
    return str(config.path) or DEFAULT_PATH
