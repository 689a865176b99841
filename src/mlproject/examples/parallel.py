"""Work on a stream of items in several threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from mlproject.errors import PlatformError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(work: Callable[[Item], Result], items: Iterator[Item]) -> Iterator[Result]:
    """Apply a function to every item, in one thread for each core.

    Only a few items are in the making at any time, however many there are. It pays where `work`
    spends its time in C code that lets go of Python's lock.

    Args:
        work: Called once for each item, in any thread.
        items: Taken from the caller's thread.

    Yields:
        The results, in the order of the items.

    Raises:
        PlatformError: What `work` or `items` raised, once all results before it were taken.
    """
    threads = pa.cpu_count()
    waiting: deque[Future[Result]] = deque()
    fault: PlatformError | None = None
    with ThreadPoolExecutor(threads) as pool:
        try:
            more = True
            while more or waiting:
                while more and len(waiting) <= threads:
                    try:
                        waiting.append(pool.submit(work, next(items)))
                    except StopIteration:
                        more = False
                    except PlatformError as err:
                        more, fault = False, err
                if waiting:
                    yield waiting.popleft().result()
            if fault is not None:
                raise fault
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
