"""TensorFlow Serving in a container of a Docker engine on this machine.

    <home>/deployments/<model>/docker/
      state.json                 the container, its ports, versions and labels
      front/                     the front, supervised, and which container its ports lead to
      <container>/models.config  and the other configuration files, mounted into the container

Versions come and go by `HandleReloadConfigRequest`. Another image, other flags or resources need
another container: it is started beside the first, and takes over the ports when it answers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.artifacts import translate_os_errors
from mlproject.errors import ServingError
from mlproject.whole_file import write_whole
from serving.model_config import to_text
from serving.targets.base import Deployment, Place, State, TargetStatus
from serving.targets.container_server import ContainerServer, log_tail
from serving.targets.docker_engine import (
    engine,
    port_is_taken,
    resolve_image,
    translate_docker_errors,
)
from serving.targets.docker_spec import (
    MODEL_LABEL,
    PLACE_LABEL,
    SPEC_LABEL,
    ContainerSpec,
    container_spec,
    docker_name,
    image_of,
    run_arguments,
)
from serving.targets.front_process import FrontProcess
from serving.targets.json_record import read_json_record
from serving.targets.local_ports import free_ports
from serving.targets.rest_view import RestView
from serving.targets.rollout import roll_out
from serving.targets.supervised import SupervisedServer
from serving.targets.tf_serving_config import (
    MODELS_FILE,
    config_files,
    served_by_tf_serving,
    tf_serving_model,
)

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

TARGET = "docker"
DRAIN_S = 30.0
STOP_S = 10
LOCK_S = 600.0
START_TRIES = 3  # each on other ports
NAME_LETTERS = 40
STATE = "state.json"
_STATES: Mapping[str, State] = {
    "running": "running",
    "restarting": "failed",
    "exited": "failed",
    "dead": "failed",
}


@dataclass(frozen=True)
class Remembered:
    """What is kept of a deployment between two commands.

    Attributes:
        container: The container's name.
        ports: Its REST and gRPC port, behind the front.
        front: The REST and gRPC port that clients use.
        image: The image as it was asked for, with its digest where it has one.
        versions: The versions that are served.
        labels: Label -> version.
    """

    container: str
    ports: tuple[int, int]
    front: tuple[int, int]
    image: str
    versions: tuple[int, ...]
    labels: Mapping[str, int]

    @property
    def rest_url(self) -> str:
        """The container's own REST URL, past the front."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def grpc_address(self) -> str:
        """The container's own gRPC address, past the front."""
        return f"127.0.0.1:{self.ports[1]}"


def open_target(place: Place) -> DockerTarget:
    """The target."""
    return DockerTarget(place)


