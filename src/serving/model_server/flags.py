"""Reads the flags of the model server, which stand in flag_table.py."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from mlproject.errors import ConfigError, closest
from serving.model_server.flag_table import OURS, UPSTREAM, Flag, boolean, port


class FlagError(ConfigError):
    """A flag is unknown, or has a value that it cannot have."""


def parse_flags(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the command line.

    Both `--flag=value` and `--flag value` are taken; a boolean flag may stand alone.

    Args:
        argv: The arguments, without the program's name.

    Returns:
        A value for each flag, by its name, and in `given` the names of those that were given.

    Raises:
        FlagError: A flag is unknown, or its value is not of its kind.
    """
    given, rest = _parser().parse_known_args(argv)
    if rest:
        names = [f"--{flag.name}" for flag in UPSTREAM + OURS]
        hint = closest(f"--{rest[0].lstrip('-').partition('=')[0]}", names)
        raise FlagError(
            "Reading the flags failed",
            received=f"unknown argument: {rest[0]}",
            expected=hint if hint.startswith("did you mean") else "--flag or --flag=value",
            next_step="--help lists the flags",
        )
    defaults = {flag.name: flag.default for flag in UPSTREAM + OURS}
    return argparse.Namespace(**{**defaults, **vars(given)}, given=frozenset(vars(given)))


def usage() -> str:
    """The help text."""
    return _parser().format_help()


def warnings_of(args: argparse.Namespace) -> Iterator[str]:
    """A line for each flag that asks for something that is not done."""
    for flag in UPSTREAM:
        if flag.lost and flag.name in args.given and getattr(args, flag.name):
            yield f"--{flag.name} is accepted and has no effect here: {flag.lost}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise FlagError(
            "Reading the flags failed", received=message, next_step="--help lists the flags"
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="benison model-server",
        usage="%(prog)s --model_base_path=DIR [--model_name=NAME] [--rest_api_port=PORT] [FLAGS]",
        description="Serves models over TensorFlow Serving's REST and gRPC APIs.",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("--help", "-h", action="store_true", default=argparse.SUPPRESS)
    for title, flags in (("TensorFlow Serving's flags", UPSTREAM), ("Benison's flags", OURS)):
        group = parser.add_argument_group(title)
        for flag in flags:
            # `nargs="?"` lets a boolean flag stand alone.
            alone: dict[str, Any] = {"nargs": "?", "const": True} if flag.kind is boolean else {}
            note = f"; has no effect: {flag.lost}" if flag.lost else ""
            group.add_argument(
                f"--{flag.name}",
                type=flag.kind,
                default=argparse.SUPPRESS,
                metavar="BOOL" if flag.kind is boolean else "VALUE",
                help=f"{flag.meaning} (default {_shown(flag)}){note}".replace("%", "%%"),
                **alone,
            )
    return parser


def _shown(flag: Flag) -> str:
    if flag.kind is port:
        return str(flag.default or 0)
    if flag.default is None or flag.default == "":
        return "none"
    return str(flag.default).lower() if flag.kind is boolean else str(flag.default)
