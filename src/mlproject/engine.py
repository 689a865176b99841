"""Where pipelines run: in this process, or on the Beam runner that the settings name.

`local` is Beam's in-process portable runner, fed with few, large record batches. `beam` is any
runner of Beam; Dask by a runner of our own (`mlproject.engines.dask_runner`).
"""

from __future__ import annotations

import contextlib
import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlproject.engines.settings import LOCAL, EngineSettings
from mlproject.errors import EngineError, EngineUnavailable, PlatformError

if TYPE_CHECKING:
    from mlproject.partitions import Partition

__all__ = [
    "LOCAL",
    "EngineSettings",
    "analysis_context",
    "check_engine",
    "map_partitions",
    "read_partitions",
    "read_record_batches",
    "run_pipeline",
]
T = TypeVar("T")


def check_engine(settings: EngineSettings) -> None:
    """Checks a runner and its options; runs nothing and connects to nothing.

    Raises:
        ConfigError: The runner or an option is unknown, of the wrong kind, or missing.
    """
    from mlproject.engines.beam_options import (
        DASK_RUNNER,
        build_options,
        check_pipeline,
        runner_name,
    )

    if not settings.is_local:
        build_options(settings)
        if runner_name(settings) != DASK_RUNNER:
            check_pipeline(settings)


def run_pipeline(build: Callable[[Any], None], settings: EngineSettings = LOCAL) -> None:
    """Builds a Beam pipeline and runs it to its end.

    Args:
        build: Gets the `beam.Pipeline` and applies transforms to it. What the transforms hold is
            pickled for the workers of another engine than the local one.
        settings: The engine.

    Raises:
        ConfigError: The runner or an option is wrong, or a Dask worker has other packages.
        EngineUnavailable: The cluster does not answer, or is lost on the way.
        EngineError: The runner ended without success.
        Exception: What the pipeline's own code raised; local and on Dask as it raised it.
    """
    import apache_beam as beam

    with _runner(settings) as (runner, options):
        pipeline = beam.Pipeline(runner=runner, options=options)
        build(pipeline)
        state = pipeline.run().wait_until_finish()
    if state != "DONE":
        raise EngineError(
            f"The pipeline failed on '{settings.label}'",
            received=f"state {state}",
            expected="state DONE",
            next_step="the runner's own console has the workers' logs",
        )


def read_record_batches(pipeline: Any, read: Callable[[], Iterator[Any]], label: str) -> Any:
    """A PCollection of Arrow record batches that are read inside one worker.

    Args:
        pipeline: The Beam pipeline.
        read: Gives the record batches; called once.
        label: Name of the transform.
    """
    import apache_beam as beam

    once = pipeline | f"{label}Once" >> beam.Create([None])
    return once | label >> beam.FlatMap(_with_whole_errors(lambda _: read()))


def read_partitions(
    pipeline: Any,
    partitions: Sequence[Partition],
    to_batches: Callable[[Partition], Iterable[Any]],
    label: str,
) -> Any:
    """A PCollection of Arrow record batches, each partition read inside some worker.

    Args:
        pipeline: The Beam pipeline.
        partitions: What to read.
        to_batches: Gives a partition's record batches, in the worker.
        label: Name of the transform.
    """
    import apache_beam as beam

    from mlproject.engines.passes import Spread

    def read(indexed: tuple[int, Iterable[Partition]]) -> Iterator[Any]:
        for partition in indexed[1]:
            yield from to_batches(partition)

    # Spread by index and not at random: the same bundles, so the same sums, in every run.
    indexed = [(partition.index, partition) for partition in partitions]
    return (
        pipeline
        | f"{label}Partitions" >> beam.Create(indexed, reshuffle=False)
        | f"{label}Spread" >> Spread()
        | label >> beam.FlatMap(_with_whole_errors(read))
    )


def analysis_context(temp_dir: Path) -> Any:
    """The context in which tf.Transform's analysis is to be built (`tft_beam.Context`).

    With it, analyzers that need each other's results read the rows once for each pass; rows are
    not kept between passes, in this process or on a cluster.

    Args:
        temp_dir: For what passes between tf.Transform's steps; every worker must reach it.
    """
    from mlproject.engines.passes import analysis_context

    return analysis_context(temp_dir)


