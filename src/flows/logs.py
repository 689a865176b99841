"""Quiet logs: what TensorFlow, Beam, MLflow and Prefect print goes to a file during a run."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mlproject.artifacts import translate_os_errors

# Set before TensorFlow is imported; errors still come through.
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}


@contextlib.contextmanager
def quiet(home: Path, name: str, verbose: bool) -> Iterator[tuple[IO[str], Path | None]]:
    """Sends standard output and error to a log file for the length of a block.

    The file descriptors are moved, not `sys.stdout` alone: TensorFlow writes from C++.

    Args:
        home: The platform's home; the file is `<home>/logs/<time>-<name>.log`.
        name: Of the command.
        verbose: Leave everything on the terminal.

    An error that leaves the block carries a note that names the log, unless that is empty.

    Yields:
        The real standard error, to show progress on, and the log file (None if verbose).
    """
    if verbose:
        yield sys.stderr, None
        return
    for variable, value in QUIET_TENSORFLOW.items():
        os.environ.setdefault(variable, value)
    folder = home / "logs"
    log = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{name}.log"
    with translate_os_errors("Opening the log", folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(log, "w", encoding="utf-8")  # noqa: SIM115 - closed in the finally below
    sys.stdout.flush()
    sys.stderr.flush()
    saved_out, saved_err = os.dup(1), os.dup(2)
    console = os.fdopen(os.dup(saved_err), "w", encoding="utf-8", buffering=1)
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    try:
        yield console, log
    except Exception as err:
        _flush()
        if os.fstat(file.fileno()).st_size:
            err.add_note(f"Log      {log}")
        raise
    finally:
        _flush()
        os.dup2(saved_out, 1)
        os.dup2(saved_err, 2)
        for descriptor in (saved_out, saved_err):
            os.close(descriptor)
        console.close()
        file.close()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # a full disk must not keep the terminal away
            stream.flush()
