"""Beam's bundles in a worker's process: bytes in, bytes out, by Beam's own worker code.

A stage is a fused part of a pipeline, and a bundle is a share of a stage's input. Running one has
no effect but its result (what a DoFn itself writes excepted), so that it can be run again on
another worker when this one dies.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KEPT_STAGES = 4
_stages: OrderedDict[str, Any] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class Stage:
    """What a worker must know of a stage.

    Attributes:
        key: Unique for the stage of a run.
        descriptor: A `ProcessBundleDescriptor`, serialized and compressed.
        side_inputs: Serialized state key -> encoded values.
        outputs: Name of a writing transform -> the buffer that it writes to.
    """

    key: str
    descriptor: bytes
    side_inputs: Mapping[bytes, bytes]
    outputs: Mapping[str, bytes]


@dataclass(frozen=True)
class BundleResult:
    """What a bundle gave.

    Attributes:
        response: The worker's serialized `InstructionResponse`.
        outputs: Name of a writing transform -> encoded elements.
    """

    response: bytes
    outputs: Mapping[str, tuple[bytes, ...]]


def pack_descriptor(descriptor: Any) -> bytes:
    """A descriptor as it is sent: it goes along with every bundle of its stage."""
    return zlib.compress(descriptor.SerializeToString(), 1)


def run_bundle(stage: Stage, inputs: Mapping[str, tuple[bytes, ...]]) -> BundleResult:
    """Runs one bundle in this process.

    Args:
        stage: Its stage; set up once a process, and kept for the bundles that follow.
        inputs: Name of a reading transform -> encoded elements.

    Raises:
        Exception: Whatever the pipeline's code raised, as it raised it.
    """
    from apache_beam.runners.portability.fn_api_runner.fn_runner import BundleManager

    context = _BundleContext(_prepared(stage))
    response, _ = BundleManager(context).process_bundle(inputs, stage.outputs, {}, {})
    written = {name: tuple(chunks) for name, chunks in context.written.items()}
    return BundleResult(response.SerializeToString(), written)


class _BundleContext:
    """The part of Beam's `BundleContextManager` that a bundle in a worker needs."""

    def __init__(self, workers: Any) -> None:
        self.worker_handlers = workers.get_worker_handlers("", 1)
        self.process_bundle_descriptor = next(iter(workers._process_bundle_descriptors.values()))
        self.split_managers = ()
        self.written: dict[str, list[bytes]] = {}

    def get_buffer(self, _buffer: bytes, transform: str) -> list[bytes]:
        """Where Beam appends what the bundle's writing transform wrote."""
        return self.written.setdefault(transform, [])


def _prepared(stage: Stage) -> Any:
    """The stage's workers in this process, made once; the oldest stages are shut down."""
    with _lock:
        workers = _stages.get(stage.key)
        if workers is None:
            workers = _stages[stage.key] = _prepare(stage)
        _stages.move_to_end(stage.key)
        while len(_stages) > _KEPT_STAGES:
            _stages.popitem(last=False)[1].close_all()
    return workers


def _prepare(stage: Stage) -> Any:
    from apache_beam.portability.api import beam_fn_api_pb2
    from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo
    from apache_beam.runners.portability.fn_api_runner.worker_handlers import WorkerHandlerManager
    from apache_beam.transforms.environments import EmbeddedPythonEnvironment

    embedded = EmbeddedPythonEnvironment.default().to_runner_api(None)
    workers = WorkerHandlerManager({"": embedded}, ExtendedProvisionInfo())
    workers.register_process_bundle_descriptor(
        beam_fn_api_pb2.ProcessBundleDescriptor.FromString(zlib.decompress(stage.descriptor))
    )
    for key, values in stage.side_inputs.items():
        workers.state_servicer.append_raw(beam_fn_api_pb2.StateKey.FromString(key), values)
    return workers
