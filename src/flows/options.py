"""The options that several commands of `benison` share, each with one name, help and reading."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import zip_longest

from mlproject.user import user_name

DATA_HELP = "where the rows are, instead of what project.yaml says; SPLIT=PATH for each split"
SPAN_HELP = "the newest span to take: its number, or a date as YYYY-MM-DD (default: the newest)"
FLAGS = ("--force", "--override")  # that take a word for true or false, as `mlflow run` gives one
_BOOLEANS = {
    **{"true": True, "1": True, "yes": True},
    **{"false": False, "0": False, "no": False, "": False},
}


def add_project(parser: argparse.ArgumentParser) -> None:
    """Adds the project's folder."""
    parser.add_argument("project", help="the project's folder")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds `--data`; `data_of` reads it."""
    parser.add_argument("--data", action="append", default=[], metavar="PATH", help=DATA_HELP)


def add_span(parser: argparse.ArgumentParser) -> None:
    """Adds `--span`."""
    parser.add_argument("--span", default="", help=SPAN_HELP)


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Adds `--verbose`."""
    parser.add_argument("--verbose", action="store_true", help="show the libraries' logs")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_unblessed(parser: argparse.ArgumentParser) -> None:
    """Adds `--unblessed`, which `serve_guard` reads."""
    parser.add_argument(
        "--unblessed",
        action="store_true",
        help="for a trial: a version that is not blessed, by its number",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds a registered model's reference."""
    parser.add_argument("model", help="MODEL (its champion), MODEL@alias or MODEL/version")


def add_flag(parser: argparse.ArgumentParser, name: str, meaning: str) -> None:
    """Adds one of FLAGS: bare, or with a word for true or false after it."""
    parser.add_argument(
        name,
        nargs="?",
        const=True,
        default=False,
        type=_boolean,
        metavar="BOOL",
        help=meaning,
    )


def add_reason(parser: argparse.ArgumentParser) -> None:
    """Adds `--reason`, which the ledger keeps and nobody may leave out."""
    parser.add_argument("--reason", required=True, type=_words, help="why; kept in the ledger")


def add_who(parser: argparse.ArgumentParser) -> None:
    """Adds `--who`."""
    parser.add_argument(
        "--who",
        default=user_name(),
        type=_words,
        help="who decides (default: the user, %(default)s)",
    )


def data_of(args: argparse.Namespace) -> tuple[str, ...]:
    """What `--data` gave, if the command has it; `mlflow run` gives an empty word for none."""
    return tuple(given for given in getattr(args, "data", ()) if given)


def spell_out_flags(argv: Sequence[str]) -> list[str]:
    """Gives a bare `--force` its value; argparse would take the project after it for one."""
    return [
        f"{word}=true" if word in FLAGS and after.lower() not in _BOOLEANS else word
        for word, after in zip_longest(argv, argv[1:], fillvalue="--")
    ]


def _words(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected some words")
    return text.strip()


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError as err:
        raise argparse.ArgumentTypeError(f"expected true or false, received '{text}'") from err
