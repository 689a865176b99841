"""`benison copy`: a version to another registry, from development to production."""

from __future__ import annotations

import argparse
import json
import shlex
from typing import TYPE_CHECKING, Any

from flows.options import add_model, add_verbose, add_who

if TYPE_CHECKING:
    from mlproject.registry.copy import Copied


def add_parser(commands: Any) -> None:
    """Adds `copy`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "copy",
        help="take a version to another registry, as challenger there",
        description="Its files, signature, blessing, evidence and lineage go along; the digest of "
        "its files is checked on both sides. Secrets of the target: BENISON_TO_USERNAME and "
        "BENISON_TO_PASSWORD (docs/environments.md).",
    )
    add_model(leaf)
    leaf.add_argument(
        "--to",
        required=True,
        metavar="TRACKING_URI",
        help="http://HOST:5000, sqlite:////FOLDER/mlflow.db or postgresql://HOST/DATABASE",
    )
    leaf.add_argument("--as", dest="name", default="", metavar="NAME", help="its name there")
    leaf.add_argument(
        "--artifacts",
        default="",
        metavar="URI",
        help="where its files go, if the target is a database that does not know the model yet",
    )
    leaf.add_argument(
        "--reason", default="", help="why; kept in the target's ledger (default: the copy itself)"
    )
    add_who(leaf)
    leaf.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_verbose(leaf)
    leaf.set_defaults(run=copy)


def copy(args: argparse.Namespace) -> int:
    """Copies a version, and says how it can be promoted there."""
    from flows.logs import quiet
    from mlproject.examples.locations import as_uri
    from mlproject.registry.stores import source_store, target_store
    from mlproject.settings import read_settings

    settings = read_settings()
    source, target = source_store(settings), target_store(args.to, settings)
    artifacts = as_uri(args.artifacts) if args.artifacts else ""
    with quiet(settings.home, "copy", args.verbose) as (console, _):
        from mlproject.registry.copy import CopyRequest, copy_version

        request = CopyRequest(args.model, args.name, args.reason, args.who, artifacts)
        done = copy_version(
            source, target, request, lambda line: print(f"  {line}", file=console, flush=True)
        )
    print(json.dumps(done.as_dict()) if args.json else "\n".join(_lines(done)))
    return 0


def _lines(done: Copied) -> list[str]:
    from mlproject.registry.copy import sized

    what = f"{done.files} files, {sized(done.size_bytes)}"
    if done.was_there:
        what = "copied before; no second version was made"
    there = f"{done.name}/{done.version}"
    next_step = "its stage there is its registry's to change"
    lines = [
        f"{done.source} -> {there} of {done.target}",
        f"  stage {done.stage}, model digest {done.digest[:12]}; {what}; {done.seconds:.1f} s",
    ]
    if done.stage == "staging":
        place = f"MLFLOW_TRACKING_URI={shlex.quote(done.target)}"
        next_step = f"{place} benison promote {shlex.quote(there)} --reason WHY"
    return [*lines, f"Next  {next_step}"]
