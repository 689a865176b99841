"""`benison data bad-rows`: the rows that break the reviewed schema, in a file for a look."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_data, add_project, add_verbose, data_of

if TYPE_CHECKING:
    from mlproject.anomalies.bad_rows import BadRows

LIMIT = 1000


def add_leaf(data_commands: Any) -> None:
    """Adds `bad-rows`.

    Args:
        data_commands: The subparsers of `benison data`.
    """
    leaf = data_commands.add_parser(
        "bad-rows", help="copy the rows that break the schema to a file"
    )
    add_project(leaf)
    leaf.add_argument("--split", default="train", help="the split to look at (default train)")
    leaf.add_argument("--out", metavar="FILE", help="the Parquet file to write")
    leaf.add_argument(
        "--limit",
        type=int,
        default=LIMIT,
        help=f"most rows to copy for one feature and kind (default {LIMIT})",
    )
    add_data(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=bad_rows)


def bad_rows(args: argparse.Namespace) -> int:
    """Finds the rows of a split that break the reviewed schema."""
    from flows.newest_statistics import run_steps
    from flows.pipeline import Request
    from mlproject.anomalies.bad_rows import find_bad_rows
    from mlproject.artifacts import read_value
    from mlproject.errors import ConfigError, closest
    from mlproject.schema import set_environments
    from mlproject.schema.file import read_reviewed
    from mlproject.settings import read_settings

    if args.limit < 1:
        raise ConfigError(
            "Reading --limit failed", received=str(args.limit), expected="a whole number above 0"
        )
    request = Request(args.project, data_of(args))
    project = request.load()
    reviewed = read_reviewed(project).known()
    schema = set_environments(reviewed, project.config.schema_.training_only)
    examples = run_steps(request, ("ingest",), args.verbose)["ingest"]
    splits = read_value(examples, "splits")
    if args.split not in splits:
        raise ConfigError(
            "Looking for the split failed",
            received=args.split,
            expected=closest(args.split, splits),
        )
    name = f"{project.config.name}-{args.split}.parquet"
    out = Path(args.out) if args.out else read_settings().home / "bad-rows" / name
    found = find_bad_rows(examples.path, {args.split: None}, schema, out, limit=args.limit)
    _print(found)
    return 0


def _print(found: BadRows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if found.file is None:
        print(f"No row of {found.rows:,} breaks the schema")
        print("A column that is new or gone is no matter of rows: benison schema diff shows it")
        return
    table = Table(box=None, pad_edge=False)
    for head in ("kind", "feature", "rows", "first value"):
        table.add_column(head, justify="right" if head == "rows" else "left", overflow="fold")
    for finding in sorted(found.findings, key=lambda f: -f.count):
        value = Text(finding.first) if finding.first else Text("-", "dim")
        table.add_row(finding.kind, Text(finding.feature), f"{finding.count:,}", value)
    Console(highlight=False, markup=False, emoji=False).print(table)
    kept = sum(finding.kept for finding in found.findings)
    print(f"{found.rows:,} rows looked at; {kept:,} faults copied to {found.file}")
