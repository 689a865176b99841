"""`benison history`, `champion`, `promote` and `rollback`: the stages of a model's versions."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.options import add_flag, add_json, add_reason, add_verbose, add_who
from mlproject.errors import ConfigError, PlatformError, RegistryError

if TYPE_CHECKING:
    from mlproject.promotion.entries import Entry
    from mlproject.promotion.promoter import Promoter

SERVER = "http://127.0.0.1:8501"
SERVED_WITHIN_S = 60.0


def add_parser(commands: Any) -> None:
    """Adds `history`, `champion`, `promote` and `rollback`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser("history", help="who changed the stage of which version, and why")
    leaf.add_argument("model", help="MODEL, or MODEL/V for one version")
    leaf.add_argument("--json", action="store_true", help="print a JSON list")
    add_verbose(leaf)
    leaf.set_defaults(run=history)

    leaf = commands.add_parser("champion", help="the version in production, now or at a time")
    leaf.add_argument("model", help="MODEL")
    leaf.add_argument(
        "--at", metavar="TIME", help="2026-03-01T12:00, in this machine's zone; or with +00:00"
    )
    add_json(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=champion)

    leaf = commands.add_parser(
        "promote",
        help="take a version to another stage",
        description="Each stage asks for its evidence: docs/promotion.md. What is missing for "
        "production can be done without by --override, which is kept with the reason.",
    )
    leaf.add_argument("version", metavar="MODEL/V", help="MODEL/V or MODEL@alias")
    leaf.add_argument("--to", default="production", metavar="STAGE", help="default production")
    add_flag(leaf, "--override", "to production without the rollout that it asks for")
    add_reason(leaf)
    add_who(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=promote)

    leaf = commands.add_parser("rollback", help="take the champion out, and the one before it back")
    leaf.add_argument("model", help="MODEL")
    leaf.add_argument("--to", type=int, metavar="V", help="an earlier champion (default: the last)")
    leaf.add_argument(
        "--url", default=SERVER, help=f"wait until this server has it too (default {SERVER})"
    )
    add_reason(leaf)
    add_who(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=rollback)


def history(args: argparse.Namespace) -> int:
    """Prints the ledger of a model."""
    from mlproject.registry import parse_reference

    name, alias, number = parse_reference(args.model)
    with open_promoter(args, "history") as promoter:
        if alias:
            number = promoter.registry.resolve(args.model).version
        entries = promoter.history(name)
        if not entries:
            promoter.registry.resolve(name if number is None else f"{name}/{number}")
    shown = [e for e in entries if number is None or number in e.versions]
    if args.json:
        print(json.dumps([_as_json(entry) for entry in shown], indent=1))
    else:
        columns = shutil.get_terminal_size().columns
        for entry in shown:
            print("\n      ".join(_lines(entry, columns)))
    return 0


def champion(args: argparse.Namespace) -> int:
    """Prints which version is, or was, in production."""
    from mlproject.promotion.standing import champion_at

    when = _time(args.at) if args.at else datetime.now(UTC)
    with open_promoter(args, "champion") as promoter:
        entries = promoter.history(args.model)
        found = champion_at(entries, when)
        if found is None and not args.at:
            promoter.registry.resolve(args.model)
    if found is None:
        raise RegistryError(
            f"'{args.model}' had no champion at {when.isoformat(timespec='seconds')}",
            received=f"{len(entries)} entries in its ledger",
            next_step=f"see `benison history {args.model}`",
        )
    since = [e for e in entries if e.when <= when and found in e.versions][-1]
    if args.json:
        print(json.dumps({"model": args.model, "version": found, "since": _as_json(since)}))
    else:
        stamp = since.when.astimezone().isoformat(timespec="seconds")
        print(f"{args.model}/{found}  in production since {stamp}, by {since.who}: {since.why}")
    return 0


