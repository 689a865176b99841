"""The target `local`: the embedded server, as a supervised process of this machine.

The server reads its `models.config` anew each second; that file is what changes at a deployment.
It is right after a crash of whoever it may be: a server that is started again reads it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mlproject.artifacts import translate_os_errors
from mlproject.errors import ServingError
from serving.model_config import ModelConfig
from serving.targets.base import TOKEN_VARIABLE, Deployment, Place, TargetStatus
from serving.targets.local_ports import kept_ports
from serving.targets.local_record import LocalRecord, read_record
from serving.targets.local_server import (
    KILL_AFTER_S,
    RunningServer,
    server_spec,
    write_models,
    write_server_files,
)
from serving.targets.local_status import NAME, dies_again_and_again, local_status
from serving.targets.rollout import roll_out, specific
from serving.targets.supervised import SupervisedServer
from serving.targets.supervisor import Spec

HOST_VARIABLE = "BENISON_DEPLOY_HOST"


def open_target(place: Place) -> LocalTarget:
    """The target `local` of a home."""
    return LocalTarget(place)


class LocalTarget:
    """Serves on this machine.

    Args:
        place: Home, environment and where progress goes.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def deploy(self, deployment: Deployment) -> TargetStatus:
        """See `base.Target`; a server that is not running is started."""
        model, limit_s = deployment.model, deployment.config.start_timeout_s
        with self._locked(model, limit_s) as server:
            if server.running and dies_again_and_again(server):
                self._place.say("the server dies again and again: it is started anew")
                server.stop(self._place.say)
                self._forget(server)
            if not server.running:
                server.stop(self._place.say)  # what a killed supervisor left, on the same ports
            record = self._record(server, deployment)
            spec = server_spec(server.folder, deployment.config, record)
            if not server.running:
                self._start(server, deployment, record, spec)
            elif server.spec() == spec:
                self._change(server, deployment, record)
            else:
                self._start_anew(server, deployment, record, spec)
        return self.status(model)

    def reload(self, deployment: Deployment) -> TargetStatus:
        """See `base.Target`."""
        model = deployment.model
        with self._locked(model, deployment.config.start_timeout_s) as server:
            record = read_record(server.folder)
            if record is None or not server.running:
                raise ServingError(
                    f"Reloading '{model}' failed: no server of it runs here",
                    received=self.status(model).state,
                    next_step=f"start one: benison deploy {model}",
                )
            self._change(server, deployment, record)
        return self.status(model)

    def status(self, model: str) -> TargetStatus:
        """See `base.Target`."""
        server = SupervisedServer(self._place.folder(model))
        record = read_record(server.folder)
        if record is None:
            return TargetStatus(model, NAME, "absent", detail="never deployed on this machine")
        return local_status(server, record, self._token)

    def stop(self, model: str) -> None:
        """See `base.Target`."""
        if read_record(self._place.folder(model)) is None:
            return
        with self._locked(model, KILL_AFTER_S * 2) as server:
            server.stop(self._place.say)
            self._forget(server)

    def logs(self, model: str, lines: int) -> str:
        """See `base.Target`."""
        return SupervisedServer(self._place.folder(model)).log(lines)

    @contextmanager
    def _locked(self, model: str, wait_s: float) -> Iterator[SupervisedServer]:
        server = SupervisedServer(self._place.folder(model))
        with (
            translate_os_errors("Writing the deployment", server.folder),
            server.locked(wait_s, self._place.say),
        ):
            yield server

    def _record(self, server: SupervisedServer, deployment: Deployment) -> LocalRecord:
        """What is in force, or what a first start begins with: its default version alone."""
        host = self._place.environ.get(HOST_VARIABLE) or "127.0.0.1"
        wanted, known = deployment.config, read_record(server.folder)
        kept = (known.rest_port, known.grpc_port) if known else (0, 0)
        rest, grpc = kept_ports(host, wanted, kept, held=server.running)
        first = ModelConfig(
            deployment.model,
            str(deployment.base_path),
            specific((deployment.default_version,)),
            default_version=deployment.default_version,
        )
        if known is None or not known.serves or known.config.base_path != first.base_path:
            return LocalRecord(host, rest, grpc, first)
        return replace(known, host=host, rest_port=rest, grpc_port=grpc)

    def _start(
        self, server: SupervisedServer, deployment: Deployment, record: LocalRecord, spec: Spec
    ) -> None:
        """Starts a server with what was served before, else the default version, and goes on."""
        write_server_files(server.folder, deployment.config)
        try:
            self._run(server, record, spec, deployment.config.start_timeout_s)
            self._change(server, deployment, record)
        except ServingError:
            if not record.serves:
                server.stop(self._place.say)  # there is nothing that it could serve instead
                self._forget(server)
            raise

    def _start_anew(
        self, server: SupervisedServer, deployment: Deployment, record: LocalRecord, spec: Spec
    ) -> None:
        """Replaces a server by one with other flags; where that fails, by the one of before."""
        before, known = server.spec(), read_record(server.folder)
        self._place.say("other flags than before: the server is started anew")
        server.stop(self._place.say)
        try:
            self._start(server, deployment, record, spec)
        except ServingError:
            answers = self.status(deployment.model).versions
            if before is not None and known is not None and not answers:
                self._place.say("the server of before is started again")
                server.stop(self._place.say)
                self._run(server, known, before, deployment.config.start_timeout_s)
            raise

    def _run(
        self, server: SupervisedServer, record: LocalRecord, spec: Spec, limit_s: float
    ) -> None:
        """Starts a supervisor, and waits until the server answers with what is in force."""
        write_models(server.folder, record.config)
        record.with_config(record.config).write(server.folder)
        server.start(spec, self._place.environ)
        self._place.say(f"{record.config.name}: the server starts, REST port {record.rest_port}")
        RunningServer(server, record, self._token, deaths=0).await_start(limit_s)

    def _change(
        self, server: SupervisedServer, deployment: Deployment, record: LocalRecord
    ) -> None:
        """Brings a server that runs to the desired state."""
        running = RunningServer(server, record, self._token)
        running.await_start(deployment.config.start_timeout_s)  # it may have died just now
        running = RunningServer(server, record, self._token)
        config, refused = roll_out(running, deployment, record.config, self._place.say)
        record.with_config(config, refused).write(server.folder)
        if refused:
            raise ServingError(
                f"'{deployment.model}' is deployed in part: version {config.default_version} "
                "answers, others do not",
                received="; ".join(refused),
                expected="versions that load and answer",
                next_step=f"look at `benison deployment logs {deployment.model}`",
            )

    def _forget(self, server: SupervisedServer) -> None:
        """Keeps that nothing is served; the ports stay known."""
        record = read_record(server.folder)
        if record is not None:
            replace(record, serves=False).write(server.folder)

    @property
    def _token(self) -> str:
        # The server inherits the variable by way of its supervisor: it is written nowhere.
        return self._place.environ.get(TOKEN_VARIABLE, "")
