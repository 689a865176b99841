"""What a container is started with, and whether one that runs was started with the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.targets.base import Deployment
from serving.targets.tf_serving_config import (
    CONFIG_ROOT,
    GRPC_PORT,
    MODELS_ROOT,
    REST_PORT,
    server_flags,
)

CPU_IMAGE, GPU_IMAGE = "tensorflow/serving:2.16.1", "tensorflow/serving:2.16.1-gpu"
MODEL_LABEL, PLACE_LABEL, SPEC_LABEL = "benison.model", "benison.place", "benison.spec"
LOG_FILES, LOG_FILE_SIZE = "3", "10m"
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


@dataclass(frozen=True)
class ContainerSpec:
    """All that needs a new container when it changes; versions and labels do not.

    Attributes:
        model: The model's name.
        image: The image's id on the engine: a tag that moves on does not move a deployment.
        flags: The server's arguments.
        base_path: The folder of versions on this machine.
        cpu: Cores.
        memory_bytes: The most memory it may take.
        gpu: GPUs.
        batching: The batching parameters, or None.
    """

    model: str
    image: str
    flags: tuple[str, ...]
    base_path: str
    cpu: float
    memory_bytes: int
    gpu: int
    batching: Mapping[str, Any] | None

    @property
    def digest(self) -> str:
        """A hash of all of it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def container_spec(deployment: Deployment, image: str) -> ContainerSpec:
    """The spec of a deployment.

    Args:
        deployment: The desired state.
        image: The id of the image on the engine.
    """
    config = deployment.config
    return ContainerSpec(
        model=deployment.model,
        image=image,
        flags=tuple(server_flags(config)),
        base_path=str(deployment.base_path.resolve()),
        cpu=float(config.cpu),
        memory_bytes=int(config.memory[:-2]) * _UNITS[config.memory[-2:]],
        gpu=config.gpu,
        batching=None if config.batching is None else config.batching.model_dump(mode="json"),
    )


def image_of(deployment: Deployment) -> str:
    """The image that a deployment asks for, or TensorFlow Serving's own."""
    return deployment.config.image or (GPU_IMAGE if deployment.config.gpu else CPU_IMAGE)


def docker_name(model: str) -> str:
    """A model's name in the letters that names in Docker may have."""
    letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in model)
    return "".join(letters).strip("-") or "model"


def run_arguments(
    spec: ContainerSpec, name: str, place: str, config: Path, ports: tuple[int, int]
) -> dict[str, Any]:
    """The arguments of `docker.containers.create`.

    Args:
        spec: The spec.
        name: The container's name.
        place: What tells this machine's home from others on the same engine.
        config: The folder of its configuration files.
        ports: REST and gRPC port on this machine's loopback.
    """
    from docker.types import DeviceRequest, LogConfig, Mount

    return {
        "image": spec.image,
        "command": list(spec.flags),
        "name": name,
        "labels": {MODEL_LABEL: spec.model, PLACE_LABEL: place, SPEC_LABEL: spec.digest},
        "environment": {"MODEL_NAME": spec.model, "MODEL_BASE_PATH": MODELS_ROOT},
        "mounts": [
            Mount(f"{MODELS_ROOT}/{spec.model}", spec.base_path, "bind", read_only=True),
            Mount(CONFIG_ROOT, str(config.resolve()), "bind", read_only=True),
        ],
        "ports": {
            f"{REST_PORT}/tcp": ("127.0.0.1", ports[0]),
            f"{GRPC_PORT}/tcp": ("127.0.0.1", ports[1]),
        },
        "nano_cpus": int(spec.cpu * 1e9),
        "mem_limit": spec.memory_bytes,
        "device_requests": [DeviceRequest(count=spec.gpu, capabilities=[["gpu"]])]
        if spec.gpu
        else None,
        "log_config": LogConfig(
            type="json-file", config={"max-size": LOG_FILE_SIZE, "max-file": LOG_FILES}
        ),
        "restart_policy": {"Name": "unless-stopped"},
        "security_opt": ["no-new-privileges"],
        "cap_drop": ["ALL"],
    }
