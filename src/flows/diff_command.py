"""`benison diff`: how two registered versions differ, from what MLflow holds of them.

Exit codes: 0 the same; 5 they differ, or not everything of them could be compared; 1 error; 2
usage.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_verbose
from mlproject.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from mlproject.version_diff import VersionDiff

EXIT_SAME, EXIT_DIFFERENT = 0, 5
MODEL_HELP = "MODEL (its champion), MODEL@alias or MODEL/version"


def add_parser(commands: Any) -> None:
    """Adds `diff`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "diff",
        help="compare two registered versions",
        description="Stage and blessing, parameters, data and its statistics, schema, metrics on "
        "each slice, code: what differs from the first version to the second. Exit codes: 0 the "
        "same, 5 they differ or could not be compared in everything, 2 usage, 1 error.",
    )
    leaf.add_argument("before", metavar="FIRST", help=MODEL_HELP)
    leaf.add_argument("after", metavar="SECOND", help="the same of the second")
    leaf.add_argument("--all", action="store_true", help="show what is the same, too")
    leaf.add_argument("--json", action="store_true", help="print the comparison as JSON")
    leaf.add_argument("--out", metavar="FILE", help="write a page too: .html")
    add_verbose(leaf)
    leaf.set_defaults(run=diff)


def diff(args: argparse.Namespace) -> int:
    """Compares two versions."""
    import tempfile

    from flows.logs import quiet
    from mlproject.registry import Registry
    from mlproject.settings import read_settings

    out = _page(args.out)
    settings = read_settings()
    with (
        quiet(settings.home, "diff", args.verbose),
        tempfile.TemporaryDirectory(prefix="benison-diff-") as folder,
    ):
        from mlproject.version_diff import compare_versions, read_evidence

        registry = Registry(settings)
        versions = [registry.resolve(reference) for reference in (args.before, args.after)]
        sides = []
        for place, version in enumerate(versions):
            into = Path(folder) / str(place)
            into.mkdir()
            sides.append(read_evidence(settings, registry, version, into))
        found = compare_versions(*sides)
        if out is not None:
            _write(found, out)
    _print(found, args, out)
    return EXIT_SAME if found.is_same else EXIT_DIFFERENT


def _print(found: VersionDiff, args: argparse.Namespace, out: Path | None) -> None:
    from flows.diff_table import print_diff

    if args.json:
        print(json.dumps(found.as_dict(every=args.all)))
        return
    print_diff(found, args.all)
    if out is not None:
        print(f"\nWritten  {out}")


def _page(name: str | None) -> Path | None:
    if name is None:
        return None
    out = Path(name).absolute()
    if out.suffix.lower() != ".html":
        raise ConfigError(
            "Writing the page failed", received=name, expected="a file ending in .html"
        )
    return out


def _write(found: VersionDiff, out: Path) -> None:
    from mlproject.version_diff.page import render

    try:
        out.write_text(render(found), encoding="utf-8")
    except OSError as err:
        raise StorageError(
            "Writing the page failed",
            received=str(err),
            expected="a file in a folder that exists and can be written",
        ) from err
