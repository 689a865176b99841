"""Where a model was trained: what may change its weights although data, code and seed are the same.

The train step records it as the tag `benison.environment` of its MLflow run, as JSON.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlproject.tracking.names import TAG

ENVIRONMENT_TAG = f"{TAG}environment"
PACKAGES = ("benison", "tensorflow", "keras", "tensorflow-transform", "numpy", "pyarrow")
# The instruction sets that TensorFlow, Eigen and oneDNN choose their kernels by.
_INSTRUCTIONS = frozenset(
    {
        *("sse4_1", "sse4_2", "avx", "avx2", "fma", "avx_vnni"),
        *("avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16"),
        *("amx_tile", "amx_int8", "amx_bf16"),
        *("asimd", "asimddp", "bf16", "i8mm", "sve", "sve2"),
    }
)
_CPUINFO = Path("/proc/cpuinfo")


def environment(distribute: str = "none") -> dict[str, str]:
    """The environment of a training in this process; TensorFlow is imported for its devices.

    Args:
        distribute: `training.distribute` of project.yaml.

    Returns:
        Name -> value: `python`, `system`, `cpu`, `cpu_flags`, `cores`, `gpus`, `replicas`,
        `onednn`, and the packages by name.
    """
    import tensorflow as tf

    gpus = [device.name.rpartition("/")[2] for device in tf.config.list_physical_devices("GPU")]
    name, flags = _cpu()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": name,
        "cpu_flags": " ".join(sorted(flags & _INSTRUCTIONS)),
        "cores": str(_cores()),
        "gpus": ", ".join(gpus) or "none",
        "replicas": str(_replicas(distribute)),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        **_packages(),
    }


def environment_tag(distribute: str = "none") -> dict[str, str]:
    """The tag for the run of a training."""
    return {ENVIRONMENT_TAG: json.dumps(environment(distribute))}


def read_environment(tags: Mapping[str, str]) -> dict[str, str]:
    """The environment that a training's run was tagged with; empty where it was not, or not so."""
    try:
        found = json.loads(tags.get(ENVIRONMENT_TAG, "{}"))
    except ValueError:
        return {}
    return {str(n): str(v) for n, v in found.items()} if isinstance(found, dict) else {}


def _cpu() -> tuple[str, set[str]]:
    """The processor's name and instruction sets, as far as the system tells them."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown", set()
    said: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if colon:
            said.setdefault(key.strip(), value.strip())
    flags = said.get("flags") or said.get("Features") or ""
    return said.get("model name") or platform.processor() or "unknown", set(flags.split())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _replicas(distribute: str) -> int:
    """Copies of the model that shared each batch."""
    import tensorflow as tf

    local = len(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))
    if distribute == "mirrored":
        return local
    if distribute == "none":
        return 1
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        workers = sum(len(cluster.get(role, ())) for role in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError):
        workers = 1
    return max(workers, 1)


def _packages() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
