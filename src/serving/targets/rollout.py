"""Brings a running server from one set of versions to another, without a failed request.

1. The versions of before and the wanted ones are loaded together; labels and default stay.
2. The new default version answers, and so does its sample row.
3. Labels and default move to the wanted versions.
4. Versions that nobody wants any more are let go.

What goes wrong in 1 to 3 ends with the configuration of before in force.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from mlproject.errors import ServingError
from serving.model_config import ModelConfig, VersionPolicy
from serving.targets.base import Deployment

POLL_S = 0.1
LABELS_WITHIN_S = 30.0
OLD_NEWS_S = 5.0  # for which a failure may be the one of an earlier attempt
AVAILABLE, ENDED = "AVAILABLE", "END"


@dataclass(frozen=True)
class VersionState:
    """A version as a server's status tells of it.

    Attributes:
        state: `AVAILABLE`, `LOADING`, `END`..., TensorFlow Serving's names.
        error: Why it ended; empty where it ended well or has not ended.
    """

    state: str
    error: str = ""


class ConfiguredServer(Protocol):
    """A running server whose configuration can be changed. A ServingError says that it is gone."""

    def apply(self, config: ModelConfig) -> None:
        """Puts a configuration in force; it may take effect a little later."""
        ...

    def states(self, model: str) -> Mapping[int, VersionState]:
        """The versions that the server knows."""
        ...

    def default_version(self, model: str) -> int | None:
        """The version that answers when none is named."""
        ...

    def label_version(self, model: str, label: str) -> int | None:
        """The version of a label; None where the server does not know the label."""
        ...

    def ask(self, model: str, version: int, row: Mapping[str, object]) -> None:
        """Asks a version one raw row; raises a ServingError where it refuses."""
        ...


def wanted_config(deployment: Deployment, base_path: str) -> ModelConfig:
    """The configuration that a deployment comes to.

    Args:
        deployment: The desired state.
        base_path: Where the server sees the model's versions.
    """
    return ModelConfig(
        name=deployment.model,
        base_path=base_path,
        policy=specific(deployment.numbers),
        labels=dict(deployment.labels),
        default_version=deployment.default_version,
    )


def specific(versions: tuple[int, ...]) -> VersionPolicy:
    """The policy that loads exactly these versions."""
    return VersionPolicy("specific", versions=tuple(sorted(set(versions))))


def roll_out(
    server: ConfiguredServer,
    deployment: Deployment,
    before: ModelConfig,
    say: Callable[[str], None],
) -> tuple[ModelConfig, tuple[str, ...]]:
    """Brings a server to the desired state.

    Args:
        server: It runs, with `before` in force.
        deployment: The desired state.
        before: The configuration in force.
        say: Takes a line of progress.

    Returns:
        The configuration that is in force now, and why versions beside the default one (the
        challenger, the one before) could not be served; they and their labels are left out.

    Raises:
        ServingError: The new default version does not load or refuses its sample row, or the
            server is gone. The configuration of before is in force again.
    """
    wanted = wanted_config(deployment, before.base_path)
    together = replace(before, policy=specific(before.policy.versions + wanted.policy.versions))
    earlier = server.states(deployment.model)
    try:
        if together != before:
            server.apply(together)
        refused = _await_versions(server, deployment, earlier, say)
        _ask_samples(server, deployment, refused)
        served = _without(wanted, refused)
        if (served.labels, served.default_version) != (before.labels, before.default_version):
            server.apply(replace(served, policy=together.policy))
            _await_labels(server, served)
            say(f"{served.name}: version {served.default_version} answers")
    except ServingError:
        with suppress(ServingError):  # it may be gone: the first error says why
            server.apply(before)
        raise
    server.apply(served)
    return served, tuple(refused.values())


def _await_versions(
    server: ConfiguredServer,
    deployment: Deployment,
    earlier: Mapping[int, VersionState],
    say: Callable[[str], None],
) -> dict[int, str]:
    """Waits until every wanted version has come to answer or failed; why those failed."""
    model, default = deployment.model, deployment.default_version
    refused: dict[int, str] = {}
    pending = set(deployment.numbers)
    limit_s = deployment.config.start_timeout_s
    began = time.monotonic()
    while pending:
        states = server.states(model)
        for number in sorted(pending):
            now = states.get(number, VersionState("unknown"))
            waited_s = time.monotonic() - began
            if now.state == ENDED and now.error:
                if now == earlier.get(number) and waited_s < OLD_NEWS_S:
                    continue
                refused[number] = now.error
            elif now.state != AVAILABLE:
                continue
            else:
                say(f"{model}/{number}: loaded")
            pending.discard(number)
        if default in refused:
            raise _not_served(model, default, refused[default])
        if pending and time.monotonic() - began > limit_s:
            late = f"not loaded within {limit_s:g} s"
            if default in pending:
                raise _not_served(model, default, late)
            refused.update(dict.fromkeys(pending, late))
            break
        if pending:
            time.sleep(POLL_S)
    return {number: f"version {number}: {why}" for number, why in refused.items()}


def _ask_samples(server: ConfiguredServer, deployment: Deployment, refused: dict[int, str]) -> None:
    """Asks each loaded version its sample row."""
    for version in deployment.versions:
        if not version.sample or version.number in refused:
            continue
        try:
            server.ask(deployment.model, version.number, version.sample)
        except ServingError as err:
            why = f"it refuses its sample row: {err.received or err.failed}"
            if version.number == deployment.default_version:
                raise _not_served(deployment.model, version.number, why) from err
            refused[version.number] = f"version {version.number}: {why}"


def _await_labels(server: ConfiguredServer, served: ModelConfig) -> None:
    """Waits until the server answers by the labels and the default of a configuration."""
    deadline = time.monotonic() + LABELS_WITHIN_S
    while True:
        default = server.default_version(served.name)
        found = {label: server.label_version(served.name, label) for label in served.labels}
        if found == dict(served.labels) and default == served.default_version:
            return
        if time.monotonic() > deadline:
            raise ServingError(
                f"The server does not take over the labels of '{served.name}'",
                received=f"default version {default}, labels {found}",
                expected=f"default version {served.default_version}, labels {dict(served.labels)}",
                next_step="look at its log; deploy again",
            )
        time.sleep(POLL_S)


def _without(wanted: ModelConfig, refused: Mapping[int, str]) -> ModelConfig:
    kept = tuple(number for number in wanted.policy.versions if number not in refused)
    labels = {label: number for label, number in wanted.labels.items() if number not in refused}
    return replace(wanted, policy=specific(kept), labels=labels)


def _not_served(model: str, version: int, why: str) -> ServingError:
    return ServingError(
        f"Version {version} of '{model}' does not come to answer",
        received=why,
        expected="a version that loads and answers; what was served before stays",
        next_step="look at the server's log: `benison deployment logs " + model + "`",
    )
