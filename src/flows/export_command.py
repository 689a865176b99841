"""`benison export`: a registered version as TensorFlow Serving's, TFLite's, Keras's or Docker's."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_json, add_model, add_unblessed, add_verbose
from mlproject.errors import ConfigError

if TYPE_CHECKING:
    from mlproject.registry import VersionInfo
    from mlproject.settings import Settings
    from serving.exports.version import Exported

SAVED_MODEL, TFLITE, KERAS, IMAGE = "saved_model", "tflite", "keras", "image"
SUFFIXES = {TFLITE: ".tflite", KERAS: ".keras"}


def add_parser(commands: Any) -> None:
    """Adds `export`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "export",
        help="write a registered version in a form that others take",
        description="saved_model: OUT/<version>/, as TensorFlow Serving takes it. tflite: one "
        "file, compared with the SavedModel before it is written. keras: the .keras file, which "
        "takes transformed features. image: a Docker image of TensorFlow Serving as `docker "
        "load` takes it.",
    )
    add_model(leaf)
    leaf.add_argument("--to", required=True, choices=(SAVED_MODEL, TFLITE, KERAS, IMAGE))
    leaf.add_argument("--out", required=True, metavar="PATH", help="the file, or the base folder")
    leaf.add_argument("--replace", action="store_true", help="replace what is there")
    add_unblessed(leaf)
    add_json(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=export)


def export(args: argparse.Namespace) -> int:
    """Writes a registered version."""
    from flows.logs import quiet
    from mlproject.settings import read_settings

    settings = read_settings()
    out = _out(args)
    with quiet(settings.home, "export", args.verbose) as (stream, _):
        from flows.serve_guard import resolve_guarded
        from mlproject.registry import Registry
        from serving.exports import version as exports

        def say(line: str) -> None:
            print(line, file=stream, flush=True)

        registry = Registry(settings)
        version = resolve_guarded(settings, registry, args.model, unblessed=args.unblessed)
        if args.to == IMAGE:
            done = _export_image(settings, version, out, args, say)
        else:
            writers: dict[str, Callable[..., Exported]] = {
                SAVED_MODEL: exports.export_saved_model,
                TFLITE: exports.export_tflite,
                KERAS: exports.export_keras,
            }
            done = writers[args.to](registry, version, out, replace=args.replace)
    about = {"model": version.name, "version": version.version, "to": args.to}
    if args.json:
        print(json.dumps({**about, "path": str(done.path), **done.facts}))
    else:
        facts = ", ".join(f"{name.replace('_', ' ')} {_shown(v)}" for name, v in done.facts.items())
        print(f"{done.path}: {version.name}/{version.version} as {args.to}; {facts}")
    return 0


def _out(args: argparse.Namespace) -> Path:
    suffix = SUFFIXES.get(args.to, "")
    if "://" in args.out:
        raise ConfigError(
            "Reading --out failed",
            received=args.out,
            expected="a path of this machine; `benison deploy --target gcs` writes to a bucket",
        )
    if suffix and not args.out.endswith(suffix):
        raise ConfigError(
            "Reading --out failed", received=args.out, expected=f"a file ending in {suffix}"
        )
    return Path(args.out).absolute()


def _export_image(
    settings: Settings,
    version: VersionInfo,
    out: Path,
    args: argparse.Namespace,
    say: Callable[[str], None],
) -> Exported:
    import os

    from flows.deployer import DeployRequest, prepare
    from serving.exports.placing import check_free
    from serving.exports.version import Exported
    from serving.targets.image import build_image

    check_free(out, replace=args.replace)
    reference = f"{version.name}/{version.version}"
    wanted = prepare(settings, DeployRequest(reference, "docker", args.unblessed), say)
    built = build_image(wanted.deployment, os.environ, say, save=out)
    return Exported(out, {"tag": built.tag, "id": built.id, "bytes": out.stat().st_size})


def _shown(value: str | float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
