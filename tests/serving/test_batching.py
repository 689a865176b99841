"""Dynamic batching: forming, padding, splitting, limits, errors, and the parameters' file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlproject.errors import ConfigError
from serving.model_server.batching import (
    BatchingParameters,
    BatchQueue,
    BatchSlots,
    read_batching_parameters,
)
from serving.model_server.status import Code, StatusError

A_LONG_WHILE_MICROS = 60_000_000


class Doubler:
    """A model of one input that doubles it and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray[Any, Any]] = []
        self.running = 0
        self.most_running = 0
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    def __call__(self, feeds: list[Any]) -> list[Any]:
        with self._lock:
            self.batches.append(feeds[0])
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        assert self.gate.wait(20)
        with self._lock:
            self.running -= 1
        return [feeds[0] * 2]


def rows(*values: float) -> list[Any]:
    return [np.array(values, np.float32).reshape(-1, 1)]


def queue(call: Callable[[list[Any]], Sequence[Any]], **parameters: Any) -> BatchQueue:
    parameters.setdefault("num_batch_threads", 1)
    return BatchQueue(call, BatchingParameters(**parameters), ("x",))


def held(model: Doubler, batches: BatchQueue, pool: ThreadPoolExecutor) -> Future[Any]:
    """Occupy the only slot: what comes after gathers until `model.gate` is set."""
    model.gate.clear()
    first = pool.submit(batches.run, rows(-1))
    wait_for(lambda: model.running == 1)
    return first


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def wait_for_rows(batches: BatchQueue, number: int) -> None:
    wait_for(lambda: batches._open is not None and batches._open.rows == number)


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(40) as executor:
        yield executor


def test_requests_that_wait_run_as_one_batch_and_get_their_own_rows(
    pool: ThreadPoolExecutor,
) -> None:
    model = Doubler()
    batches = queue(model)
    first = held(model, batches, pool)
    others = []
    for count, request in enumerate(([1, 2], [3], [4, 5, 6]), start=1):
        others.append(pool.submit(batches.run, rows(*request)))
        wait_for_rows(batches, (2, 3, 6)[count - 1])
    model.gate.set()
    assert first.result()[0].tolist() == [[-2]]
    assert [other.result()[0].ravel().tolist() for other in others] == [[2, 4], [6], [8, 10, 12]]
    assert [batch.ravel().tolist() for batch in model.batches] == [[-1], [1, 2, 3, 4, 5, 6]]


def test_a_lone_request_runs_at_once_without_timeout_and_after_it_with_one() -> None:
    began = time.monotonic()
    assert queue(Doubler()).run(rows(1))[0].tolist() == [[2]]
    assert time.monotonic() - began < 30
    assert BatchingParameters().batch_timeout_micros == 0
    began = time.monotonic()
    queue(Doubler(), batch_timeout_micros=200_000).run(rows(1))
    assert time.monotonic() - began >= 0.2


def test_a_full_batch_does_not_wait_for_its_timeout(pool: ThreadPoolExecutor) -> None:
    model = Doubler()
    batches = queue(model, max_batch_size=4, batch_timeout_micros=A_LONG_WHILE_MICROS)
    answers = [pool.submit(batches.run, rows(n, n)) for n in range(4)]
    assert sorted(answer.result(20)[0][0, 0] for answer in answers) == [0, 2, 4, 6]
    assert [len(batch) for batch in model.batches] == [4, 4]


def test_a_request_that_does_not_fit_seals_the_open_batch(pool: ThreadPoolExecutor) -> None:
    model = Doubler()
    batches = queue(model, max_batch_size=4, batch_timeout_micros=A_LONG_WHILE_MICROS)
    small = pool.submit(batches.run, rows(1))
    wait_for_rows(batches, 1)
    large = pool.submit(batches.run, rows(2, 3, 4, 5))
    assert small.result(20)[0].tolist() == [[2]]
    assert large.result(20)[0].ravel().tolist() == [4, 6, 8, 10]


def test_batches_are_padded_to_an_allowed_size_with_a_row_that_was_sent() -> None:
    model = Doubler()
    batches = queue(model, max_batch_size=8, allowed_batch_sizes=(4, 8))
    assert batches.run(rows(7))[0].tolist() == [[14]]
    assert batches.run(rows(1, 2, 3, 4, 5))[0].ravel().tolist() == [2, 4, 6, 8, 10]
    assert [batch.ravel().tolist() for batch in model.batches] == [
        [7, 7, 7, 7],
        [1, 2, 3, 4, 5, 1, 1, 1],
    ]
    assert batches.run([np.empty((0, 1), np.float32)])[0].shape == (0, 1)


def test_a_request_over_the_largest_batch_is_refused() -> None:
    with pytest.raises(StatusError, match="Task size 3 is larger than maximum input batch size 2"):
        queue(Doubler(), max_batch_size=2).run(rows(1, 2, 3))


