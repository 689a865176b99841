"""From a registered model to a served one: what is wanted, and the target asked. Without Prefect.

Which target a model was deployed to from this machine stands in
`<home>/deployments/<model>/targets.json`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.serve_guard import check_blessed, resolve_guarded
from mlproject.config import PROJECT_FILE, load_project
from mlproject.errors import ConfigError, RegistryError, closest
from mlproject.registry import CHAMPION_ALIAS, PREVIOUS_ALIAS, Registry, VersionInfo
from mlproject.registry.names import CHALLENGER_ALIAS
from mlproject.registry.values import parse_reference
from mlproject.sections import DeploymentSection
from mlproject.settings import Settings
from serving.targets.base import DEPLOYMENTS, Deployment, Place, Target, open_target

if TYPE_CHECKING:
    from serving.targets.desired import Wanted

TARGETS_FILE = "targets.json"


@dataclass(frozen=True)
class DeployRequest:
    """What is to be deployed.

    Attributes:
        what: `MODEL`, `MODEL@alias`, `MODEL/version`, or a project's folder.
        target: Instead of the one that its configuration names; empty for that one.
        unblessed: Whether a version by its number may be unblessed.
    """

    what: str
    target: str = ""
    unblessed: bool = False


@dataclass(frozen=True)
class Prepared:
    """A deployment whose files are in place, and the target that it goes to."""

    deployment: Deployment
    target: str


def prepare(settings: Settings, request: DeployRequest, say: Callable[[str], None]) -> Prepared:
    """Finds what is wanted, and exports it.

    Raises:
        ConfigError: The project, the target or a flag is wrong.
        RegistryError: There is no such version, it may not be served, or its files are damaged.
    """
    from mlproject.registry.deployment_settings import keep_deployment, read_deployment
    from serving.targets.desired import desired_deployment

    reference, section = _of_project(request.what)
    registry = Registry(settings)
    wanted = wanted_versions(settings, registry, reference, request.unblessed, say)
    name = wanted.default.name
    if section is None:
        section = read_deployment(settings, registry.client, name)
    else:
        keep_deployment(settings, registry.client, name, section)
    deployment = desired_deployment(registry, wanted, section, settings.serving_root, say)
    return Prepared(deployment, request.target or section.target)


def wanted_versions(
    settings: Settings,
    registry: Registry,
    reference: str,
    unblessed: bool,
    say: Callable[[str], None],
) -> Wanted:
    """The versions to serve: champion, challenger and previous; or one by its number or alias.

    A challenger or previous version that is not blessed is left out, and said.

    Raises:
        RegistryError: There is no such version, or it is not blessed.
        ConfigError: `unblessed` was asked for the champion.
    """
    from serving.targets.desired import Wanted

    default = resolve_guarded(settings, registry, reference, unblessed=unblessed)
    _, alias, number = parse_reference(reference)
    if number is not None or alias not in (None, CHAMPION_ALIAS):
        return Wanted(default, labelled=False)
    beside = {
        alias: _blessed(registry, f"{default.name}@{alias}", say)
        for alias in (CHALLENGER_ALIAS, PREVIOUS_ALIAS)
    }
    return Wanted(default, beside[CHALLENGER_ALIAS], beside[PREVIOUS_ALIAS])


def place_of(settings: Settings, say: Callable[[str], None]) -> Place:
    """Where targets keep what they know."""
    return Place(settings.home, os.environ, say)


def remembered(place: Place, prepared: Prepared) -> Target:
    """The target of a deployment; that it has something of the model is kept before it has."""
    target = open_target(prepared.target, place)
    model = prepared.deployment.model
    _remember(place, model, prepared.target)
    return target


def known_deployments(place: Place) -> dict[str, tuple[str, ...]]:
    """Model -> the targets it was deployed to from this machine."""
    folder = place.home / DEPLOYMENTS
    files = sorted(folder.glob(f"*/{TARGETS_FILE}"))
    return {file.parent.name: _targets(file) for file in files}


def chosen_targets(place: Place, model: str, target: str) -> tuple[str, ...]:
    """The targets that a command about a model means.

    Raises:
        ConfigError: The model was not deployed from this machine, or not to that target.
    """
    known = known_deployments(place)
    if model not in known:
        raise ConfigError(
            f"'{model}' was not deployed from this machine",
            received=model,
            expected=closest(model, known),
            next_step=f"deploy it: benison deploy {model}",
        )
    if target and target not in known[model]:
        raise ConfigError(
            f"'{model}' was not deployed there",
            received=f"--target {target}",
            expected=closest(target, known[model]),
        )
    return (target,) if target else known[model]


def one_target(place: Place, model: str, target: str) -> str:
    """The one target that a command about a model means.

    Raises:
        ConfigError: There are several, or none.
    """
    found = chosen_targets(place, model, target)
    if len(found) > 1:
        raise ConfigError(
            f"'{model}' was deployed to several targets",
            received="no --target",
            expected="--target " + " or --target ".join(found),
        )
    return found[0]


def _of_project(what: str) -> tuple[str, DeploymentSection | None]:
    """Model and configuration of a project's folder; a model's name as it is."""
    path = Path(what)
    if not (path / PROJECT_FILE).is_file() and path.name != PROJECT_FILE:
        return what, None
    config = load_project(path).config
    return config.name, config.deployment


def _blessed(registry: Registry, reference: str, say: Callable[[str], None]) -> VersionInfo | None:
    name, _, alias = reference.partition("@")
    try:
        version = registry.resolve(reference)
    except RegistryError:  # no version has the alias
        return None
    try:
        check_blessed(version)
    except RegistryError as err:
        say(f"{name}/{version.version} ({alias}) is left out: {err.received}")
        return None
    return version


def _remember(place: Place, model: str, target: str) -> None:
    from mlproject.artifacts import translate_os_errors
    from mlproject.whole_file import write_whole

    file = place.folder(model) / TARGETS_FILE
    with translate_os_errors("Keeping where the model is deployed", place.folder(model)):
        file.parent.mkdir(parents=True, exist_ok=True)
        targets = sorted({*_targets(file), target})
        write_whole(file, json.dumps(targets))


def _targets(file: Path) -> tuple[str, ...]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return tuple(str(name) for name in value) if isinstance(value, list) else ()
