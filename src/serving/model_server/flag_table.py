"""The table of the model server's flags: TensorFlow Serving's own, and those of this server.

Names, forms and defaults are those of `tensorflow_model_server`, so that this server can take its
place in a script. What it accepts and cannot honour stands here with what is not done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from serving.model_server.listening import (
    DRAIN_S,
    GRPC_PORT,
    MAX_REQUEST_BYTES,
    THREADS,
    HttpLimits,
)

ANY_PORT = "auto"
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_HTTP = HttpLimits()


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: Without its dashes.
        kind: Reads the value; `boolean` flags need none.
        default: The value without the flag.
        meaning: One line of help.
        lost: What is not done when the flag is given; "" for a flag that is honoured.
    """

    name: str
    kind: Callable[[str], Any]
    default: Any
    meaning: str
    lost: str = ""


def boolean(text: str) -> bool:
    """True or false, as TensorFlow's flags spell them."""
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def port(text: str) -> int | None:
    """A port number: 0 turns the API off (None), `auto` takes any free port (0)."""
    if text == ANY_PORT:
        return 0
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number or None


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _seconds(text: str) -> float:
    if not 0 <= float(text) < float("inf"):
        raise ValueError(text)
    return float(text)


_GPU = "the GPU's memory is left to TensorFlow"
_LITE = "a request is run by one interpreter"
_XLA = "TensorFlow's own default decides about XLA"

