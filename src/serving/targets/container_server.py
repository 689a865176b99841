"""A TensorFlow Serving in a container, as a server whose configuration can be changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import ServingError
from mlproject.whole_file import write_whole
from serving.client import predict_rest
from serving.model_config import ModelConfig, to_text
from serving.targets.base import Deployment
from serving.targets.reload import reload_models
from serving.targets.rest_view import RestView
from serving.targets.rollout import VersionState
from serving.targets.tf_serving_config import MODELS_FILE

if TYPE_CHECKING:
    from docker.models.containers import Container

LOG_LINES_OF_A_FAILURE = 15
_ALIVE = ("running", "created", "restarting")


class ContainerServer:
    """A container's server; see `rollout.ConfiguredServer`.

    Args:
        container: The container.
        addresses: Its REST URL and its gRPC address.
        config: The folder of its configuration files.
        deployment: The desired state.
    """

    def __init__(
        self,
        container: Container,
        addresses: tuple[str, str],
        config: Path,
        deployment: Deployment,
    ) -> None:
        self._container = container
        self._restarts = _restarts(container)
        self._view = RestView(addresses[0])
        self._grpc_address = addresses[1]
        self._config = config
        self._deployment = deployment

    def apply(self, config: ModelConfig) -> None:
        """Puts a configuration in force, and keeps it for a restart of the container."""
        reload_models(
            self._grpc_address, to_text([config]), self._deployment.config.start_timeout_s
        )
        write_whole(self._config / MODELS_FILE, to_text([config]))

    def states(self, model: str) -> Mapping[int, VersionState]:
        """The versions that the server knows; none while it starts."""
        try:
            return self._view.states(model)
        except ServingError:
            self._container.reload()
            restarts = _restarts(self._container) - self._restarts
            if self._container.status in _ALIVE and not restarts:
                return {}
            raise ServingError(
                f"The container {self._container.name} does not stay up",
                received=f"{self._container.status}, {restarts} restarts; its last lines:\n"
                + log_tail(self._container, LOG_LINES_OF_A_FAILURE),
            ) from None

    def default_version(self, model: str) -> int | None:
        """The wanted one: TensorFlow Serving has no default that could be moved."""
        return self._deployment.default_version

    def label_version(self, model: str, label: str) -> int | None:
        """The version of a label; None where the server does not know the label."""
        return self._view.label_version(model, label)

    def ask(self, model: str, version: int, row: Mapping[str, object]) -> None:
        """Asks a version one raw row; raises a ServingError where it refuses."""
        predict_rest(self._view.url, model, [row], version=version)


def _restarts(container: Container) -> int:
    return int(container.attrs.get("RestartCount", 0))


def log_tail(container: Container, lines: int) -> str:
    """The last lines that a container wrote."""
    text: bytes = container.logs(tail=lines)
    return text.decode(errors="replace").rstrip()
