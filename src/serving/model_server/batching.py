"""Dynamic batching: requests that arrive together run as one, as in TensorFlow Serving.

There are no batch threads. The request that opens a batch leads it: it waits for others until the
batch is full or its time is over, takes one of the server's slots, runs the batch and wakes those
who joined. A lone request so costs no change of thread, and what arrives while all slots are busy
gathers in the next batch by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from serving.model_server.batch_arrays import allowed_size, merge, row_count, split
from serving.model_server.batch_slots import BatchSlots, locked
from serving.model_server.batching_parameters import BatchingParameters, read_batching_parameters
from serving.model_server.signature import Array
from serving.model_server.status import Code, StatusError, invalid

__all__ = ["BatchQueue", "BatchRecorder", "BatchSlots", "BatchingParameters"]
__all__ += ["read_batching_parameters"]

Call = Callable[[list[Array]], Sequence[Array]]


class BatchRecorder(Protocol):
    """What hears of each batch; `ServerMetrics` is one."""

    def batch(
        self, pool: str, request_rows: Sequence[int], waits_s: Sequence[float], rows: int
    ) -> None:
        """A batch began to run.

        Args:
            pool: The parameters' `thread_pool_name`.
            request_rows: The rows of each request, or part of one, in the batch.
            waits_s: How long each of them has waited, seconds.
            rows: The rows of the batch, with padding.
        """


class _Part:
    """The rows of one request in one batch."""

    __slots__ = ("batch", "done", "feeds", "outputs", "queued_at", "rows")

    def __init__(self, batch: _Batch, feeds: Sequence[Array], rows: int, now: float) -> None:
        self.batch = batch
        self.feeds = feeds
        self.rows = rows
        self.queued_at = now
        self.done = locked()
        self.outputs: list[Array] = []

    def result(self) -> list[Array]:
        """Wait for the outputs, or raise the error of the batch."""
        self.done.acquire()
        error = self.batch.error
        if error is None:
            return self.outputs
        if isinstance(error, Exception):
            raise error
        raise StatusError(Code.CANCELLED, "The thread that ran the batch was stopped") from error


class _Batch:
    """Requests that run together; open to more of them until it is sealed."""

    __slots__ = ("due", "error", "parts", "rows", "sealed", "started")

    def __init__(self, due: float) -> None:
        self.due = due
        self.parts: list[_Part] = []
        self.rows = 0
        self.sealed = locked()  # released when there is no more to wait for
        self.started = False
        self.error: BaseException | None = None

    def wait_until_due(self) -> None:
        wait = self.due - time.monotonic()
        if wait > 0:
            self.sealed.acquire(timeout=min(wait, threading.TIMEOUT_MAX))


class BatchQueue:
    """Gathers the requests of one signature of one model version into batches.

    Args:
        call: Runs the signature: an array for each input to an array for each output.
        parameters: How batches are formed.
        names: The inputs' names, in the order of the arrays; for errors.
        slots: The places for running batches, shared by the queues of a server; None gives this
            queue places of its own.
        recorder: Is told of each batch.
    """

    def __init__(
        self,
        call: Call,
        parameters: BatchingParameters,
        names: Sequence[str],
        *,
        slots: BatchSlots | None = None,
        recorder: BatchRecorder | None = None,
    ) -> None:
        self._call = call
        self._parameters = parameters
        self._names = tuple(names)
        self._slots = slots or BatchSlots(parameters.num_batch_threads)
        self._recorder = recorder
        self._lock = threading.Lock()
        self._open: _Batch | None = None
        self._waiting_batches = 0  # that have not started, with the open one
        self._callers = 0
        self._closed = False
        self._drained = threading.Event()

    def run(self, feeds: list[Array]) -> list[Array]:
        """Run a request within a batch; blocks until its outputs are there.

        Args:
            feeds: An array for each input; all have the same first dimension, the rows.

        Returns:
            An array for each output, with the rows of this request.

        Raises:
            StatusError: The request cannot be batched, the queue is full or closed, or the batch
                it was in failed. Errors of `call` are raised as they are, by each request of the
                batch.
        """
        rows = row_count(feeds)
        with self._lock:
            self._check_capacity(rows)
            parts, led = self._join(feeds, rows)
            self._callers += 1
        try:
            for batch in led:
                self._lead(batch)
            results = [part.result() for part in parts]
        finally:
            with self._lock:
                self._callers -= 1
                if self._closed and not self._callers:
                    self._drained.set()
        if len(results) == 1:
            return results[0]
        return [
            merge([[piece] for piece in pieces], ("",), 0, pad_inner=False)[0]
            for pieces in zip(*results, strict=True)
        ]

    def close(self) -> None:
        """Take no more requests and wait for those under way; none waits for its time any more."""
        with self._lock:
            self._closed = True
            self._seal()
            if not self._callers:
                self._drained.set()
        self._drained.wait()

    def _check_capacity(self, rows: int) -> None:
        parameters, limit = self._parameters, self._parameters.batch_limit
        waiting, most = self._waiting_batches, self._parameters.max_enqueued_batches
        full = "The batch scheduling queue to which this task was submitted is full"
        if self._closed:
            raise StatusError(Code.UNAVAILABLE, "The batch scheduling queue is closed")
        if rows > parameters.max_batch_size:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size "
                f"{parameters.max_batch_size}"
            )
        if parameters.enable_large_batch_splitting:
            room = (most - waiting) * limit + (limit - self._open.rows if self._open else 0)
            if rows > room and waiting:
                raise StatusError(
                    Code.UNAVAILABLE,
                    f"{full}; task size is {rows} but scheduling capacity is only {max(room, 0)}",
                )
        elif waiting >= most and waiting and not self._fits(rows):
            raise StatusError(
                Code.UNAVAILABLE,
                f"{full}; currently {waiting} batches enqueued and max_enqueued_batches is {most}",
            )

    def _fits(self, rows: int) -> bool:
        return self._open is not None and self._open.rows + rows <= self._parameters.batch_limit

    def _join(self, feeds: list[Array], rows: int) -> tuple[list[_Part], list[_Batch]]:
        """Put a request into the open batch, and into new ones where it does not fit.

        Returns:
            Its parts, and the batches that it opened and has to lead.
        """
        now, limit = time.monotonic(), self._parameters.batch_limit
        parts: list[_Part] = []
        led: list[_Batch] = []
        begin = 0
        splits = self._parameters.enable_large_batch_splitting
        while begin < rows or not parts:
            if self._open and not splits and not self._fits(rows):
                self._seal()
            if self._open is None:
                self._open = _Batch(now + self._parameters.batch_timeout_micros / 1e6)
                self._waiting_batches += 1
                led.append(self._open)
            batch = self._open
            taken = min(rows - begin, limit - batch.rows)
            piece = feeds if taken == rows else [feed[begin : begin + taken] for feed in feeds]
            parts.append(_Part(batch, piece, taken, now))
            batch.parts.append(parts[-1])
            batch.rows += taken
            begin += taken
            if batch.rows >= limit:
                self._seal()
        return parts, led

    def _seal(self) -> None:
        """Close the open batch to more requests and end the wait of its leader."""
        if self._open:
            self._open.sealed.release()
            self._open = None

    def _lead(self, batch: _Batch) -> None:
        try:
            batch.wait_until_due()
            with self._slots:
                self._start(batch)
                self._run(batch)
        except BaseException as err:  # noqa: BLE001 - every request of the batch raises it
            batch.error = err
            self._start(batch)
        for part in batch.parts:
            part.done.release()

    def _start(self, batch: _Batch) -> None:
        with self._lock:
            if self._open is batch:
                self._open = None
            if not batch.started:
                batch.started = True
                self._waiting_batches -= 1

    def _run(self, batch: _Batch) -> None:
        parameters, sizes = self._parameters, [part.rows for part in batch.parts]
        padding = allowed_size(batch.rows, parameters.allowed_batch_sizes) - batch.rows
        if self._recorder:
            now = time.monotonic()
            waits = [now - part.queued_at for part in batch.parts]
            self._recorder.batch(parameters.thread_pool_name, sizes, waits, batch.rows + padding)
        feeds = merge(
            [part.feeds for part in batch.parts],
            self._names,
            padding,
            pad_inner=parameters.pad_variable_length_inputs,
        )
        outputs = self._call(feeds)
        for part, piece in zip(batch.parts, split(outputs, sizes, len(feeds[0])), strict=True):
            part.outputs = piece