def test_a_large_request_is_split_where_that_is_allowed(pool: ThreadPoolExecutor) -> None:
    model = Doubler()
    batches = queue(
        model,
        max_batch_size=20,
        max_execution_batch_size=4,
        enable_large_batch_splitting=True,
    )
    first = held(model, batches, pool)
    small = pool.submit(batches.run, rows(100))
    wait_for_rows(batches, 1)
    large = pool.submit(batches.run, rows(*range(9)))
    wait_for_rows(batches, 2)
    model.gate.set()
    assert large.result(20)[0].ravel().tolist() == [2 * n for n in range(9)]
    assert small.result(20)[0].tolist() == [[200]]
    first.result(20)
    assert [batch.ravel().tolist() for batch in model.batches] == [
        [-1],
        [100, 0, 1, 2],
        [3, 4, 5, 6],
        [7, 8],
    ]
    with pytest.raises(StatusError, match="Task size 21 is larger"):
        batches.run(rows(*range(21)))


@pytest.mark.parametrize("splitting", [False, True])
def test_a_full_queue_answers_unavailable_and_recovers(
    pool: ThreadPoolExecutor, splitting: bool
) -> None:
    model = Doubler()
    batches = queue(
        model, max_batch_size=2, max_enqueued_batches=2, enable_large_batch_splitting=splitting
    )
    first = held(model, batches, pool)
    waiting = [pool.submit(batches.run, rows(n, n)) for n in range(2)]
    wait_for(lambda: batches._waiting_batches == 2)
    with pytest.raises(
        StatusError, match="batch scheduling queue to which this task was submitted is full"
    ) as refused:
        batches.run(rows(9, 9))
    assert refused.value.code is Code.UNAVAILABLE
    model.gate.set()
    assert first.result(20)[0].tolist() == [[-2]]
    assert sorted(answer.result(20)[0][0, 0] for answer in waiting) == [0, 2]
    assert batches.run(rows(9, 9))[0].tolist() == [[18], [18]]


def test_unequal_shapes_refuse_the_batch_or_are_padded(pool: ThreadPoolExecutor) -> None:
    wide = [np.array([[5, 6, 7]], np.float32)]
    for pad in (False, True):
        model = Doubler()
        batches = queue(model, pad_variable_length_inputs=pad)
        first = held(model, batches, pool)
        narrow = pool.submit(batches.run, [np.array([[1, 2], [3, 4]], np.float32)])
        wait_for_rows(batches, 2)
        other = pool.submit(batches.run, wide)
        wait_for_rows(batches, 3)
        model.gate.set()
        first.result(20)
        if pad:  # with the array's first element, as in TensorFlow Serving
            assert narrow.result(20)[0].tolist() == [[2, 4, 2], [6, 8, 2]]
            assert other.result(20)[0].tolist() == [[10, 12, 14]]
        else:
            for answer in (narrow, other):
                with pytest.raises(StatusError, match="have different shapes") as err:
                    answer.result(20)
                assert err.value.code is Code.FAILED_PRECONDITION


def test_strings_are_padded_and_joined_whole(pool: ThreadPoolExecutor) -> None:
    model = Doubler()
    batches = queue(lambda feeds: [model(rows(0)) and feeds[0]], pad_variable_length_inputs=True)
    first = held(model, batches, pool)
    short = pool.submit(batches.run, [np.array([[b"a\0"]], object)])
    wait_for_rows(batches, 1)
    long = pool.submit(batches.run, [np.array([[b"b", b"c"]], object)])
    wait_for_rows(batches, 2)
    model.gate.set()
    first.result(20)
    assert short.result(20)[0].tolist() == [[b"a\0", b"a\0"]]
    assert long.result(20)[0].tolist() == [[b"b", b"c"]]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ([], "must have at least one input tensor"),
        ([np.float32(3)], "must have at least one dimension"),
        ([np.zeros((2, 1)), np.zeros((3, 1))], "must have equal 0th-dimension size"),
    ],
)
def test_what_has_no_rows_cannot_be_batched(feeds: list[Any], message: str) -> None:
    with pytest.raises(StatusError, match=message) as refused:
        queue(Doubler()).run(feeds)
    assert refused.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.float32(1), "Batched output tensor has 0 dimensions"),
        (np.zeros(3), "0th dimension does not equal the sum of the 0th dimension"),
    ],
)
def test_an_output_without_the_rows_of_the_batch_is_an_error(output: Any, message: str) -> None:
    with pytest.raises(StatusError, match=message) as refused:
        queue(lambda feeds: [output]).run(rows(1, 2))
    assert refused.value.code is Code.FAILED_PRECONDITION


