"""`benison reconcile`: the reconciler by itself, without Prefect.

Exit codes: 0 all in order, taken over or completed; 3 something was put back; 1 an error.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flows.options import add_verbose
from mlproject.errors import ConfigError, PlatformError

if TYPE_CHECKING:
    from flows.reconciler import Reconciled
    from mlproject.promotion.promoter import Promoter
    from mlproject.settings import Settings

ERROR, PUT_BACK = 1, 3


def add_parser(commands: Any) -> None:
    """Adds `reconcile`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "reconcile",
        help="take over, or put back, what was moved by hand in MLflow",
        description="Exit codes: 0 all in order or taken over, 3 an alias was put back, 1 error.",
    )
    leaf.add_argument("models", nargs="*", metavar="MODEL", help="default: all with a ledger")
    leaf.add_argument("--every", type=float, metavar="S", help="keep going, with S seconds between")
    leaf.add_argument("--json", action="store_true", help="print a JSON list (a line each time)")
    add_verbose(leaf)
    leaf.set_defaults(run=reconcile)


def reconcile(args: argparse.Namespace) -> int:
    """Reconciles once, or until it is interrupted."""
    from flows.logs import quiet
    from mlproject.promotion.promoter import Promoter
    from mlproject.settings import read_settings

    if args.every is not None and not args.every > 0:
        raise ConfigError(
            "Reading --every failed", received=str(args.every), expected="seconds above 0"
        )
    settings = read_settings()
    models = [model for model in args.models if model]  # `mlflow run` gives an empty word for none
    if args.every is None:
        with quiet(settings.home, "reconcile", args.verbose):
            done = _round(Promoter(settings), settings, models)
        _print(done, args.json)
        return _code(done)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    promoter = Promoter(settings)
    while not stop.is_set():
        try:
            _print(_round(promoter, settings, models), args.json, silent=True)
        except PlatformError as err:
            print(json.dumps({"error": str(err)}) if args.json else str(err), flush=True)
        stop.wait(args.every)
    return 0


def _round(promoter: Promoter, settings: Settings, models: Sequence[str]) -> list[Reconciled]:
    from flows.reconciler import chosen_models, reconcile_model

    return [reconcile_model(promoter, settings, name) for name in chosen_models(promoter, models)]


def _print(done: Sequence[Reconciled], as_json: bool, *, silent: bool = False) -> None:
    if as_json:
        if not silent or any(reconciled.lines() for reconciled in done):
            print(json.dumps([reconciled.to_json() for reconciled in done]), flush=True)
        return
    for reconciled in done:
        lines = reconciled.lines()
        if not lines and not silent:
            lines = [f"{reconciled.model}: in order, champion {reconciled.champion or 'none'}"]
        for line in lines:
            print(line, flush=True)
    if not done and not silent:
        print("no model has a ledger")


def _code(done: Sequence[Reconciled]) -> int:
    if any(reconciled.error for reconciled in done):
        return ERROR
    return PUT_BACK if any(reconciled.put_back for reconciled in done) else 0
