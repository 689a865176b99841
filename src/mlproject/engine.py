"""Where Beam pipelines run: the one importer of Apache Beam.

The local engine is Beam's in-process portable runner, fed with few, large record batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def run_pipeline(build: Callable[[Any], None]) -> None:
    """Builds a Beam pipeline and runs it to its end in this process.

    Args:
        build: Gets the `beam.Pipeline` and applies transforms to it.
    """
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    # Plain `beam.Pipeline()` would first try to download and start the Prism binary.
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        build(pipeline)


def read_record_batches(pipeline: Any, read: Callable[[], Iterator[Any]], label: str) -> Any:
    """A PCollection of Arrow record batches that are read inside the worker.

    Args:
        pipeline: The Beam pipeline.
        read: Gives the record batches; called once.
        label: Name of the transform.
    """
    import apache_beam as beam

    return (
        pipeline | f"{label}Once" >> beam.Create([None]) | label >> beam.FlatMap(lambda _: read())
    )
