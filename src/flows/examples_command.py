"""`benison examples`: what ingest made, shown and written back out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_data, add_project, add_verbose, data_of

if TYPE_CHECKING:
    from mlproject.artifacts import Artifact

FORMATS = ("tfrecord", "parquet", "csv")
HEAD_ROWS = 10


def add_parser(commands: Any) -> None:
    """Adds `examples` with its leaves.

    Args:
        commands: The subparsers of `benison`.
    """
    group = commands.add_parser("examples", help="show a project's Examples, or export them")
    leaves = group.add_subparsers(dest="leaf", required=True, metavar="COMMAND")

    describe_leaf = leaves.add_parser("describe", help="splits, spans, columns and digests")
    describe_leaf.add_argument("--json", action="store_true", help="print JSON")
    describe_leaf.set_defaults(run=describe)

    head_leaf = leaves.add_parser("head", help="the first rows of a split")
    head_leaf.add_argument("-n", "--rows", type=int, default=HEAD_ROWS, help="rows (default 10)")
    head_leaf.add_argument("--split", default="train", help="the split (default train)")
    head_leaf.add_argument("--json", action="store_true", help="print a JSON object a row")
    head_leaf.set_defaults(run=head)

    export_leaf = leaves.add_parser("export", help="write the Examples to files")
    export_leaf.add_argument("--format", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    export_leaf.add_argument("--out", required=True, metavar="FOLDER", help="a new folder")
    export_leaf.add_argument(
        "--split", action="append", default=[], help="this split only; may stand several times"
    )
    export_leaf.add_argument("--replace", action="store_true", help="replace the folder")
    export_leaf.set_defaults(run=export)

    for leaf in (describe_leaf, head_leaf, export_leaf):
        add_project(leaf)
        add_data(leaf)
        add_verbose(leaf)


def describe(args: argparse.Namespace) -> int:
    """Prints what the Examples are."""
    from mlproject.artifacts import read_value

    examples = _examples(args)
    files = read_value(examples, "files")
    spans = read_value(examples, "spans")
    described = {
        "uri": examples.uri,
        "source_digest": read_value(examples, "source_digest"),
        "columns": dict(read_value(examples, "columns")),
        "splits": {
            split: {"rows": rows, "digest": read_value(examples, "split_digests")[split]}
            for split, rows in read_value(examples, "splits").items()
        },
        "spans": [_span_name(*span) for span in spans],
        "files": [
            {"split": split, "name": name, "span": span, "rows": rows}
            for split, name, span, rows, _ in files
        ],
        "skipped_files": read_value(examples, "skipped_files"),
    }
    if args.json:
        print(json.dumps(described, indent=1))
        return 0
    print(f"Examples  {examples.uri}")
    print(f"Source    digest {described['source_digest'][:16]}")
    for split, about in described["splits"].items():
        print(f"Split     {split}: {about['rows']:,} rows, digest {about['digest'][:16]}")
    if spans:
        print(f"Spans     {', '.join(described['spans'])}")
        for file in described["files"]:
            print(f"          {file['split']}/{file['name']}: {file['rows']:,} rows")
    if described["skipped_files"]:
        print(f"Skipped   {described['skipped_files']:,} files (skipped_files.json in MLflow)")
    print(f"Columns   {len(described['columns'])}")
    for name, kind in described["columns"].items():
        print(f"          {name}  {kind}")
    return 0


def head(args: argparse.Namespace) -> int:
    """Prints the first rows of a split."""
    from mlproject.errors import ConfigError
    from mlproject.examples.reader import read_batches

    if args.rows < 1:
        raise ConfigError("Reading --rows failed", received=str(args.rows), expected="1 or more")
    examples = _examples(args)
    _check_splits(examples, [args.split])
    batch = next(read_batches(examples.path / f"Split-{args.split}", batch_rows=args.rows))
    rows = batch.to_pylist()
    if args.json:
        for row in rows:
            print(json.dumps(row, default=_printable))
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    if len(batch.schema.names) * 12 > console.width:  # too wide: one column under the other
        table = Table(box=None, pad_edge=False, show_header=False)
        for number, row in enumerate(rows):
            table.add_row(Text(f"row {number}", "bold"), "")
            for name, value in row.items():
                table.add_row(Text(f"  {name}"), _cell(value))
    else:
        table = Table(box=None, pad_edge=False)
        for name in batch.schema.names:
            table.add_column(Text(name))
        for row in rows:
            table.add_row(*map(_cell, row.values()))
    console.print(table)
    return 0


def export(args: argparse.Namespace) -> int:
    """Writes the Examples to files."""
    from flows.console import Display
    from mlproject.artifacts import read_value
    from mlproject.errors import ConfigError, closest
    from mlproject.progress import Event, emit, listening

    if args.format not in FORMATS:
        raise ConfigError(
            "Reading --format failed", received=args.format, expected=closest(args.format, FORMATS)
        )
    examples = _examples(args)
    from mlproject.examples.export import export_examples

    _check_splits(examples, args.split)
    files = [
        (split, examples.path / f"Split-{split}" / name, span)
        for split, name, span, _, _ in read_value(examples, "files")
        if not args.split or split in args.split
    ]
    display = Display(_stderr(), f"{args.project}: export", ("export",))
    with display, listening(display):
        emit(Event("start", "export"))
        written = export_examples(
            files,
            args.format,
            Path(args.out).absolute(),
            replace=args.replace,
            on_rows=lambda rows: emit(Event("rows", "export", rows=rows)),
        )
        emit(Event("done", "export"))
    for file in written:
        print(f"{file.path}  {file.rows:,} rows")
    return 0


def _examples(args: argparse.Namespace) -> Artifact:
    from flows.newest_statistics import run_steps
    from flows.pipeline import Request

    request = Request(args.project, data_of(args))
    return run_steps(request, ("ingest",), args.verbose)["ingest"]


def _check_splits(examples: Artifact, splits: list[str]) -> None:
    from mlproject.artifacts import read_value
    from mlproject.errors import ConfigError, closest

    there = read_value(examples, "splits")
    for split in splits:
        if split not in there:
            raise ConfigError(
                "Looking for the split failed", received=split, expected=closest(split, there)
            )


def _stderr() -> Any:
    import sys

    return sys.stderr


def _span_name(number: int, version: int | None, dated: bool) -> str:
    from mlproject.examples.spans import Span

    return str(Span(number, version, dated))


def _cell(value: Any) -> Any:
    from rich.text import Text

    if value is None:
        return Text("-", "dim")
    text = str(_printable(value) if isinstance(value, bytes) else value)
    return Text(text if len(text) <= 60 else text[:57] + "...")


def _printable(value: Any) -> str:
    """Bytes as text where they are text, else as hexadecimal digits."""
    try:
        return str(value.decode())
    except UnicodeDecodeError:
        return f"0x{value[:24].hex()}{'...' if len(value) > 24 else ''} ({len(value):,} bytes)"
