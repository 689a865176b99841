"""What TensorFlow Serving is started with: its configuration files and flags, as text.

TensorFlow Serving answers a request that names no version with the newest version it has loaded.
So only versions up to the champion are given to it, unless `deployment.canary` says that clients
ask for labels: then the challenger, which is newer, is loaded and labelled too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mlproject.sections.deployment import BatchingSection, DeploymentSection
from serving.model_config import ModelConfig, VersionPolicy, to_text
from serving.targets.base import Deployment

GRPC_PORT, REST_PORT = 8500, 8501  # inside a container or a pod
MODELS_ROOT = "/models"
CONFIG_ROOT = "/benison"
MODELS_FILE, BATCHING_FILE, MONITORING_FILE = (
    "models.config",
    "batching.config",
    "monitoring.config",
)
METRICS_PATH = "/monitoring/prometheus/metrics"


def served_by_tf_serving(deployment: Deployment) -> Deployment:
    """The part of a deployment that a TensorFlow Serving may hold.

    Args:
        deployment: The desired state.

    Returns:
        The same without the versions that are newer than the champion, which would answer in its
        place, and without their labels; unchanged where `deployment.canary` allows them.
    """
    if deployment.config.canary:
        return deployment
    kept = tuple(v for v in deployment.versions if v.number <= deployment.default_version)
    numbers = {version.number for version in kept}
    labels = {label: n for label, n in deployment.labels.items() if n in numbers}
    return replace(deployment, versions=kept, labels=labels)


def tf_serving_model(
    model: str, versions: Iterable[int], labels: Mapping[str, int], base_path: str = ""
) -> ModelConfig:
    """A model's entry in `models.config`, as a server in a container or a pod sees it.

    Args:
        model: The model's name in requests.
        versions: The versions to load.
        labels: Label -> version.
        base_path: Where the server finds the versions; empty for `/models/<model>`.
    """
    policy = VersionPolicy("specific", versions=tuple(sorted(versions)))
    base_path = base_path or f"{MODELS_ROOT}/{model}"
    return ModelConfig(model, base_path, policy, dict(sorted(labels.items())))


def batching_config(section: BatchingSection) -> str:
    """The text of the file that `--batching_parameters_file` names."""
    numbers = {
        name: getattr(section, name)
        for name in (
            "max_batch_size",
            "batch_timeout_micros",
            "max_enqueued_batches",
            "num_batch_threads",
        )
    }
    lines = [f"{name} {{ value: {value} }}" for name, value in numbers.items()]
    lines += [f"allowed_batch_sizes: {size}" for size in section.allowed_batch_sizes]
    if section.pad_variable_length_inputs:
        lines.append("pad_variable_length_inputs: true")
    return "\n".join(lines) + "\n"


def monitoring_config() -> str:
    """The text of the file that `--monitoring_config_file` names."""
    return f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}\n'


def config_files(
    deployment: Deployment, labels: Mapping[str, int], base_path: str = ""
) -> dict[str, str]:
    """Every configuration file of a server: file name -> text.

    Args:
        deployment: What TensorFlow Serving may hold of the desired state.
        labels: Label -> version; none where they are given once the versions are loaded.
        base_path: Where the server finds the versions; empty for `/models/<model>`.
    """
    model = tf_serving_model(deployment.model, deployment.numbers, labels, base_path)
    files = {
        MODELS_FILE: to_text([model]),
        MONITORING_FILE: monitoring_config(),
    }
    if deployment.config.batching is not None:
        files[BATCHING_FILE] = batching_config(deployment.config.batching)
    return files


def server_flags(config: DeploymentSection, folder: str = CONFIG_ROOT) -> list[str]:
    """The flags of `tensorflow_model_server` beyond its ports.

    Args:
        config: The section `deployment`.
        folder: Where the configuration files lie, as the server sees it.
    """
    flags = [
        f"--model_config_file={folder}/{MODELS_FILE}",
        f"--monitoring_config_file={folder}/{MONITORING_FILE}",
        # Where the server starts again, it reads labels before the versions are loaded.
        "--allow_version_labels_for_unavailable_models=true",
        # A version that does not load shall be known as such before minutes of tries are over.
        "--max_num_load_retries=1",
        "--load_retry_interval_micros=1000000",
        f"--enable_model_warmup={'true' if config.warm_up else 'false'}",
    ]
    if config.batching is not None:
        flags += ["--enable_batching=true", f"--batching_parameters_file={folder}/{BATCHING_FILE}"]
    return flags
