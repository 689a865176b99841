"""The model server as a program that ends with whoever started it.

    python -m serving.trial.process --model_name=taxi --model_base_path=DIR --port=auto ...

The flags are those of `python -m serving.model_server`. Standard input is a pipe from the starter:
it closes when the starter ends, however it ends, and then the server stops.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

GRACE_S = 15.0


def main() -> int:
    """Serves until it is told to stop, or standard input closes."""
    # tf.Transform sets it for whoever imports it, and so for the processes that they start.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    from serving.model_server.program import run

    return run()


def _end_with_the_starter() -> None:
    # Not through sys.stdin: its lock, held here, would abort the interpreter's own end.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
