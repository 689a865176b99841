"""The model server as a program: `benison model-server`, or `python -m serving.model_server`.

It says on standard error what `tensorflow_model_server` says there, since scripts wait for these
lines; on standard output it gives one line with the addresses.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from mlproject.errors import PlatformError
from serving.model_server.flags import FlagError, parse_flags, usage, warnings_of
from serving.model_server.listening import LOOPBACK, ServerOptions
from serving.model_server.server import ModelServer
from serving.model_server.startup import manager_options, model_configs, server_options

FAILED = 255  # TensorFlow Serving's main() returns -1
_LOG_FORMAT = "%(asctime)s.%(msecs)03d000: %(levelname).1s %(name)s:%(lineno)d] %(message)s"

logger = logging.getLogger(__name__)


def run(argv: Sequence[str] | None = None) -> int:
    """Serves, and ends the process.

    The process ends without the interpreter's own end: threads of gRPC, of TensorFlow and of
    requests that outlived their drain would abort it, or hold it up. Nothing is left to do then:
    the server is stopped, and what was written is flushed.

    Args:
        argv: The flags; None takes the command line's.
    """
    # TensorFlow imports Keras only to have its optimisers at hand, and goes on without it
    # (tensorflow/__init__.py); a server runs graphs. It saves 2 of 4.5 CPU seconds and 145 MiB.
    if "tensorflow" not in sys.modules:
        sys.modules.setdefault("keras", None)  # type: ignore[arg-type]
    code = FAILED
    try:
        code = main(argv)
    finally:
        if sys.exc_info()[0]:
            traceback.print_exc()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # nobody reads it any more
                stream.flush()
        os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once.

    Args:
        argv: The flags, named as TensorFlow Serving names them; None takes the command line's.

    Returns:
        The exit code: 0 after a drained stop, 255 when the server did not start.
    """
    try:
        args = parse_flags(sys.argv[1:] if argv is None else argv)
    except FlagError as err:
        sys.stderr.write(f"{err}\n")
        sys.stdout.write(usage())
        return FAILED
    if "help" in args.given:
        sys.stdout.write(usage())
        return 0
    if args.version:
        sys.stdout.write(_versions())
        return 0
    _log_to_standard_error()
    for line in warnings_of(args):
        logger.warning("%s", line)
    stop = StopSignals()
    try:
        _serve(args, stop)
    except PlatformError as err:
        logger.error("%s", err)
        sys.stdout.write(f"Failed to start server. Error: {err}\n")
        return FAILED
    return 0


class StopSignals:
    """SIGTERM and SIGINT: the first one asks for a stop, the second ends the process at once."""

    def __init__(self) -> None:
        # The signal itself writes to the pipe, in whichever thread it comes: the handler only runs
        # in the main thread, and would not wake it where another thread was interrupted.
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.seen = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self) -> None:
        """Returns when a signal has come."""
        while not self.seen:
            os.read(self._reader, 64)

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.seen:
            os._exit(128 + number)
        self.seen = True


def _serve(args: argparse.Namespace, stop: StopSignals) -> None:
    options = server_options(args, os.environ)
    _raise_descriptor_limit(options)
    server = ModelServer.of(model_configs(args), options, manager_options(args))
    server.load()
    # Full garbage collections stop all requests; looking through TensorFlow's modules, of which
    # nothing is ever garbage, takes each of them 0.2 to 0.4 s.
    gc.freeze()
    try:
        if not args.answer_while_loading:
            server.wait_until_loaded(lambda: stop.seen)
        if not stop.seen:
            server.listen()
            _announce(args, options, server)
        if args.model_config_file and args.model_config_file_poll_wait_seconds > 0:
            server.watch_config(
                Path(args.model_config_file), args.model_config_file_poll_wait_seconds
            )
        stop.wait()
        logger.info("Stopping: requests under way have %g s to end", args.drain_seconds)
    finally:
        server.stop(args.drain_seconds)


def _announce(args: argparse.Namespace, options: ServerOptions, server: ModelServer) -> None:
    """The lines that scripts wait for; the server answers before they are written."""
    shown = "localhost" if options.host in LOOPBACK else options.host
    if options.is_open_to_all:
        logger.warning(
            "Every machine that reaches %s may use this server: give it --token_file", options.host
        )
    if options.tls and server.rest_url and not options.rest_tls:
        logger.warning("REST is plain HTTP beside TLS, as upstream: --rest_api_enable_tls for both")
    if options.grpc_port is not None:
        logger.info("Running gRPC ModelServer at %s ...", server.grpc_address)
    if options.grpc_socket:
        logger.info("Running gRPC ModelServer at UNIX socket %s ...", options.grpc_socket)
    if server.rest_url:
        port = server.rest_url.rpartition(":")[2]
        logger.info("Exporting HTTP/REST API at:%s:%s ...", shown, port)
        logger.info("NET_LOG: Entering the event loop ...")
    name = Path(args.model_config_file).name if args.model_config_file else args.model_name
    sys.stdout.write(
        f"Serving {name}: REST {server.rest_url or 'off'}, gRPC {server.grpc_address or 'off'}\n"
    )
    sys.stdout.flush()


def _raise_descriptor_limit(options: ServerOptions) -> None:
    """Allows as many open files as the machine does: a connection is one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    except (ValueError, OSError) as err:
        logger.warning("Open files stay limited to %d: %s", soft, err)
    if soft != resource.RLIM_INFINITY and soft < options.http.max_connections * 2:
        logger.warning(
            "Open files are limited to %d; --max_connections=%d and gRPC may need more",
            soft,
            options.http.max_connections,
        )


def _versions() -> str:
    return (
        f"TensorFlow ModelServer: {version('tensorflow-serving-api')}"
        f"+benison.{version('benison')}\n"
        f"TensorFlow Library: {version('tensorflow')}\n"
    )


def _log_to_standard_error() -> None:
    # TensorFlow reads it when it is first imported, which is after this line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(
        level=logging.INFO, format=_LOG_FORMAT, datefmt="%Y-%m-%d %H:%M:%S", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # clients write its warnings
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    # It is about the Python of this machine, not about serving.
    warnings.filterwarnings("ignore", category=FutureWarning, module="google.api_core")
