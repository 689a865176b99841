"""The running server of the target `local`: how it is configured, changed and awaited."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mlproject.errors import ServingError
from mlproject.sections import DeploymentSection
from mlproject.whole_file import write_whole
from serving.client import predict_rest
from serving.model_config import ModelConfig, to_text
from serving.targets.local_record import LocalRecord
from serving.targets.rest_view import RestView
from serving.targets.rollout import AVAILABLE, VersionState
from serving.targets.supervised import SupervisedServer
from serving.targets.supervisor import Spec, SupervisorState
from serving.targets.tf_serving_config import (
    BATCHING_FILE,
    MODELS_FILE,
    MONITORING_FILE,
    batching_config,
    monitoring_config,
    server_flags,
)

DEFAULT_LABEL = "default"  # of the version that answers when a request names none
DRAIN_S = 10.0
KILL_AFTER_S = 15.0
CONFIG_POLL_S = 1
_POLL_S = 0.1


class RunningServer(RestView):
    """The server of a folder, as a roll-out changes it.

    Args:
        server: Its supervisor.
        record: What is deployed.
        token: The bearer token that it asks for; empty for none.
        deaths: How often it had died; by default as often as it has by now.
    """

    def __init__(
        self, server: SupervisedServer, record: LocalRecord, token: str, deaths: int | None = None
    ) -> None:
        super().__init__(record.rest_url, token)
        self._server, self._model, self._token = server, record.config.name, token
        self._deaths = _deaths(server.state()) if deaths is None else deaths

    def apply(self, config: ModelConfig) -> None:
        """Writes the file that the server reads each second, and starts with."""
        write_models(self._server.folder, config)

    def states(self, model: str) -> dict[int, VersionState]:
        """See `RestView.states`; a server that died on the way is no server that is slow."""
        now = self._server.state()
        if now and _deaths(now) > self._deaths:
            raise ServingError(
                "The server died while a version was loaded",
                received=now.last_error,
                expected="a server that goes on",
                next_step=f"look at `benison deployment logs {model}`",
            )
        return super().states(model)

    def ask(self, model: str, version: int, row: Mapping[str, object]) -> None:
        """Asks a version one raw row."""
        predict_rest(self.url, model, [row], version=version, token=self._token)

    def await_start(self, timeout_s: float) -> None:
        """Waits until the server answers with some version, or says why one did not load.

        Raises:
            ServingError: It dies, or does neither in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            state = self._server.state()
            if state is not None and _deaths(state) > self._deaths:
                raise self._did_not_start(state.last_error)
            try:
                states = super().states(self._model)
                if any(s.state == AVAILABLE or s.error for s in states.values()):
                    return
                why = "no version is loaded"
            except ServingError as err:
                why = err.received or err.failed
            if time.monotonic() > deadline:
                raise self._did_not_start(why)
            time.sleep(_POLL_S)

    def _did_not_start(self, why: str) -> ServingError:
        log = self._server.log(20).splitlines()
        said = [line for line in log if " supervisor: " not in line]
        return ServingError(
            f"The server of '{self._model}' does not come to answer",
            received=why + (f"; it said last: {said[-1]}" if said else ""),
            expected="a server that answers",
            next_step=f"look at {self._server.folder / 'server.log'}",
        )


def _deaths(state: SupervisorState | None) -> int:
    return state.restarts + (state.phase == "waiting") if state else 0


def server_spec(folder: Path, config: DeploymentSection, record: LocalRecord) -> Spec:
    """The server's command.

    Args:
        folder: The deployment's folder.
        config: The section `deployment`.
        record: With address and ports.
    """
    # As a trial's server: it ends with its supervisor, and takes 145 MiB less.
    command = [sys.executable, "-m", "serving.trial.process", f"--host={record.host}"]
    command += [f"--port={record.grpc_port}", f"--rest_api_port={record.rest_port}"]
    command += [f"--model_config_file_poll_wait_seconds={CONFIG_POLL_S}"]
    command += [f"--drain_seconds={DRAIN_S:g}", f"--default_version_label={DEFAULT_LABEL}"]
    # A version that does not load is known as such within seconds: its digest was checked.
    command += ["--answer_while_loading=true"]
    flags = server_flags(config, str(folder))
    command += [flag.replace(f"/{BATCHING_FILE}", f"/{_batching_file(config)}") for flag in flags]
    return Spec(tuple(command), {"TF_CPP_MIN_LOG_LEVEL": "2"}, KILL_AFTER_S)


def write_server_files(folder: Path, config: DeploymentSection) -> None:
    """Writes the files that the server's flags name, but for its models."""
    write_whole(folder / MONITORING_FILE, monitoring_config())
    if config.batching is not None:
        write_whole(folder / _batching_file(config), batching_config(config.batching))


def write_models(folder: Path, config: ModelConfig) -> None:
    """Writes the models that the server serves; the default version as a label of its own."""
    labels = dict(config.labels)
    if config.default_version is not None:
        labels[DEFAULT_LABEL] = config.default_version
    write_whole(folder / MODELS_FILE, to_text([replace(config, labels=labels)]))


def _batching_file(config: DeploymentSection) -> str:
    """A name for each content: other parameters are other flags, and the old file stays."""
    if config.batching is None:
        return BATCHING_FILE
    digest = hashlib.sha256(batching_config(config.batching).encode()).hexdigest()
    return f"batching-{digest[:8]}.config"
