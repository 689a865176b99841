"""`benison deploy` and `benison deployment`: models to their targets, and what is served there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flows.deployment_table import show_one, show_table
from flows.options import add_json, add_unblessed, add_verbose
from mlproject.errors import ConfigError, PlatformError
from mlproject.settings import Settings, read_settings

if TYPE_CHECKING:
    from flows.deployer import Prepared
    from serving.targets.base import Place, TargetStatus

TARGETS = ("local", "docker", "kubernetes", "gcs")
LOG_LINES = 50
NOT_RUNNING = 1  # exit code


def add_parser(commands: Any) -> None:
    """Adds `deploy` and `deployment`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "deploy",
        help="serve a registered model: on this machine, in Docker, in Kubernetes, from gs://",
        description="Serves the champion (label stable), the challenger (label canary) and the "
        "champion before, kept loaded. Asked again, it changes what differs. A version that does "
        "not come to answer replaces nothing.",
    )
    leaf.add_argument("what", metavar="MODEL|PROJECT", help="MODEL, MODEL/version, or a folder")
    _add_target(leaf, "instead of the one that project.yaml names (`deployment.target`)")
    leaf.add_argument(
        "--render", metavar="DIR", help="write what would be applied to DIR, and apply nothing"
    )
    add_unblessed(leaf)
    _add_rest(leaf)
    leaf.set_defaults(run="flows.deploy_command:deploy")

    group = commands.add_parser("deployment", help="what is deployed from this machine")
    parts = group.add_subparsers(dest="deployment_command", required=True, metavar="COMMAND")
    leaf = parts.add_parser(
        "status", help="what is served; exit code 1 where a model named is not running"
    )
    leaf.add_argument("model", nargs="?", metavar="MODEL", help="one model (default: all)")
    _add_target(leaf, "of one target")
    _add_rest(leaf)
    leaf.set_defaults(run="flows.deploy_command:status")

    leaf = parts.add_parser("reload", help="bring a running server to what the registry says now")
    leaf.add_argument("model", metavar="MODEL")
    _add_target(leaf, "where it runs")
    _add_rest(leaf)
    leaf.set_defaults(run="flows.deploy_command:reload")

    leaf = parts.add_parser("logs", help="the last lines that the server wrote")
    leaf.add_argument("model", metavar="MODEL")
    _add_target(leaf, "where it runs")
    leaf.add_argument(
        "--lines", type=_lines, default=LOG_LINES, metavar="N", help=f"default {LOG_LINES}"
    )
    add_verbose(leaf)
    leaf.set_defaults(run="flows.deploy_command:logs")

    leaf = parts.add_parser("stop", help="end serving once the requests under way are answered")
    leaf.add_argument("model", metavar="MODEL")
    _add_target(leaf, "where it runs")
    leaf.add_argument(
        "--prune",
        type=int,
        metavar="N",
        help="gcs: remove all but the N newest versions from the base path",
    )
    add_verbose(leaf)
    leaf.set_defaults(run="flows.deploy_command:stop")


def deploy(args: argparse.Namespace) -> int:
    """Deploys a model, or writes what would be applied."""
    from flows.deployer import DeployRequest, prepare, remembered

    settings = read_settings()
    request = DeployRequest(args.what, args.target, args.unblessed)
    with _place(settings, args) as place:
        prepared = prepare(settings, request, place.say)
        if args.render is not None:
            status, rendered = None, _render(place, prepared, Path(args.render))
        else:
            if args.unblessed:
                place.say("warning: it may be unblessed: for a trial, not for traffic")
            status = remembered(place, prepared).deploy(prepared.deployment)
    if status is None:
        return _show_rendered(rendered, args.json)
    show_one(status, args.json)
    return 0


def status(args: argparse.Namespace) -> int:
    """Shows what is served."""
    from flows.deployer import chosen_targets, known_deployments

    with _place(read_settings(), args) as place:
        if args.model:
            known = {args.model: chosen_targets(place, args.model, args.target)}
        else:
            known = known_deployments(place)
        found = [
            _status_of(place, model, target)
            for model, targets in known.items()
            for target in targets
            if args.target in ("", target)
        ]
    if args.json:
        print(json.dumps([asdict(one) for one in found]))
    elif not found:
        print("Nothing was deployed from this machine. Next: benison deploy MODEL")
    else:
        show_table(found)
    runs = all(one.state == "running" for one in found)
    return 0 if runs or not args.model else NOT_RUNNING