class DockerTarget:
    """Serves models from containers.

    Args:
        place: Where this machine's deployments are remembered; `DOCKER_HOST` comes from its
            environment.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def deploy(self, deployment: Deployment) -> TargetStatus:
        """Starts a container, or brings the one that runs to the desired state."""
        wanted = served_by_tf_serving(deployment)
        self._tell_what_waits(deployment, wanted)
        with self._alone(wanted.model), self._engine("Deploying", wanted.model) as client:
            image = resolve_image(client, image_of(wanted), self._place.say)
            spec = container_spec(wanted, image.id)
            known, container = self._known(client, wanted.model)
            fits = container is not None and container.labels.get(SPEC_LABEL) == spec.digest
            if known and container and fits and container.status == "running":
                known = self._bring_to(known, container, wanted)
            else:
                known = self._replace(client, spec, image.name, wanted, known)
            self._sweep(client, known.container, wanted.model)
        return self.status(deployment.model)

    def reload(self, deployment: Deployment) -> TargetStatus:
        """Brings the running container to the desired state."""
        wanted = served_by_tf_serving(deployment)
        self._tell_what_waits(deployment, wanted)
        with self._alone(wanted.model), self._engine("Reloading", wanted.model) as client:
            known, container = self._known(client, wanted.model)
            if known is None or container is None or container.status != "running":
                raise ServingError(
                    f"There is no running container of '{deployment.model}' to reload",
                    next_step=f"benison deploy {deployment.model} --target docker",
                )
            self._bring_to(known, container, wanted)
        return self.status(deployment.model)

    def status(self, model: str) -> TargetStatus:
        """What the container and the front do."""
        remembered = self._remembered(model)
        if remembered is None:
            return TargetStatus(model, TARGET, "absent")
        with self._engine("Asking for", model) as client:
            known, container = self._known(client, model)
            if known is None or container is None:
                detail = f"the container {remembered.container} is gone; deploy again"
                return TargetStatus(model, TARGET, "failed", detail=detail)
            return _status(model, known, container, self._front(model))

    def stop(self, model: str) -> None:
        """Removes the container and frees the ports, once open connections are done.

        Without an engine the ports are freed, and the error says what is left.
        """
        if not self._folder(model).exists():
            return
        with self._alone(model):
            front = self._front(model)
            front.route({})
            front.await_silence((), DRAIN_S)
            try:
                with self._engine("Stopping", model) as client:
                    for container in self._containers(client, model):
                        container.stop(timeout=STOP_S)
                        container.remove(force=True)
            except ServingError:
                self._place.say(f"{model}: its ports are free, its container is left: stop again")
                raise
            finally:
                front.stop()
            shutil.rmtree(self._folder(model), ignore_errors=True)

    def logs(self, model: str, lines: int) -> str:
        """The last lines that the container wrote."""
        with self._engine("Reading the log of", model) as client:
            _, container = self._known(client, model)
            return log_tail(container, lines) if container else ""

    def render(self, deployment: Deployment) -> Mapping[str, str]:
        """`compose.yaml` and the files that it mounts."""
        from serving.targets.compose import compose_file

        wanted = served_by_tf_serving(deployment)
        compose = compose_file(wanted, image_of(wanted))
        return {"compose.yaml": compose, **config_files(wanted, wanted.labels)}

    def _replace(
        self,
        client: DockerClient,
        spec: ContainerSpec,
        image: str,
        wanted: Deployment,
        known: Remembered | None,
    ) -> Remembered:
        """Another container, which takes over when it answers."""
        name = f"benison-{docker_name(wanted.model)[:NAME_LETTERS]}-{uuid.uuid4().hex[:8]}"
        config = self._folder(wanted.model) / name
        config.mkdir(parents=True)
        front = self._front(wanted.model)
        container = None
        try:
            for file, text in config_files(wanted, {}).items():
                write_whole(config / file, text)
            self._place.say(f"{name}: starting {image}")
            container, ports = self._start(client, spec, name, config)
            kept = known.front if known else (0, 0)
            fresh = Remembered(name, ports, kept, image, wanted.numbers, {})
            fresh = self._lead(self._roll_out(fresh, container, wanted), wanted)
        except BaseException:
            if known and front.alive():
                with suppress(ServingError):
                    front.hold(known.front, known.ports)
            if container is not None:
                container.remove(force=True)
            shutil.rmtree(config, ignore_errors=True)
            raise
        if known:
            self._place.say(f"{name} answers; the one before ends when its requests are done")
            front.await_silence(fresh.ports, DRAIN_S)
        return fresh

    def _start(
        self, client: DockerClient, spec: ContainerSpec, name: str, config: Path
    ) -> tuple[Container, tuple[int, int]]:
        """A container that runs, and its ports: another process may take one before it does."""
        from docker.errors import APIError

        tries = START_TRIES
        while True:
            ports = free_ports()
            arguments = run_arguments(spec, name, self._place_id, config, ports)
            container = client.containers.create(**arguments)
            try:
                container.start()
            except BaseException as err:
                container.remove(force=True)
                tries -= 1
                if tries and isinstance(err, APIError) and port_is_taken(err):
                    continue
                raise
            return container, ports

    def _bring_to(self, known: Remembered, container: Container, wanted: Deployment) -> Remembered:
        """A running container to the desired versions and labels."""
        after = self._roll_out(known, container, wanted)
        self._remember(wanted.model, after)
        return self._lead(after, wanted)

    def _lead(self, known: Remembered, wanted: Deployment) -> Remembered:
        """Leads the ports that clients use to a container."""
        front = self._front(wanted.model)
        led = replace(known, front=front.choose(wanted.config, known.front))
        front.hold(led.front, led.ports)
        self._remember(wanted.model, led)
        return led

    def _roll_out(self, known: Remembered, container: Container, wanted: Deployment) -> Remembered:
        config = self._folder(wanted.model) / known.container
        addresses = (known.rest_url, known.grpc_address)
        server = ContainerServer(container, addresses, config, wanted)
        before = replace(
            tf_serving_model(wanted.model, known.versions, known.labels),
            default_version=wanted.default_version,
        )
        try:
            served, refused = roll_out(server, wanted, before, self._place.say)
        except ServingError:
            # It may be dead of a version, and must not be started again with that.
            write_whole(config / MODELS_FILE, to_text([before]))
            raise
        for why in refused:
            self._place.say(f"warning: {why}")
        return replace(known, versions=served.policy.versions, labels=dict(served.labels))

    def _sweep(self, client: DockerClient, keep: str, model: str) -> None:
        """Ends every other container of the model, also one that a killed command left."""
        for container in self._containers(client, model):
            if container.name != keep:
                container.stop(timeout=STOP_S)
                container.remove(force=True)
                shutil.rmtree(self._folder(model) / container.name, ignore_errors=True)

    def _tell_what_waits(self, asked: Deployment, wanted: Deployment) -> None:
        for number in sorted(set(asked.numbers) - set(wanted.numbers)):
            self._place.say(
                f"version {number} is not loaded: TensorFlow Serving would answer with it in the "
                f"place of version {asked.default_version} (deployment.canary allows it)"
            )

    def _containers(self, client: DockerClient, model: str) -> list[Container]:
        labels = [f"{MODEL_LABEL}={model}", f"{PLACE_LABEL}={self._place_id}"]
        found: list[Container] = client.containers.list(
            all=True, filters={"label": labels}, ignore_removed=True
        )
        return found

    def _known(
        self, client: DockerClient, model: str
    ) -> tuple[Remembered | None, Container | None]:
        known = self._remembered(model)
        if known is None:
            return None, None
        named = (c for c in self._containers(client, model) if c.name == known.container)
        return known, next(named, None)

    def _remembered(self, model: str) -> Remembered | None:
        return read_json_record(self._folder(model) / STATE, _parse)

    def _remember(self, model: str, known: Remembered) -> None:
        text = json.dumps(known.__dict__, indent=1)
        write_whole(self._folder(model) / STATE, text)

    def _folder(self, model: str) -> Path:
        return self._place.folder(model) / TARGET

    def _front(self, model: str) -> FrontProcess:
        return FrontProcess(self._folder(model), self._place.environ)

    @property
    def _place_id(self) -> str:
        """Tells this home's containers from those of another on the same engine."""
        return hashlib.sha256(str(self._place.home.resolve()).encode()).hexdigest()[:12]

    @contextmanager
    def _alone(self, model: str) -> Iterator[None]:
        folder = self._place.folder(model)
        with (
            translate_os_errors("Keeping what is deployed", folder),
            SupervisedServer(folder).locked(LOCK_S, self._place.say),
        ):
            yield

    @contextmanager
    def _engine(self, doing: str, model: str) -> Iterator[DockerClient]:
        with (
            translate_docker_errors(f"{doing} '{model}' in Docker failed"),
            engine(self._place.environ) as client,
        ):
            yield client


