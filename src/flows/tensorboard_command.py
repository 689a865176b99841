"""`benison tensorboard`: the TensorBoard logs of a training, fetched from MLflow and shown."""

from __future__ import annotations

import argparse
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_verbose

if TYPE_CHECKING:
    from mlproject.settings import Settings

PORT = 6006  # TensorBoard's own


def add_parser(commands: Any) -> None:
    """Adds `tensorboard`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "tensorboard",
        help="show a training's TensorBoard logs",
        description="Fetches the logs from MLflow and runs TensorBoard on them until interrupted.",
    )
    leaf.add_argument(
        "training",
        metavar="RUN",
        help="an MLflow run id (of the training or its pipeline), or a project's folder or name: "
        "its newest training",
    )
    leaf.add_argument("--host", default="127.0.0.1", help="address to bind (default 127.0.0.1)")
    leaf.add_argument("--port", type=int, default=PORT, help="port (default 6006; 0: any)")
    add_verbose(leaf)
    leaf.set_defaults(run="flows.tensorboard_command:tensorboard")


def tensorboard(args: argparse.Namespace) -> int:
    """Shows the logs until it is interrupted."""
    from flows.logs import quiet
    from flows.tensorboard_server import board
    from mlproject.settings import read_settings

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = read_settings()
    with (
        quiet(settings.home, "tensorboard", args.verbose) as (stream, _),
        tempfile.TemporaryDirectory(prefix="benison-tensorboard-") as folder,
    ):
        run_id, logs = _fetch(settings, args.training, Path(folder))
        with board(logs, args.host, args.port, stop) as running:
            if running.url:
                print(f"{running.url}  training {run_id}; Ctrl-C ends it", file=stream, flush=True)
                running.wait(stop)
    return 0


def _fetch(settings: Settings, training: str, into: Path) -> tuple[str, Path]:
    from mlproject.config import load_project
    from mlproject.tracking.training_logs import download_tensorboard

    folder = Path(training)
    name = load_project(folder).config.name if folder.is_dir() else training
    return download_tensorboard(settings, name, into)