def map_partitions(
    settings: EngineSettings,
    partitions: Sequence[Partition],
    function: Callable[[Partition], T],
    label: str,
) -> list[T]:
    """Runs a function on every partition, on the engine's workers.

    A worker that dies may leave a partition to be done a second time: what the function writes
    must bear that (`partitions.written_aside` does).

    Args:
        settings: The engine.
        partitions: What to work on.
        function: Gives a small value that pickles.
        label: Name of the transform.

    Returns:
        The values, in the order of the partitions.

    Raises:
        EngineError: As `run_pipeline`, or a value is missing.
        Exception: What the function raised.
    """
    if settings.is_local:
        return [function(partition) for partition in partitions]
    from mlproject.engines.values import drop_values, read_value, write_value

    folder = f"{settings.temp_dir.rstrip('/')}/{label}-{uuid.uuid4().hex}"

    def work(partition: Partition) -> Iterator[None]:
        write_value(folder, partition.index, pickle.dumps(function(partition)))
        yield from ()

    try:
        run_pipeline(lambda p: read_partitions(p, partitions, work, label), settings)
        return [pickle.loads(read_value(folder, p.index)) for p in partitions]
    finally:
        drop_values(folder)


def _with_whole_errors(function: Callable[[Any], Iterable[T]]) -> Callable[[Any], Iterator[T]]:
    """The function, whose PlatformErrors come out of the pipeline with all of their parts."""

    def read(element: Any) -> Iterator[T]:
        try:
            yield from function(element)
        except PlatformError as err:
            # Beam makes a new error of the first argument and the step's name, and would lose
            # the other parts; it leaves alone what carries this mark.
            err._tagged_with_step = True  # type: ignore[attr-defined]
            raise

    return read


@contextlib.contextmanager
def _runner(settings: EngineSettings) -> Iterator[tuple[Any, Any]]:
    """The runner and the options of `beam.Pipeline`; the runner None for Beam to choose."""
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    if settings.is_local:
        # Plain `beam.Pipeline()` would first try to download and start the Prism binary.
        yield FnApiRunner(), None
        return
    from mlproject.engines.beam_options import DASK_RUNNER, build_options, runner_name

    options = build_options(settings)
    if runner_name(settings) != DASK_RUNNER:
        with _told_in_our_words(settings):
            yield None, options
        return
    from apache_beam.runners.dask.dask_runner import DaskOptions

    from mlproject.engines.cluster import connect
    from mlproject.engines.dask_runner import DaskBundleRunner

    given = options.view_as(DaskOptions).get_all_options(drop_default=True, current_only=True)
    bundles = given.pop("npartitions", None) or 0
    given.pop("partition_size", None)
    with connect(given, settings.workers) as cluster:
        cluster.check(settings.temp_dir)
        yield DaskBundleRunner(cluster, bundles), options


@contextlib.contextmanager
def _told_in_our_words(settings: EngineSettings) -> Iterator[None]:
    """What Beam's runners raise for a failed job or a cluster that does not answer.

    Their text has hosts in it: it is the cause, and not in the message.

    Raises:
        EngineUnavailable: The cluster does not answer.
        EngineError: The job failed.
    """
    from grpc import FutureTimeoutError, RpcError

    try:
        yield
    except (FutureTimeoutError, RpcError) as err:
        raise EngineUnavailable(
            f"The cluster of '{settings.label}' does not answer",
            received=type(err).__name__,
            expected="a job server at the address in the options",
            next_step="start it, or correct the address in BENISON_BEAM_OPTIONS",
        ) from err
    except RuntimeError as err:
        raise EngineError(
            f"The pipeline failed on '{settings.label}'",
            received=type(err).__name__,
            expected="a job that ends in state DONE",
            next_step="`--verbose` shows what the runner said; its console has the workers' logs",
        ) from err