def _parse(value: Mapping[str, Any]) -> Remembered:
    return Remembered(
        container=value["container"],
        ports=(value["ports"][0], value["ports"][1]),
        front=(value["front"][0], value["front"][1]),
        image=value["image"],
        versions=tuple(value["versions"]),
        labels=dict(value["labels"]),
    )


def _status(
    model: str, known: Remembered, container: Container, front: FrontProcess
) -> TargetStatus:
    view = RestView(known.rest_url)
    versions: tuple[int, ...] = ()
    labels: dict[str, int] = {}
    detail = f"{container.name} {container.status}"
    state: State = _STATES.get(container.status, "stopped")
    if state == "running":
        try:
            versions = view.available(model)
            labels = view.labels(model, tuple(known.labels))
        except ServingError as err:
            state, detail = "starting", f"{detail}; {err.failed}"
        if state == "running" and versions != known.versions:
            state, detail = "starting", f"{detail}; {list(versions)} of {list(known.versions)}"
        if not front.alive():
            state, detail = "failed", f"{detail}; nothing holds its ports: deploy again"
    return TargetStatus(
        model,
        TARGET,
        state,
        rest_url=f"http://127.0.0.1:{known.front[0]}",
        grpc_address=f"127.0.0.1:{known.front[1]}",
        versions=versions,
        default_version=max(versions, default=None),
        labels=labels,
        detail=detail,
        facts={
            "container": container.name,
            "image": known.image,
            "restarts": container.attrs.get("RestartCount", 0),
        },
    )