def reload(args: argparse.Namespace) -> int:
    """Brings a running server to the registry's state."""
    from flows.deployer import DeployRequest, one_target, prepare
    from serving.targets.base import open_target

    settings = read_settings()
    with _place(settings, args) as place:
        name = one_target(place, args.model, args.target)
        prepared = prepare(settings, DeployRequest(args.model, name), place.say)
        status = open_target(name, place).reload(prepared.deployment)
    show_one(status, args.json)
    return 0


def logs(args: argparse.Namespace) -> int:
    """Prints the last lines of a server's log."""
    from flows.deployer import one_target
    from serving.targets.base import open_target

    with _place(read_settings(), args) as place:
        name = one_target(place, args.model, args.target)
        text = open_target(name, place).logs(args.model, args.lines)
    print(text)
    return 0


def stop(args: argparse.Namespace) -> int:
    """Ends serving; in a base path of files it removes what is asked."""
    from flows.deployer import one_target
    from serving.targets.base import Prunes, open_target

    with _place(read_settings(), args) as place:
        name = one_target(place, args.model, args.target)
        target = open_target(name, place)
        if args.prune is not None:
            if not isinstance(target, Prunes) or args.prune < 1:
                raise ConfigError(
                    "Reading --prune failed",
                    received=f"--prune {args.prune} --target {name}",
                    expected="1 or more, of a target that keeps versions as files (gcs)",
                )
            removed = target.prune(args.model, args.prune)
        else:
            target.stop(args.model)
            removed = ()
    what = ", ".join(map(str, removed)) or "nothing"
    print(f"{args.model}: " + ("stopped" if args.prune is None else f"removed {what}"))
    return 0


def _status_of(place: Place, model: str, target: str) -> TargetStatus:
    """A status; what keeps one target from answering keeps no other from being shown."""
    from serving.targets.base import TargetStatus, open_target

    try:
        return open_target(target, place).status(model)
    except PlatformError as err:
        return TargetStatus(model, target, "failed", detail=f"not known: {err}")


def _render(place: Place, prepared: Prepared, folder: Path) -> dict[Path, str]:
    """Writes what a target would apply; file -> text."""
    from mlproject.artifacts import translate_os_errors
    from serving.targets.base import Renders, open_target

    target = open_target(prepared.target, place)
    if not isinstance(target, Renders):
        raise ConfigError(
            f"The target '{prepared.target}' has nothing to render",
            received="--render",
            expected="--target kubernetes or --target docker",
        )
    files = {folder / name: text for name, text in target.render(prepared.deployment).items()}
    with translate_os_errors("Writing what would be applied", folder):
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return files


def _show_rendered(files: dict[Path, str], as_json: bool) -> int:
    if as_json:
        print(json.dumps({str(file): text for file, text in files.items()}))
    else:
        print("\n".join(f"# {file}\n{text}" for file, text in files.items()))
    return 0


@contextmanager
def _place(settings: Settings, args: argparse.Namespace) -> Iterator[Place]:
    """Where targets keep what they know; libraries' words go to a log, progress to the screen."""
    from flows.deployer import place_of
    from flows.logs import quiet

    with quiet(settings.home, args.command, args.verbose) as (stream, _):
        yield place_of(settings, _sayer(stream))


def _sayer(stream: IO[str]) -> Callable[[str], None]:
    def say(line: str) -> None:
        print(line, file=stream, flush=True)

    return say


def _add_target(leaf: argparse.ArgumentParser, meaning: str) -> None:
    # `mlflow run` gives an empty word for none.
    names = f"{', '.join(TARGETS)}: {meaning}"
    leaf.add_argument("--target", choices=(*TARGETS, ""), default="", metavar="T", help=names)


def _add_rest(leaf: argparse.ArgumentParser) -> None:
    add_json(leaf)
    add_verbose(leaf)


def _lines(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number
