"""`benison reproduce`: a registered version made again from what is recorded, and compared."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from typing import TYPE_CHECKING, Any

from flows.options import add_data, add_verbose, data_of
from mlproject.errors import ConfigError
from mlproject.reproduction import TOLERANCE

if TYPE_CHECKING:
    from mlproject.reproduction import Comparison, Reproduction

GAPS_SHOWN = 8
INTERRUPTED = 130


def add_parser(commands: Any) -> None:
    """Adds `reproduce`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "reproduce",
        help="run a version's pipeline again as it was recorded, and compare the models",
        description="Runs ingest to evaluate again from the recorded commit, module file, "
        "configuration, data digest and seed, in a scratch folder and the scratch experiment "
        "MODEL-reproduce; registers nothing. Exit codes: 0 identical or within tolerance, 3 "
        "different, 1 refused, failed or not judged.",
    )
    leaf.add_argument("model", help="MODEL/version, MODEL@alias or MODEL (its champion)")
    leaf.add_argument(
        "--project",
        default="",
        metavar="DIR",
        help="the project's folder now (default: where it was): a clone that has the recorded "
        "commit, else any folder, whose files are taken as they are",
    )
    add_data(leaf)
    leaf.add_argument(
        "--module",
        default="",
        metavar="FILE",
        help="take this module file instead of the recorded one: what does a change of it do?",
    )
    leaf.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="D",
        help=f"largest absolute difference of a prediction and of a metric (default {TOLERANCE})",
    )
    leaf.add_argument(
        "--keep", action="store_true", help="keep the scratch folder, with every artifact"
    )
    leaf.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_verbose(leaf)
    leaf.set_defaults(run="flows.reproduce_command:reproduce")


def reproduce(args: argparse.Namespace) -> int:
    """Reproduces a version and prints the verdict."""
    from flows.logs import quiet
    from flows.reproducing import ReproduceRequest
    from flows.reproducing import reproduce as run
    from mlproject.reproduction.scratch_project import Asked
    from mlproject.settings import read_settings

    if not 0 <= args.tolerance < math.inf:
        raise ConfigError(
            "Reading --tolerance failed", received=str(args.tolerance), expected="0 or more"
        )
    asked = Asked(args.project, data_of(args), args.module)
    request = ReproduceRequest(args.model, asked, args.tolerance, args.keep)
    settings = read_settings()
    # Ended by a signal, it tidies up as at Ctrl-C.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with quiet(settings.home, "reproduce", args.verbose) as (stream, log):
            found = run(request, settings, stream)
    except KeyboardInterrupt:
        print("benison reproduce: interrupted; nothing is kept", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    if args.json:
        print(json.dumps(found.to_json()))
    else:
        print("\n".join([*summary(found), *([f"Log      {log}"] if log else [])]))
    return found.exit_code


def summary(found: Reproduction) -> list[str]:
    """The verdict, what was compared, what differs and why it may, as lines of text."""
    tolerance = f" of {found.tolerance:g}" if found.verdict == "within tolerance" else ""
    lines = [f"{found.model}/{found.version} again: {found.verdict}{tolerance}"]
    if found.comparison is not None:
        lines += _compared(found.comparison)
        lines += _gaps(found.comparison)
    if found.reasons:
        why = {
            "identical": "All the same, not everything is as it was:",
            "could not judge": "Why:",
        }
        lines.append(why.get(found.verdict, "Why it may differ:"))
        lines += [f"  - {reason}" for reason in found.reasons]
    lines.append(f"Seconds  {found.seconds:.1f}")
    lines.append(f"MLflow   {found.url}")
    return lines + ([f"Kept     {found.kept}"] if found.kept else [])


def _compared(comparison: Comparison) -> list[str]:
    predictions, weights = comparison.predictions, comparison.weights
    equal = comparison.metrics - sum(1 for gap in comparison.gaps if gap.then is not None)
    lines = [
        f"  metrics      {equal:,} of {comparison.metrics:,} equal",
        f"  predictions  {_array(predictions)}",
        f"  weights      {_array(weights)}",
    ]
    return lines


def _array(gap: Any) -> str:
    if gap.unlike:
        return f"not compared: {gap.unlike}"
    text = f"{gap.compared - gap.differing:,} of {gap.compared:,} equal"
    return text + (f", largest difference {gap.largest:.3g}" if gap.differing else "")


def _gaps(comparison: Comparison) -> list[str]:
    """The widest gaps of metrics."""
    from mlproject.reproduction.reasons import shown

    lines = []
    for gap in comparison.gaps[:GAPS_SHOWN]:
        what = "" if gap.part in ("value", "missing") else f" ({gap.part} differs)"
        then, now = shown(gap.then), shown(gap.now)
        lines.append(f"    {gap.metric} of {gap.slice}: {then} then, {now} now{what}")
    more = len(comparison.gaps) - GAPS_SHOWN
    return lines + ([f"    and {more:,} more"] if more > 0 else [])