def promote(args: argparse.Namespace) -> int:
    """Takes a version to another stage, or asks for the approval that it needs."""
    from mlproject.promotion.asks import Ask
    from mlproject.promotion.stages import Stage, parse_stage

    after = parse_stage(args.to)
    if args.override and after is not Stage.PRODUCTION:
        raise ConfigError(
            "Reading --override failed", received=f"--to {after}", expected="--to production"
        )
    override = args.reason if args.override else ""
    with open_promoter(args, "promote") as promoter:
        version = promoter.registry.resolve(args.version)
        ask = Ask(after, args.reason, args.who, {}, override)
        policy = promoter.projection.read(version.name).policy
        if after is Stage.PRODUCTION and policy.approval == "required":
            entry = promoter.request(version, ask)
        else:
            entry = promoter.move(version, ask)
        standing = promoter.standing(version.name)
    name = f"{version.name}/{version.version}"
    if entry.event == "requested" and entry.deadline is not None:
        until = entry.deadline.astimezone().isoformat(timespec="seconds")
        print(f"{name} waits for approval until {until}")
        print(f"Next     benison approve {name} --reason '...'   (or benison reject)")
    else:
        print(f"{name} is in {standing.stage(version.version)}; champion {standing.champion}")
    return 0


def rollback(args: argparse.Namespace) -> int:
    """Takes the champion out of production, and tells how long it took."""
    with open_promoter(args, "rollback") as promoter:
        began = time.perf_counter()
        entry = promoter.rollback(args.model, args.reason, args.to, args.who)
        seconds = time.perf_counter() - began
        served = _await_server(args.url, args.model, entry.version)
        measured = {"rollback_s": seconds} | ({"rollback_served_s": served} if served else {})
        promoter.ledger.log_metrics(args.model, measured, entry.number)
    left = next(move.version for move in entry.moves if move.version != entry.version)
    print(f"{args.model}: {left} -> {entry.version}   in the registry after {seconds:.2f} s")
    if served is None:
        print(f"No server of it answers at {args.url}; those that follow the champion change over")
    else:
        print(f"{args.url} answers with version {entry.version} after {seconds + served:.2f} s")
    return 0


@contextmanager
def open_promoter(args: argparse.Namespace, command: str) -> Iterator[Promoter]:
    """A Promoter of this machine's registry; what libraries print goes to the log file."""
    from flows.logs import quiet
    from mlproject.promotion.promoter import Promoter
    from mlproject.settings import read_settings

    settings = read_settings()
    with quiet(settings.home, command, args.verbose):
        yield Promoter(settings)


def _await_server(url: str, model: str, version: int) -> float | None:
    """Seconds until a running server answers with a version when none is named; None without it."""
    from serving.targets.base import TOKEN_VARIABLE
    from serving.targets.rest_view import RestView

    began = time.perf_counter()
    server = RestView(url, os.environ.get(TOKEN_VARIABLE, ""))
    try:
        if not server.available(model):
            return None
        while time.perf_counter() - began < SERVED_WITHIN_S:
            if server.default_version(model) == version:
                return time.perf_counter() - began
            time.sleep(0.05)
    except PlatformError:
        return None
    return None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as err:
        raise ConfigError(
            "Reading --at failed", received=text, expected="a time such as 2026-03-01T12:00"
        ) from err


def _as_json(entry: Entry) -> Mapping[str, Any]:
    return {"number": entry.number, **json.loads(entry.to_json())}


def _lines(entry: Entry, columns: int) -> list[str]:
    """An entry for the terminal: what, when and who; and why, with what it stands on."""
    moves = ", ".join(f"{m.version}: {m.before} -> {m.after}" for m in entry.moves)
    when = entry.when.astimezone().isoformat(" ", "seconds")
    head = f"{entry.number:>4}  {when}  {entry.event}  {moves or entry.version}  by {entry.who}"
    facts = [f"{name} {text}" for name, text in entry.evidence.items()]
    return [
        head,
        *(
            line
            for text in (entry.why, "; ".join(facts))
            for line in textwrap.wrap(text, max(columns - 6, 40), break_on_hyphens=False)
        ),
    ]
