"""A deployment as a Compose file, for those who start their containers themselves."""

from __future__ import annotations

from typing import Any

import yaml

from serving.targets.base import Deployment
from serving.targets.docker_spec import docker_name
from serving.targets.tf_serving_config import (
    CONFIG_ROOT,
    GRPC_PORT,
    MODELS_ROOT,
    REST_PORT,
    server_flags,
)


def compose_file(deployment: Deployment, image: str) -> str:
    """The text of `compose.yaml`; the other rendered files lie beside it.

    Args:
        deployment: The desired state.
        image: The image of TensorFlow Serving.
    """
    model, config = deployment.model, deployment.config
    service: dict[str, Any] = {
        "image": image,
        "command": server_flags(config),
        "environment": {"MODEL_NAME": model, "MODEL_BASE_PATH": MODELS_ROOT},
        "ports": [
            f"127.0.0.1:{config.rest_port or REST_PORT}:{REST_PORT}",
            f"127.0.0.1:{config.grpc_port or GRPC_PORT}:{GRPC_PORT}",
        ],
        "volumes": [
            f"{deployment.base_path.resolve()}:{MODELS_ROOT}/{model}:ro",
            f".:{CONFIG_ROOT}:ro",
        ],
        "cpus": float(config.cpu),
        "mem_limit": config.memory.replace("i", "").lower(),
        "restart": "unless-stopped",
        "security_opt": ["no-new-privileges:true"],
        "cap_drop": ["ALL"],
    }
    if config.gpu:
        device = {"driver": "nvidia", "count": config.gpu, "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    text: str = yaml.safe_dump({"services": {docker_name(model): service}}, sort_keys=False)
    return text