def test_the_error_of_a_batch_reaches_each_of_its_requests_and_no_other(
    pool: ThreadPoolExecutor,
) -> None:
    model = Doubler()

    def fails_on_nine(feeds: list[Any]) -> list[Any]:
        outputs = model(feeds)
        if 9 in feeds[0]:
            raise StatusError(Code.OUT_OF_RANGE, "nine is out of range")
        return outputs

    batches = queue(fails_on_nine)
    first = held(model, batches, pool)
    others = [pool.submit(batches.run, rows(n)) for n in (8, 9)]
    wait_for_rows(batches, 2)
    model.gate.set()
    assert first.result(20)[0].tolist() == [[-2]]
    for other in others:
        with pytest.raises(StatusError, match="nine is out of range"):
            other.result(20)
    assert batches.run(rows(8))[0].tolist() == [[16]]


def test_close_ends_the_wait_of_a_batch_lets_it_finish_and_refuses_what_comes_after(
    pool: ThreadPoolExecutor,
) -> None:
    model = Doubler()
    batches = queue(model, batch_timeout_micros=A_LONG_WHILE_MICROS)
    waiting = pool.submit(batches.run, rows(4))
    wait_for_rows(batches, 1)
    batches.close()
    assert waiting.done()
    assert waiting.result()[0].tolist() == [[8]]
    with pytest.raises(StatusError, match="closed") as refused:
        batches.run(rows(1))
    assert refused.value.code is Code.UNAVAILABLE
    batches.close()


def test_queues_share_the_slots_of_their_server(pool: ThreadPoolExecutor) -> None:
    model, slots = Doubler(), BatchSlots(2)
    parameters = BatchingParameters(max_batch_size=1, max_enqueued_batches=100)
    queues = [BatchQueue(model, parameters, ("x",), slots=slots) for _ in range(4)]
    model.gate.clear()
    answers = [pool.submit(queues[n % 4].run, rows(n)) for n in range(32)]
    wait_for(lambda: model.running == 2)
    model.gate.set()
    assert sorted(answer.result(20)[0][0, 0] for answer in answers) == list(range(0, 64, 2))
    assert model.most_running == 2


def test_many_callers_of_many_sizes_each_get_their_own_rows(pool: ThreadPoolExecutor) -> None:
    model = Doubler()
    batches = queue(
        model,
        max_batch_size=64,
        max_execution_batch_size=16,
        enable_large_batch_splitting=True,
        allowed_batch_sizes=(1, 4, 16),
        batch_timeout_micros=200,
        max_enqueued_batches=1000,
        num_batch_threads=3,
    )
    random = np.random.default_rng(0)
    requests = [rows(*random.normal(size=size)) for size in random.integers(0, 40, 1000)]

    def ask(request: list[Any]) -> bool:
        return bool((batches.run(request)[0] == request[0] * 2).all())

    assert all(pool.map(ask, requests))
    assert max(len(batch) for batch in model.batches) == 16
    assert model.most_running <= 3
    assert len(model.batches) < 2 * sum(len(request[0]) for request in requests) / 16


def test_the_parameters_file_is_read_as_tensorflow_serving_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "batching.txt"
    path.write_text(
        "max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\n"
        "max_enqueued_batches { value: 1000000 }\nnum_batch_threads { value: 8 }\n"
        'thread_pool_name { value: "pool" }  # a comment\n'
        "allowed_batch_sizes: 32\nallowed_batch_sizes : 128\npad_variable_length_inputs: true\n"
    )
    assert read_batching_parameters(path) == BatchingParameters(
        max_batch_size=128,
        batch_timeout_micros=0,
        max_enqueued_batches=1_000_000,
        num_batch_threads=8,
        thread_pool_name="pool",
        allowed_batch_sizes=(32, 128),
        pad_variable_length_inputs=True,
    )
    path.write_text("")
    empty = read_batching_parameters(path)
    assert (empty.max_batch_size, empty.batch_timeout_micros) == (1000, 0)
    assert empty.max_enqueued_batches == 10
    path.write_text(
        "max_batch_size { value: 100 } enable_large_batch_splitting { value: true }\n"
        "max_execution_batch_size { value: 10 } allowed_batch_sizes: [5, 10]"
    )
    assert read_batching_parameters(path).batch_limit == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 128", "Invalid protobuf file"),
        ("max_batchsize { value: 128 }", "max_batchsize"),
        ("max_batch_size { value: 'x' }", "Invalid protobuf file"),
        ("\x00\x01", "Invalid protobuf file"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative"),
        ("max_enqueued_batches { value: -5 }", "max_enqueued_batches must be non-negative"),
        (
            "max_batch_size { value: 64 } allowed_batch_sizes: 32",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 32; "
            "expected 64",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: [8, 4]",
            "monotonically increasing",
        ),
        ("allowed_batch_sizes: [0, 1000]", "monotonically increasing"),
        (
            "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 8 }",
            "max_execution_batch_size must be positive and at most max_batch_size; was 8",
        ),
    ],
)
def test_a_wrong_parameters_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "batching.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_batching_parameters(path)


def test_a_parameters_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Reading the BatchingParameters file"):
        read_batching_parameters(tmp_path / "none.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="Reading the BatchingParameters file"):
        read_batching_parameters(tmp_path / "binary")
