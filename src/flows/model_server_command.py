"""`benison model-server`: the local model server, under TensorFlow Serving's own flags."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.model_server.listening import ServerOptions

_NO_PREFIX = "\0"  # no option is read here: all of them are the server's


def add_parser(commands: Any) -> None:
    """Adds `model-server`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "model-server",
        help="serve SavedModels under the flags of tensorflow_model_server",
        prefix_chars=_NO_PREFIX,
        add_help=False,
    )
    leaf.add_argument("flags", nargs=argparse.REMAINDER)
    leaf.set_defaults(run="flows.model_server_command:model_server")


def model_server(args: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT, and ends the process."""
    from serving.model_server.program import run

    return run(args.flags)


def add_listening(parser: argparse.ArgumentParser) -> None:
    """Adds what protects a server that others can reach; `listening_of` reads it."""
    parser.add_argument(
        "--token-file",
        default="",
        metavar="FILE",
        help="file with the bearer token that requests must carry (or BENISON_SERVING_TOKEN)",
    )
    parser.add_argument(
        "--ssl-config",
        default="",
        metavar="FILE",
        help="TLS for both ports: TensorFlow Serving's SSLConfig as text proto",
    )


def listening_of(args: argparse.Namespace) -> ServerOptions:
    """How `benison serve` listens, beside its address: with metrics, and as its options say.

    A trial (`--once`) asks itself on loopback, in plain text and without a token.

    Raises:
        ConfigError: The token file or the TLS configuration cannot be used.
    """
    from serving.model_server.listening import ServerOptions
    from serving.model_server.metrics import DEFAULT_PATH
    from serving.model_server.startup import read_token
    from serving.model_server.tls import read_tls

    if args.once:
        return ServerOptions()
    return ServerOptions(
        token=read_token(args.token_file, os.environ),
        tls=read_tls(Path(args.ssl_config)) if args.ssl_config else None,
        metrics_path=DEFAULT_PATH,
    )
