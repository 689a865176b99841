"""The command `benison tune`: its options. What it does is in `flows/tuning.py`."""

from __future__ import annotations

import argparse
from typing import Any

from flows.options import add_data, add_flag, add_project, add_span, add_verbose


def add_parser(commands: Any) -> None:
    """Adds `tune`.

    Args:
        commands: The subparsers of `benison`.
    """
    tune = commands.add_parser(
        "tune",
        help="look for hyperparameters",
        description="Trains with values of project.yaml's tuning.space, or of the module's "
        "tuner_fn, and keeps the best for `benison train`. A study that was broken off goes on "
        "with the trials it has; more --trials continue it.",
    )
    add_project(tune)
    tune.add_argument("--trials", type=_positive, metavar="N", help="instead of tuning.trials")
    tune.add_argument(
        "--parallel", type=_positive, metavar="N", help="worker processes on this machine"
    )
    tune.add_argument(
        "--timeout-s", type=_seconds, metavar="S", help="seconds after which no trial begins"
    )
    add_data(tune)
    add_span(tune)
    add_flag(tune, "--force", "begin a new study")
    add_verbose(tune)
    tune.set_defaults(run="flows.tuning:tune")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received '{text}'")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, received '{text}'")
    return value
