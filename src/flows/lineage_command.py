"""`benison lineage`: what a version was made of and where it went; and what came from some data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_verbose
from mlproject.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from rich.tree import Tree

    from mlproject.lineage import Lineage
    from mlproject.lineage.text import Branch
    from mlproject.settings import Settings

FORMATS = (".svg", ".html", ".json")
PIPE_WIDTH = 20_000  # of a line where no terminal says how wide it is: nothing is wrapped


def add_parser(commands: Any) -> None:
    """Adds `lineage`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "lineage",
        help="show what a model version was made of, or what came from some data",
        description="Data, statistics, schema, code, parameters, parent model, evaluation and "
        "deployments of a version, or the versions that came from some data. Everything is read "
        "from MLflow: no other file of the machine that trained is needed.",
    )
    leaf.add_argument("model", nargs="?", help="MODEL (its champion), MODEL@alias or MODEL/version")
    leaf.add_argument(
        "--downstream",
        metavar="WHAT",
        help="the versions that came from WHAT instead: a URI, path or folder of data, a digest of "
        "its source or of a split (8 hex digits or more), or MODEL/VERSION",
    )
    leaf.add_argument("--out", metavar="FILE", help="write a graph too: .svg, .html or .json")
    leaf.add_argument("--json", action="store_true", help="print the graph as JSON")
    add_verbose(leaf)
    leaf.set_defaults(run=lineage)


def lineage(args: argparse.Namespace) -> int:
    """Prints a lineage, and writes its graph where one is asked for."""
    from flows.logs import quiet
    from mlproject.settings import read_settings

    out = _out(args.out)
    if (args.model is None) == (args.downstream is None):
        raise ConfigError(
            "Reading what to show the lineage of failed",
            received="both a model and --downstream" if args.model else "nothing",
            expected="MODEL, or --downstream with a URI, a digest or MODEL/VERSION",
        )
    settings = read_settings()
    with quiet(settings.home, "lineage", args.verbose):
        found = _read(settings, args)
    if out is not None:
        _write(found, out)
    if args.json:
        print(json.dumps(found.as_dict(), indent=1))
        return 0
    _print(found)
    if out is not None:
        print(out)
    return 0


def _read(settings: Settings, args: argparse.Namespace) -> Lineage:
    from mlproject.lineage import came_from, trace
    from mlproject.registry import Registry
    from mlproject.registry.lineage_reader import LineageReader

    reader, registry = LineageReader(settings), Registry(settings)
    if args.model is not None:
        return trace(reader, registry.resolve(args.model))
    return came_from(reader, registry.resolve, args.downstream)


def _print(found: Lineage) -> None:
    from rich.console import Console

    from mlproject.lineage.text import tree

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=PIPE_WIDTH)
    console.print(rich_tree(tree(found)))


def rich_tree(branch: Branch) -> Tree:
    """A branch with all below it, as rich draws it; the text of the data is no markup there."""
    from rich.style import Style
    from rich.text import Text
    from rich.tree import Tree

    colour = "red" if branch.state else None
    label = Text(branch.label, Style(bold=True, color=colour, link=branch.url or None))
    if branch.text:
        label.append(f"  {branch.text}", Style(bold=False, color=colour))
    drawn = Tree(label, guide_style="dim")
    for below in branch.branches:
        drawn.children.append(rich_tree(below))
    return drawn


def _out(name: str | None) -> Path | None:
    if name is None:
        return None
    out = Path(name).absolute()
    if out.suffix.lower() not in FORMATS:
        raise ConfigError(
            "Writing the graph failed",
            received=name,
            expected="a file ending in .svg, .html or .json",
        )
    return out


def _write(found: Lineage, out: Path) -> None:
    from mlproject.lineage.page import page
    from mlproject.lineage.svg import svg

    match out.suffix.lower():
        case ".svg":
            text = svg(found)
        case ".html":
            text = page(found)
        case _:
            text = json.dumps(found.as_dict(), indent=1) + "\n"
    try:
        out.write_text(text, encoding="utf-8", errors="replace")
    except OSError as err:
        raise StorageError(
            "Writing the graph failed",
            received=str(err),
            expected="a file in a folder that exists and can be written",
        ) from err
