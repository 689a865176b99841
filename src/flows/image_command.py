"""`benison image build`: a registered model baked into an image of TensorFlow Serving."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.options import add_json, add_unblessed, add_verbose

_MIB = 1 << 20


def add_parser(commands: Any) -> None:
    """Adds `image`.

    Args:
        commands: The subparsers of `benison`.
    """
    group = commands.add_parser("image", help="a registered model as a Docker image")
    parts = group.add_subparsers(dest="image_command", required=True, metavar="COMMAND")
    leaf = parts.add_parser(
        "build",
        help="bake a registered model into an image that serves it with nothing mounted",
        description="Builds on the image that project.yaml names (`deployment.image`), by the "
        "Docker engine of DOCKER_HOST. The image holds the champion, the champion before, and "
        "TensorFlow Serving's configuration.",
    )
    leaf.add_argument("what", metavar="MODEL|PROJECT", help="MODEL, MODEL/version, or a folder")
    leaf.add_argument("--tag", default="", help="its name (default benison/MODEL:VERSION)")
    leaf.add_argument("--base", default="", metavar="IMAGE", help="another image below it")
    leaf.add_argument("--save", metavar="FILE", help="write it to FILE too, for `docker load`")
    add_unblessed(leaf)
    add_json(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=build)


def build(args: argparse.Namespace) -> int:
    """Builds the image of a registered model."""
    from dataclasses import replace

    from flows.deployer import DeployRequest, prepare
    from flows.logs import quiet
    from mlproject.settings import read_settings
    from serving.targets.image import build_image

    settings = read_settings()
    with quiet(settings.home, "image", args.verbose) as (stream, _):

        def say(line: str) -> None:
            print(line, file=stream, flush=True)

        wanted = prepare(settings, DeployRequest(args.what, "docker", args.unblessed), say)
        deployment = wanted.deployment
        if args.base:
            config = deployment.config.model_copy(update={"image": args.base})
            deployment = replace(deployment, config=config)
        save = Path(args.save) if args.save else None
        built = build_image(deployment, os.environ, say, tag=args.tag, save=save)
    if args.json:
        print(json.dumps(asdict(built)))
    else:
        versions = ", ".join(map(str, built.versions))
        print(f"{built.tag}: versions {versions}, {built.size_bytes / _MIB:.1f} MiB, {built.id}")
        print(f"docker run --rm -p 127.0.0.1:8501:8501 -p 127.0.0.1:8500:8500 {built.tag}")
    return 0
