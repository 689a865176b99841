"""A Beam runner on Dask: this process plans and shuffles, Dask's workers run the bundles.

Beam has a DaskRunner of its own, which this one stands in for. That one (2.72) translates
transforms to Dask bags: it merges tagged outputs into one, loses what `finish_bundle` yields,
runs the last sink of a pipeline only, knows no Impulse, and combines nothing before the shuffle.
tf.Transform and TFDV need all five; docs/scale.md has the checks.

Here Beam's own FnApiRunner stays in charge: it fuses the stages, lifts the combiners, groups by
key and holds side inputs, as it does in process. The one thing replaced is where a stage's input
is worked on: it is cut into bundles, each a Dask task with bytes in and bytes out, which Dask
repeats on another worker when one dies. What passes between stages goes through this process:
accumulators and vocabularies do, and rows need not.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.metrics import monitoring_infos
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from mlproject.engines.bundle import BundleResult, Stage, pack_descriptor, run_bundle
from mlproject.engines.cluster import Cluster
from mlproject.errors import EngineError

BUNDLES_PER_THREAD = 4


class DaskBundleRunner(FnApiRunner):
    """Beam's FnApiRunner with its bundles on a Dask cluster.

    Args:
        cluster: Where the bundles run.
        bundles: Bundles that a stage's input is cut into; 0: four for each thread of the cluster.
    """

    def __init__(self, cluster: Cluster, bundles: int = 0) -> None:
        super().__init__()
        self._cluster = cluster
        self._bundles = bundles
        self._run_id = uuid.uuid4().hex

    def _get_bundle_manager(self, bundle_context_manager: Any) -> _StageOnDask:
        """The one hook: what works on a stage's input."""
        bundles = self._bundles or BUNDLES_PER_THREAD * self._cluster.threads
        return _StageOnDask(bundle_context_manager, self._cluster, bundles, self._run_id)


class _StageOnDask:
    """Works on the input of one stage; in the place of Beam's `BundleManager`."""

    def __init__(self, context: Any, cluster: Cluster, bundles: int, run_id: str) -> None:
        self._context = context
        self._cluster = cluster
        self._bundles = bundles
        self._run_id = run_id

    def process_bundle(
        self,
        inputs: Mapping[str, Any],
        expected_outputs: Mapping[str, bytes],
        fired_timers: Mapping[Any, Any],
        expected_output_timers: Mapping[Any, Any],
        dry_run: bool = False,
    ) -> tuple[Any, list[Any]]:
        """Runs the stage's bundles and gathers what they wrote, in the order of the input.

        Raises:
            EngineError: The stage keeps state or timers by key, which this runner does not.
        """
        if self._context.stage.is_stateful():
            raise EngineError(
                "The pipeline cannot run on Dask",
                received=f"state or timers in '{self._context.stage.name}'",
                expected="a batch pipeline without them, as TFDV's and tf.Transform's are",
                next_step="run it with BENISON_ENGINE=local, or on Flink, Spark or Dataflow",
            )
        stage = self._stage(expected_outputs)
        parts = cut(inputs, self._bundles)
        results: list[BundleResult] = self._cluster.map(run_bundle, stage, parts)
        for result in results if not dry_run else ():
            for transform, chunks in result.outputs.items():
                buffer = self._context.get_buffer(expected_outputs[transform], transform)
                for chunk in chunks:
                    buffer.append(chunk)
        return _merged(results), []

    def _stage(self, outputs: Mapping[str, bytes]) -> Stage:
        descriptor = self._context.process_bundle_descriptor
        state = self._context.execution_context.state_servicer._state
        side_inputs = {
            key: b"".join(values)
            for key, values in state.items()
            if _reader(key) in descriptor.transforms
        }
        key = f"{self._run_id}-{descriptor.id}"
        return Stage(key, pack_descriptor(descriptor), side_inputs, dict(outputs))


def cut(inputs: Mapping[str, Any], bundles: int) -> list[dict[str, tuple[bytes, ...]]]:
    """Cuts a stage's input into bundles.

    Args:
        inputs: Name of a reading transform -> one of Beam's buffers.
        bundles: How many at most.

    Returns:
        The input of each bundle that has any; one without any where there is none at all, since
        a stage runs once at least.
    """
    parts: list[dict[str, tuple[bytes, ...]]] = [{} for _ in range(bundles)]
    for name, buffer in inputs.items():
        for part, chunks in zip(parts, buffer.partition(bundles), strict=True):
            part[name] = tuple(chunks)
    filled = [part for part in parts if any(chunk for chunks in part.values() for chunk in chunks)]
    return filled or parts[:1]


def _reader(key: bytes) -> str:
    """The transform that reads a piece of state; "" for what no single one reads."""
    state_key = beam_fn_api_pb2.StateKey.FromString(key)
    return getattr(getattr(state_key, state_key.WhichOneof("type")), "transform_id", "")


def _merged(results: Sequence[BundleResult]) -> Any:
    """The responses of a stage's bundles as one: metrics added up, what is left over together."""
    answers = [beam_fn_api_pb2.InstructionResponse.FromString(r.response) for r in results]
    infos = [info for a in answers for info in a.process_bundle.monitoring_infos]
    left = [root for a in answers for root in a.process_bundle.residual_roots]
    merged = beam_fn_api_pb2.ProcessBundleResponse(
        monitoring_infos=monitoring_infos.consolidate(infos), residual_roots=left
    )
    return beam_fn_api_pb2.InstructionResponse(process_bundle=merged)
