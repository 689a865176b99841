"""Several worker processes on this machine, sharing one study."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from mlproject.errors import PlatformError
from mlproject.tuning.job import Listener, TuneJob, cpu_count

END_TIMEOUT_S = 15.0  # for a trial to leave its training, before its process is killed
LOOK_EVERY_S = 1.0
NOTE, LIVE = "note", "live"


@dataclass
class Worker:
    """A worker process and its messages: a line of progress, or the error that ended it.

    Attributes:
        process: The process.
        messages: What it says.
        error: The error that it ended with.
    """

    process: BaseProcess
    messages: Connection
    error: PlatformError | None = None


class Pool:
    """Worker processes, started one by one and ended together.

    Args:
        job: The tuning.
        deadline: No trial begins after it (`time.time()`).
        listener: Told how it goes.

    Attributes:
        alive: The workers.
        deaths: How many ended by no error of their own.
    """

    def __init__(self, job: TuneJob, deadline: float, listener: Listener) -> None:
        self._job, self._deadline, self._listener = job, deadline, listener
        self._context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self._started = 0
        self.alive: list[Worker] = []
        self.deaths = 0

    def start(self) -> None:
        """Starts one more worker."""
        ours, theirs = self._context.Pipe(duplex=False)
        threads = max(1, cpu_count() // self._job.section.parallel)
        process = self._context.Process(
            target=work,
            args=(self._job, self._started, self._deadline, threads, theirs),
            name=f"tuning-worker-{self._started}",
        )
        process.start()
        theirs.close()
        self._started += 1
        self.alive.append(Worker(process, ours))

    def ended(self) -> list[Worker]:
        """Passes on what the workers say; waits a moment; those that have ended since."""
        sources: list[Any] = [w.messages for w in self.alive if not w.messages.closed]
        ready = wait([*sources, *(w.process.sentinel for w in self.alive)], LOOK_EVERY_S)
        gone = [w for w in self.alive if w.process.sentinel in ready]
        for worker in self.alive:
            self._hear(worker)
        for worker in gone:
            worker.process.join()
            worker.messages.close()
            self.alive.remove(worker)
        return gone

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Ends every worker at the end of a block, however that comes."""
        try:
            yield
        finally:
            for worker in self.alive:
                worker.process.terminate()
            over = time.monotonic() + END_TIMEOUT_S
            for worker in self.alive:
                worker.process.join(max(0.0, over - time.monotonic()))
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
                worker.messages.close()
            self.alive.clear()

    def _hear(self, worker: Worker) -> None:
        try:
            while not worker.messages.closed and worker.messages.poll():
                message = worker.messages.recv()
                if isinstance(message, PlatformError):
                    worker.error = message
                else:
                    kind, text = message
                    (self._listener.note if kind == NOTE else self._listener.live)(text)
        except (EOFError, OSError):
            worker.messages.close()


def work(job: TuneJob, number: int, deadline: float, threads: int, messages: Connection) -> None:
    """What a worker process does: trials, until the study has enough.

    Args:
        job: The tuning.
        number: The worker's number.
        deadline: No trial begins after it (`time.time()`).
        threads: CPU threads that TensorFlow may use.
        messages: Where it says what happens.
    """
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, _interrupt)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import tensorflow as tf

    from mlproject.tuning.worker import run_trials

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    listener = Listener(
        lambda text: messages.send((NOTE, text)), lambda text: messages.send((LIVE, text))
    )
    try:
        run_trials(job, number, deadline, listener)
    except PlatformError as err:
        messages.send(err)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _interrupt(_sign: int, _frame: Any) -> None:
    """Ends the trial once: a second signal must not break off what the first one has to tidy."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, killed or not."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(END_TIMEOUT_S)
        os._exit(1)