UPSTREAM = (
    Flag("port", port, GRPC_PORT, "gRPC port (0: none, auto: any free one)"),
    Flag("grpc_socket_path", str, "", "serve gRPC on this UNIX socket too"),
    Flag("rest_api_port", port, None, "REST port (0: none, auto: any free one)"),
    Flag("rest_api_num_threads", _positive, THREADS, "threads that answer REST requests"),
    Flag("rest_api_timeout_in_ms", int, 30_000, "longest run of a model for a REST request"),
    Flag("rest_api_enable_cors_support", boolean, False, "answer with CORS headers"),
    Flag("enable_batching", boolean, False, "put requests that arrive together into one batch"),
    Flag(
        "allow_version_labels_for_unavailable_models",
        boolean,
        False,
        "accept labels of versions that are not loaded yet",
    ),
    Flag(
        "force_allow_any_version_labels_for_unavailable_models",
        boolean,
        False,
        "accept any label of a version that is not loaded",
    ),
    Flag("batching_parameters_file", str, "", "BatchingParameters, as text proto"),
    Flag(
        "enable_per_model_batching_parameters",
        boolean,
        False,
        "read batching_params.pbtxt of each SavedModel",
        "every model is batched with --batching_parameters_file",
    ),
    Flag("model_config_file", str, "", "ModelServerConfig, as text proto; instead of a base path"),
    Flag(
        "model_config_file_poll_wait_seconds",
        int,
        0,
        "seconds between two reads of --model_config_file (0: read once)",
    ),
    Flag("model_name", str, "default", "the model's name in requests"),
    Flag("model_base_path", str, "", "folder with a sub-folder per version"),
    Flag("num_load_threads", int, 0, "threads that load versions"),
    Flag(
        "num_unload_threads",
        int,
        0,
        "threads that unload versions",
        "a version is unloaded by the thread of the last request that used it",
    ),
    Flag("max_num_load_retries", int, 5, "tries of a load after the first one failed"),
    Flag("load_retry_interval_micros", int, 60_000_000, "microseconds between two tries"),
    Flag(
        "file_system_poll_wait_seconds",
        float,
        1.0,
        "seconds between two looks for new versions (0: look once; below 0: never)",
    ),
    Flag(
        "flush_filesystem_caches",
        boolean,
        True,
        "give file caches back after loading",
        "the file system keeps its caches as it does for any process",
    ),
    Flag("tensorflow_session_parallelism", int, 0, "threads of a TensorFlow session (0: auto)"),
    Flag("tensorflow_intra_op_parallelism", int, 0, "threads inside an operation (0: auto)"),
    Flag("tensorflow_inter_op_parallelism", int, 0, "operations at once (0: auto)"),
    Flag(
        "tensorflow_session_config_file",
        str,
        "",
        "ConfigProto of the sessions, as text proto",
        "sessions have TensorFlow's own configuration",
    ),
    Flag("use_alts_credentials", boolean, False, "Google's ALTS for gRPC", "no ALTS"),
    Flag("ssl_config_file", str, "", "SSLConfig, as text proto: TLS for gRPC"),
    Flag(
        "platform_config_file",
        str,
        "",
        "PlatformConfigMap, as text proto",
        "models are TensorFlow SavedModels, configured by the other flags",
    ),
    Flag("per_process_gpu_memory_fraction", float, 0.0, "share of the GPU's memory", _GPU),
    Flag("saved_model_tags", str, "serve", "tags of the graph to load, with commas"),
    Flag("grpc_channel_arguments", str, "", "key=value arguments of the gRPC server, with commas"),
    Flag("grpc_max_threads", _positive, THREADS, "threads that answer gRPC requests"),
    Flag("enable_model_warmup", boolean, True, "replay a version's warm-up records when it loads"),
    Flag("num_request_iterations_for_warmup", int, 0, "times that each record is replayed"),
    Flag("version", boolean, False, "print the version and end"),
    Flag("monitoring_config_file", str, "", "MonitoringConfig, as text proto: Prometheus metrics"),
    Flag(
        "remove_unused_fields_from_bundle_metagraph",
        boolean,
        True,
        "drop what serving does not need of a model's description",
        "a model's description is kept whole",
    ),
    Flag("prefer_tflite_model", boolean, False, "serve model.tflite where there is one"),
    Flag("use_tflite_model", boolean, False, "the same, by its older name"),
    Flag("num_tflite_pools", int, 0, "requests that a model.tflite runs at once (0: auto)"),
    Flag("num_tflite_interpreters_per_pool", int, 1, "interpreters of a pool", _LITE),
    Flag(
        "enable_signature_method_name_check",
        boolean,
        False,
        "refuse classify and regress of signatures with another method name",
    ),
    Flag("xla_cpu_compilation_enabled", boolean, False, "XLA on the CPU", _XLA),
    Flag("xla_gpu_compilation_enabled", boolean, False, "XLA on the GPU", _XLA),
    Flag("enable_profiler", boolean, True, "TensorFlow's profiler, for clients of this machine"),
    Flag(
        "thread_pool_factory_config_file",
        str,
        "",
        "ThreadPoolConfig, as text proto",
        "sessions share TensorFlow's own thread pools",
    ),
    Flag("mixed_precision", str, "", "mixed precision mode", "models run in their own precision"),
    Flag("skip_initialize_tpu", boolean, False, "leave a TPU alone", "no TPU is ever used"),
    Flag("enable_grpc_healthcheck_service", boolean, True, "gRPC's health service, always there"),
    Flag(
        "enable_serialization_as_tensor_content",
        boolean,
        False,
        "answer Predict with packed tensors",
        "Predict answers in typed fields, such as float_val",
    ),
)

OURS = (
    Flag("host", str, "127.0.0.1", "address to listen on"),
    Flag("model_version", _positive, None, "serve this version instead of the newest"),
    Flag(
        "default_version_label",
        str,
        "",
        "label whose version answers requests that name none, instead of the newest",
    ),
    Flag("token_file", str, "", "file with the bearer token that requests must carry"),
    Flag("rest_api_enable_tls", boolean, False, "--ssl_config_file holds for REST too"),
    Flag("max_request_bytes", _positive, MAX_REQUEST_BYTES, "largest request"),
    Flag("drain_seconds", _seconds, DRAIN_S, "time for requests to end on SIGTERM"),
    Flag("access_log", str, "", "file for a line per request (-: standard error)"),
    Flag("max_connections", _positive, _HTTP.max_connections, "REST connections at once"),
    Flag(
        "request_read_timeout_s",
        _seconds,
        _HTTP.read_timeout_s,
        "time for a client to send its request",
    ),
    Flag("answer_while_loading", boolean, False, "open the ports before the models are loaded"),
)
