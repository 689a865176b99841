"""Run the model server on its own: `python -m serving.model_server --model_name=...`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from mlproject.errors import ServingError
from serving.model_server.server import DRAIN_S, MAX_REQUEST_BYTES, ModelServer

_LOOK_EVERY_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one model until SIGTERM or SIGINT, then drain.

    Args:
        argv: The flags, named as TensorFlow Serving names them; None takes the command line's.

    Returns:
        The exit code: 0 after a drained stop, 1 when the server did not start.
    """
    args = _parser().parse_args(argv)
    # TensorFlow reads it when it is first imported, which is after this line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    pins = {} if args.model_version is None else {args.model_name: args.model_version}
    server = ModelServer(
        {args.model_name: args.model_base_path},
        host=args.host,
        rest_port=args.rest_api_port,
        grpc_port=args.port,
        poll_wait_s=args.file_system_poll_wait_seconds,
        pinned_versions=pins,
        max_request_bytes=args.max_request_bytes,
    )
    try:
        server.start()
    except ServingError as err:
        sys.stderr.write(f"{err}\n")
        return 1
    # One line for whoever started this process; with port 0 it is where the ports stand.
    sys.stdout.write(
        f"Serving {args.model_name}: REST {server.rest_url}, gRPC {server.grpc_address}\n"
    )
    sys.stdout.flush()
    while not stop.wait(_LOOK_EVERY_S):
        pass
    server.stop(args.drain_seconds)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.model_server",
        description="Serve a model over TensorFlow Serving's REST and gRPC APIs.",
    )
    add = parser.add_argument
    add("--model_name", required=True, help="the model's name in requests")
    add("--model_base_path", required=True, type=Path, help="folder with a sub-folder per version")
    add("--model_version", type=int, help="serve this version instead of the newest")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--port", type=int, default=8500, help="gRPC port, 0 for any free one")
    add("--rest_api_port", type=int, default=8501, help="REST port, 0 for any free one")
    add(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="seconds between looks for new versions, 0 to look once",
    )
    add("--max_request_bytes", type=int, default=MAX_REQUEST_BYTES, help="largest request body")
    add("--drain_seconds", type=float, default=DRAIN_S, help="time for requests to end on stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
