"""A connection to a Dask cluster: its workers checked, tasks awaited, losses told in our words."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlproject.errors import ConfigError, EngineError, EngineUnavailable

PACKAGES = (
    *("apache-beam", "pyarrow", "tensorflow", "tensorflow-transform"),
    *("tensorflow-data-validation", "tfx-bsl"),
)
_CONNECT_S = 30.0
_POLL_S = 1.0
_LONELY_S = 60.0


class Cluster:
    """The workers of a Dask scheduler.

    Args:
        client: A `distributed.Client`.
        patience_s: Seconds to wait for a worker when there is none.
    """

    def __init__(self, client: Any, patience_s: float) -> None:
        self._client = client
        self._patience_s = patience_s

    @property
    def threads(self) -> int:
        """Tasks that the workers of this moment run at once; at least 1."""
        return max(1, sum(self._client.nthreads().values()))

    def map(self, function: Callable[..., Any], shared: Any, items: Sequence[Any]) -> list[Any]:
        """`function(shared, item)` for every item on the workers; the results in order.

        A task whose worker dies is run again on another.

        Raises:
            EngineUnavailable: The scheduler is gone, or no worker has been there for a while.
            EngineError: A task's worker died again and again.
            Exception: What the function raised.
        """
        with _told_in_our_words():
            futures = [
                self._client.submit(function, shared, item, pure=False, retries=0) for item in items
            ]
            try:
                self._wait(futures)
                return self._client.gather(futures)
            finally:
                self._client.cancel(futures)

    def _wait(self, futures: Sequence[Any]) -> None:
        """Until all have ended, or one has failed."""
        from distributed import wait

        seen = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError), self._client.as_current():
                wait(futures, timeout=_POLL_S)
                return
            for future in futures:
                if future.status == "error":
                    future.result()
            if self._has_workers():
                seen = time.monotonic()
            elif time.monotonic() - seen > self._patience_s:
                raise EngineUnavailable(
                    "Every worker of the Dask cluster is gone",
                    received=f"no worker for {self._patience_s:.0f} s",
                    expected="at least one worker",
                    next_step="look at the workers' logs (killed for memory?), then run again: "
                    "nothing was published",
                )

    def _has_workers(self) -> bool:
        try:
            return bool(self._client.nthreads())
        except (OSError, TimeoutError) as err:
            raise _lost(err) from err

    def check(self, temp_dir: str) -> None:
        """Checks that every worker has our packages and sees the temporary folder.

        Raises:
            ConfigError: A worker differs.
        """
        probe = Path(temp_dir) / f"probe-{uuid.uuid4().hex}"
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text("seen")
        here = look_around(str(probe))
        try:
            with _told_in_our_words():
                found: Mapping[str, Any] = self._client.run(look_around, str(probe))
        except ModuleNotFoundError as err:
            raise ConfigError(
                "A worker of the Dask cluster cannot run our code",
                received=f"no module {err.name}",
                expected="Benison and its packages on every worker, in the versions of this one",
                next_step="start the workers from the same environment or image as this process",
            ) from err
        finally:
            probe.unlink()
        for there in found.values():
            differing = [name for name in here if there.get(name) != here[name]]
            if differing:
                raise ConfigError(
                    "A worker of the Dask cluster differs from this process",
                    received=", ".join(f"{n}: {there.get(n)}" for n in differing),
                    expected=", ".join(f"{n}: {here[n]}" for n in differing),
                    next_step="start the workers from the same environment or image, with the "
                    "same storage mounted at the same path (or set --temp_location)",
                )


@contextlib.contextmanager
def connect(
    options: Mapping[str, Any], workers: int, patience_s: float = _LONELY_S
) -> Iterator[Cluster]:
    """Connects to a scheduler and waits for its workers.

    Args:
        options: What `distributed.Client` takes: `address` or `scheduler_file`, and more.
        workers: Workers to wait for; at least one.
        patience_s: Seconds that a run waits for a new worker when it has lost all.

    Raises:
        EngineUnavailable: The scheduler or the workers do not come in time.
    """
    import distributed

    timeout_s = float(options.get("timeout") or _CONNECT_S)
    try:
        with _told_in_our_words():
            client = distributed.Client(
                **{**options, "timeout": timeout_s}, set_as_default=False, security=None
            )
    except (OSError, TimeoutError) as err:
        raise EngineUnavailable(
            "The scheduler of the Dask cluster does not answer",
            received=f"{type(err).__name__} after {timeout_s:.0f} s",
            expected="a scheduler at --dask_client_address or in --dask_scheduler_file",
            next_step="start `dask scheduler`, or correct the address in BENISON_BEAM_OPTIONS",
        ) from err
    try:
        try:
            client.wait_for_workers(max(workers, 1), timeout=timeout_s)
        except TimeoutError as err:
            raise EngineUnavailable(
                "The workers of the Dask cluster did not come",
                received=f"{len(client.nthreads())} after {timeout_s:.0f} s",
                expected=f"at least {max(workers, 1)}",
                next_step="start `dask worker`, or lower --num_workers",
            ) from err
        yield Cluster(client, patience_s)
    finally:
        client.close()


def look_around(probe: str) -> dict[str, str]:
    """What must be equal in every process of a run: versions, and whether a file is seen."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    seen = Path(probe).is_file()
    return {**found, "temporary folder": "shared" if seen else "not seen"}


@contextlib.contextmanager
def _told_in_our_words() -> Iterator[None]:
    """Dask's own failures as ours; what the pipeline's code raised passes.

    Raises:
        EngineError: A task's worker died again and again.
        EngineUnavailable: The connection to the scheduler is lost.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as err:
        raise EngineError(
            "A part of the pipeline killed every worker that took it",
            received=f"{err.allowed_failures + 1} workers lost with it",
            expected="parts that fit into a worker's memory",
            next_step="give the workers more memory or smaller partitions; their logs say how "
            "they died. Nothing was published",
        ) from err
    except (CancelledError, CommClosedError) as err:
        raise _lost(err) from err


def _lost(err: BaseException) -> EngineUnavailable:
    return EngineUnavailable(
        "The connection to the scheduler of the Dask cluster is lost",
        received=type(err).__name__,
        expected="a scheduler that lives as long as the run",
        next_step="look at the scheduler's log, then run again: nothing was published",
    )
