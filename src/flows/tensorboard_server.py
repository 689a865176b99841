"""TensorBoard as a process of its own, for as long as a block runs.

    python -m flows.tensorboard_server LOGS HOST PORT

TensorBoard has no end of its own: its threads are daemons, and one of them reads event files in
C++. Where Python finalises while it does, the thread is unwound there, and the process ends by
SIGABRT (std::terminate). So it stands alone, and is killed: it only reads. It ends, too, as soon as
its standard input does: whoever started it is gone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlproject.errors import ConfigError, PlatformError

LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Board:
    """A TensorBoard that runs.

    Attributes:
        url: Its address; empty where it was stopped before it had one.
        process: Its process.
    """

    url: str
    process: subprocess.Popen[str]

    def wait(self, stop: threading.Event) -> None:
        """Waits until it is to stop.

        Raises:
            PlatformError: It ended by itself.
        """
        while not stop.wait(LOOK_EVERY_S):
            if self.process.poll() is not None:
                raise _ended(self.process)


@contextmanager
def board(logs: Path, host: str, port: int, stop: threading.Event) -> Iterator[Board]:
    """Runs TensorBoard for a block.

    Args:
        logs: Folder with its logs.
        host: Address to bind.
        port: Port to bind; 0 for any.
        stop: Set while it still starts, it is waited for no longer.

    Raises:
        ConfigError: The address cannot be bound.
        PlatformError: It ended by itself.
    """
    command = [sys.executable, "-m", "flows.tensorboard_server", str(logs), host, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Board(_address(process, host, port, stop), process)
    finally:
        process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str], host: str, port: int, stop: threading.Event) -> str:
    assert process.stdout is not None
    while not select.select([process.stdout], [], [], LOOK_EVERY_S)[0]:
        if stop.is_set():
            return ""
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise _ended(process)
    answer = json.loads(line)
    if "refused" in answer:
        raise ConfigError(
            "Starting TensorBoard failed",
            received=f"{host}:{port}: {answer['refused']}",
            expected="a free port of this machine",
            next_step="choose another with --port (0: any)",
        )
    return str(answer["url"])


def _ended(process: subprocess.Popen[str]) -> PlatformError:
    return PlatformError(
        "TensorBoard ended by itself",
        received=f"exit code {process.returncode}",
        expected="a server until it is interrupted",
        next_step="run it again with --verbose",
    )


def main() -> None:
    """Starts TensorBoard, says where on standard output, and ends with standard input."""
    logs, host, port = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for who started us
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what TensorBoard prints is not the answer
    print(json.dumps(_launch(logs, host, int(port))), file=told, flush=True)
    threading.Event().wait()


def _launch(logs: str, host: str, port: int) -> dict[str, str]:
    from tensorboard import program  # type: ignore[import-untyped]

    server = program.TensorBoard()
    # Without the separate data server: these logs are small, and a killed process leaves none.
    server.configure(logdir=logs, host=host, port=port, load_fast="false")
    try:
        return {"url": str(server.launch())}
    except program.TensorBoardServerException as err:
        return {"refused": " ".join(str(err).split())[:200]}


def _end_with(stream: IO[str]) -> None:
    stream.read()
    os._exit(0)  # nothing is finalised beneath TensorBoard's threads


if __name__ == "__main__":
    main()
