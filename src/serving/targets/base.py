"""What a deployment is, what a target does, and the targets by name.

A target's module is imported when the target is opened, and has one function
`open_target(place: Place) -> Target`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

from mlproject.errors import ConfigError, closest
from mlproject.sections.deployment import DeploymentSection

STABLE, CANARY = "stable", "canary"
DEPLOYMENTS = "deployments"  # below the home: what this machine has deployed, a folder a model
BASE_PATH_VARIABLE = "BENISON_DEPLOY_BASE_PATH"
TOKEN_VARIABLE = "BENISON_SERVING_TOKEN"

State = Literal["running", "starting", "failed", "stopped", "absent"]
_MODULES = {
    "local": "serving.targets.local",
    "docker": "serving.targets.docker",
    "kubernetes": "serving.targets.kubernetes",
    "gcs": "serving.targets.gcs",
}


@dataclass(frozen=True)
class DeployedVersion:
    """One version that is to be served.

    Attributes:
        number: Its number in the registry, and in requests.
        folder: The exported SavedModel, checked by its digest: `<base path>/<number>/`.
        digest: SHA-256 of its files (`registry.integrity.model_digest`).
        sample: A raw row to ask it before it takes over; empty where none was registered.
    """

    number: int
    folder: Path
    digest: str
    sample: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """What is to be served of a model: the desired state.

    Attributes:
        model: The registered model, and its name in requests.
        versions: What is kept loaded: the champion, the challenger and the previous one.
        default_version: The one that answers when a request names none: the champion. TensorFlow
            Serving has no such setting, and answers with the largest number that it has loaded:
            see `tf_serving_config.served_by_tf_serving`.
        labels: Label -> version: `stable` the champion, `canary` the challenger.
        config: The section `deployment` of its project.
    """

    model: str
    versions: tuple[DeployedVersion, ...]
    default_version: int
    labels: Mapping[str, int]
    config: DeploymentSection

    @property
    def base_path(self) -> Path:
        """The folder that holds every version's folder on this machine."""
        return self.versions[0].folder.parent

    @property
    def numbers(self) -> tuple[int, ...]:
        """The versions' numbers, ascending."""
        return tuple(sorted(version.number for version in self.versions))

    def version(self, number: int) -> DeployedVersion:
        """One of the versions."""
        return next(version for version in self.versions if version.number == number)


@dataclass(frozen=True)
class TargetStatus:
    """What a target says of a model.

    Attributes:
        model: The registered model.
        target: The target's name.
        state: `running` answers with every wanted version; `failed` needs a person.
        rest_url: Of a server, such as `http://127.0.0.1:8501`; empty where there is none.
        grpc_address: Such as `127.0.0.1:8500`; empty where there is none.
        versions: The versions that answer now (gcs: that lie whole in the base path).
        default_version: The one that answers when none is named; None where it is not known.
        labels: Label -> version, as the target serves them.
        detail: One line for a person: what runs, or the last error.
        facts: What else there is to show (`pid`, `restarts`, `image`...), as JSON values.
    """

    model: str
    target: str
    state: State
    rest_url: str = ""
    grpc_address: str = ""
    versions: tuple[int, ...] = ()
    default_version: int | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where targets keep what they know, and what the environment gives them.

    Attributes:
        home: The platform's home (`BENISON_HOME`).
        environ: Environment variables: hosts and secrets come from there alone.
        say: Takes a line of progress.
    """

    home: Path
    environ: Mapping[str, str]
    say: Callable[[str], None] = lambda line: None

    def folder(self, model: str) -> Path:
        """`<home>/deployments/<model>`: what a target remembers of a model on this machine.

        Raises:
            ConfigError: The name is no name of a folder.
        """
        if model in ("", ".", "..") or "/" in model or "\0" in model:
            raise ConfigError(
                "A model of this name cannot be deployed",
                received=repr(model),
                expected="a name that a folder can have",
            )
        return self.home / DEPLOYMENTS / model


class Target(Protocol):
    """A place that serves models. Every method may raise a ServingError or a ConfigError."""

    def deploy(self, deployment: Deployment) -> TargetStatus:
        """Serves the desired state; asked again, it changes what differs and nothing else.

        Returns when the new default version answers, its sample row too. What does not come to
        answer never replaces what does: then a ServingError gives the reason.
        """
        ...

    def status(self, model: str) -> TargetStatus:
        """What is served now; `absent` where this target has nothing of the model."""
        ...

    def reload(self, deployment: Deployment) -> TargetStatus:
        """Brings a running server to the desired state; fails where none runs."""
        ...

    def stop(self, model: str) -> None:
        """Ends serving, once the requests under way are answered; no error where none runs."""
        ...

    def logs(self, model: str, lines: int) -> str:
        """The last lines of what the server wrote."""
        ...


@runtime_checkable
class Renders(Protocol):
    """A target that can write what it would apply."""

    def render(self, deployment: Deployment) -> Mapping[str, str]:
        """File name -> text; touches nothing."""
        ...


@runtime_checkable
class Prunes(Protocol):
    """A target that keeps versions as files, and takes old ones away when it is asked."""

    def prune(self, model: str, keep: int) -> tuple[int, ...]:
        """Removes all but the newest versions, and never one that is deployed; which were."""
        ...


def target_names() -> tuple[str, ...]:
    """The targets' names."""
    return tuple(_MODULES)


def open_target(name: str, place: Place) -> Target:
    """A target by its name.

    Raises:
        ConfigError: There is no such target, or the environment lacks what it needs.
    """
    module = _MODULES.get(name)
    if module is None:
        raise ConfigError(
            "There is no such deployment target", received=name, expected=closest(name, _MODULES)
        )
    return cast(Target, importlib.import_module(module).open_target(place))
