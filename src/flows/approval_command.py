"""`benison approve`, `reject`, `approvals`: a person's word, with or without a Prefect server."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.options import add_reason, add_verbose, add_who
from flows.promotion_command import open_promoter

if TYPE_CHECKING:
    from mlproject.promotion.entries import Entry


def add_parser(commands: Any) -> None:
    """Adds `approve`, `reject` and `approvals`.

    Args:
        commands: The subparsers of `benison`.
    """
    for name, words, run in (
        ("approve", "let a version that waits for approval go to production", approve),
        ("reject", "refuse a version, whether it waits for approval or not", reject),
    ):
        leaf = commands.add_parser(name, help=words)
        leaf.add_argument("version", metavar="MODEL/V", help="MODEL/V or MODEL@alias")
        add_reason(leaf)
        add_who(leaf)
        add_verbose(leaf)
        leaf.set_defaults(run=run)

    leaf = commands.add_parser("approvals", help="the versions that wait for approval")
    leaf.add_argument("models", nargs="*", metavar="MODEL", help="default: every model")
    leaf.add_argument("--json", action="store_true", help="print a JSON list")
    add_verbose(leaf)
    leaf.set_defaults(run=approvals)


def approve(args: argparse.Namespace) -> int:
    """Approves a version."""
    return _decide(args, approved=True)


def reject(args: argparse.Namespace) -> int:
    """Rejects a version."""
    return _decide(args, approved=False)


def approvals(args: argparse.Namespace) -> int:
    """Prints what waits; changes nothing."""
    from flows.reconciler import chosen_models

    with open_promoter(args, "approvals") as promoter:
        waiting = [
            (name, entry)
            for name in chosen_models(promoter, args.models)
            for _, entry in sorted(promoter.standing(name).requests.items())
        ]
    if args.json:
        print(json.dumps([_as_json(name, entry) for name, entry in waiting], indent=1))
    elif not waiting:
        print("nothing waits for approval")
    else:
        rows = [("VERSION", "ASKED BY", "UNTIL", "WHY")]
        rows += [
            (f"{name}/{entry.version}", entry.who, _until(entry), entry.why)
            for name, entry in waiting
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for *cells, why in rows:
            padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
            print("  ".join([*padded, why]))
    return 0


def _decide(args: argparse.Namespace, *, approved: bool) -> int:
    from flows.approval_runs import end_run
    from flows.decision import Decision, decide, in_words
    from mlproject.settings import read_settings

    decision = Decision(approved, args.who, args.reason)
    note = ""
    with open_promoter(args, args.command) as promoter:
        version = promoter.registry.resolve(args.version)
        request = promoter.standing(version.name).requests.get(version.version)
        entry = decide(promoter, version, decision)
        ledger = promoter.ledger.run_id(version.name)
        if request is not None and ledger is not None:
            note = end_run(read_settings(), ledger, request, decision)
        champion = promoter.standing(version.name).champion
    print(in_words(version.name, version.version, entry))
    print(f"Champion {champion or 'none'}")
    if note:
        print(f"Prefect  {note}")
    return 0


def _until(entry: Entry) -> str:
    if entry.deadline is None:
        return "further notice"
    until = entry.deadline.astimezone().isoformat(" ", "minutes")
    return until if entry.deadline > datetime.now(UTC) else f"{until} (over)"


def _as_json(name: str, entry: Entry) -> dict[str, Any]:
    return {"model": name, "number": entry.number, **json.loads(entry.to_json())}
