"""InfraBlessing: the exported model in a server process of its own, before it can be blessed.

The model is asked its warm-up requests and the golden rows, over REST and over gRPC. Its answers
must be finite and equal those of a Session in this process; the time, the memory and the start must
keep the budgets of `infra_validation` in project.yaml. It fails closed: what could not be tried is
NOT_VALIDATED. This module imports httpx and NumPy; it is imported when a trial is held.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ServingError
from mlproject.sections import InfraSection
from serving.trial.compare import compare
from serving.trial.docker import DockerServer, find_image
from serving.trial.local import LocalServer
from serving.trial.values import (
    Arrays,
    Asker,
    InfraVerdict,
    TrialEnded,
    TrialServer,
    budgets_of,
    not_blessed,
    not_validated,
)

if TYPE_CHECKING:
    import numpy as np

PERCENTILE = 95
GRPC_ASKER = "serving.trial.grpc_asker"
MEASURED = {
    "rest_p95_ms": f"ms for {PERCENTILE} % of the requests over REST",
    "grpc_p95_ms": f"ms for {PERCENTILE} % of the requests over gRPC",
    "memory_mb": "MiB of memory",
    "start_s": "s to start",
}


@dataclass(frozen=True)
class InfraBlessing:
    """The verdict on a model in a server of its own.

    Attributes:
        verdict: `INFRA_BLESSED`, `INFRA_NOT_BLESSED`, or `NOT_VALIDATED` where it could not be
            tried.
        reasons: Why, in plain words.
        measurements: `start_s`, `memory_mb`, `rest_p95_ms`, ... as far as they were measured.
        server: `local` or `docker`; None where there was none.
        log: The last lines of the server's log, where the model did not pass.
    """

    verdict: InfraVerdict
    reasons: tuple[str, ...]
    measurements: Mapping[str, float] = field(default_factory=dict)
    server: str | None = None
    log: str = ""

    def as_value(self) -> dict[str, Any]:
        """What `infra.json` and the step's value hold."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "measurements": dict(self.measurements),
            "server": self.server,
        }


@dataclass(frozen=True)
class TrialRequest:
    """A model, and what it is asked.

    Attributes:
        saved_model_dir: The SavedModel.
        model_name: Its name in requests.
        requests: Inputs of each request: input -> `[rows, ...]`.
        section: The server and the budgets.
    """

    saved_model_dir: Path
    model_name: str
    requests: Sequence[Arrays]
    section: InfraSection


def validate_infra(request: TrialRequest, note: Callable[[str], None]) -> InfraBlessing:
    """Tries a model in a server of its own.

    Args:
        request: The model, what it is asked, and its budgets.
        note: Told what happens, in a line.

    Returns:
        The verdict; a model that fails, hangs or dies is a verdict too.
    """
    measurements: dict[str, float] = {}
    if not request.requests:
        reason = "the model has no warm-up requests and the project no golden rows to ask it"
        return InfraBlessing("NOT_VALIDATED", (reason,))
    try:
        server = choose_server(request, note)
    except TrialEnded as end:
        return InfraBlessing(end.verdict, (end.reason,))
    log = ""
    try:
        with server:
            try:
                _try(request, server, measurements, note)
            except TrialEnded as end:
                death = server.death()
                log = server.log_tail()
                said = f"{end.reason}; {death}" if death and death not in end.reason else end.reason
                return InfraBlessing(end.verdict, (said,), measurements, server.kind, log)
            over = over_budget(request.section, measurements)
            log = server.log_tail() if over else ""
    except TrialEnded as end:
        return InfraBlessing(end.verdict, (end.reason,), measurements, server.kind)
    if over:
        return InfraBlessing("INFRA_NOT_BLESSED", tuple(over), measurements, server.kind, log)
    reason = _summary(request, measurements, server.kind)
    return InfraBlessing("INFRA_BLESSED", (reason,), measurements, server.kind)


def choose_server(request: TrialRequest, note: Callable[[str], None]) -> TrialServer:
    """The server that `infra_validation.server` asks for.

    Raises:
        TrialEnded: `docker` is asked for and cannot be had.
    """
    section = request.section
    model, name, memory = request.saved_model_dir, request.model_name, section.max_memory_mb
    if section.server == "local":
        return LocalServer(model, name, memory)
    image, why = find_image()
    if image is not None:
        return DockerServer(model, name, memory, image)
    if section.server == "docker":
        raise not_validated(f"infra_validation.server is docker, but {why}")
    note(f"the local server tries the model: {why}")
    return LocalServer(model, name, memory)


def _try(
    request: TrialRequest,
    server: TrialServer,
    measurements: dict[str, float],
    note: Callable[[str], None],
) -> None:
    """Asks everything, and measures.

    Raises:
        TrialEnded: The model did not pass, or could not be tried.
    """
    section, began = request.section, time.monotonic()
    deadline = began + section.max_start_s
    # TensorFlow is imported here while the server's process imports its own.
    threading.Thread(target=import_module, args=(GRPC_ASKER,), daemon=True).start()
    with ExitStack() as opened:
        server.wait_for_addresses(section.max_start_s)
        from serving.trial.rest import RestAsker

        rest = RestAsker(server.rest_url, request.model_name)
        opened.callback(rest.close)
        rest.wait_until_available(server, deadline)
        rest.ask(request.requests[0])
        measurements["start_s"] = time.monotonic() - began
        note(f"the {server.kind} server answers after {measurements['start_s']:.1f} s")
        # Only now: a model that never ends would hold this process, and has failed above.
        expected = answers_in_process(request.saved_model_dir, request.requests)
        grpc = import_module(GRPC_ASKER).GrpcAsker(server.grpc_address, request.model_name)
        opened.callback(grpc.close)
        for asker in (rest, grpc):
            compare(request.requests, expected, asker)
            measurements.update(_latencies(request, asker))
    memory = server.memory_mb()
    death = server.death()
    if death:
        raise not_blessed(f"the server ended after it was asked: {death}")
    if memory is None:
        raise not_validated("the memory of the server could not be measured")
    measurements["memory_mb"] = memory


def answers_in_process(
    saved_model_dir: Path, requests: Sequence[Arrays]
) -> list[dict[str, np.ndarray]]:
    """What a Session in this process answers to each request.

    Raises:
        TrialEnded: The model does not load, or refuses a request.
    """
    import tensorflow as tf

    from mlproject.saved_model import open_signature

    try:
        with open_signature(saved_model_dir) as predict:
            return [predict(arrays) for arrays in requests]
    except (ServingError, tf.errors.OpError, KeyError, ValueError) as err:
        said = " ".join(str(err).split())[:300]
        raise not_blessed(f"a Session in this process cannot run the model: {said}") from err


def _latencies(request: TrialRequest, asker: Asker) -> dict[str, float]:
    """The times of requests of one row each, in ms."""
    import numpy as np

    rows = [
        {name: array[place : place + 1] for name, array in arrays.items()}
        for arrays in request.requests
        for place in range(len(next(iter(arrays.values()))))
    ]
    times = []
    for row in itertools.islice(itertools.cycle(rows), request.section.requests):
        began = time.perf_counter()
        asker.ask(row)
        times.append((time.perf_counter() - began) * 1000)
    name = asker.api.lower()
    median, high = np.percentile(times, [50, PERCENTILE])
    return {f"{name}_p50_ms": float(median), f"{name}_p95_ms": float(high)}


def over_budget(section: InfraSection, measurements: Mapping[str, float]) -> list[str]:
    """Which budgets were passed, in words."""
    return [
        f"{measurements[name]:.4g} {MEASURED[name]}, {most:g} allowed"
        for name, most in budgets_of(section).items()
        if not measurements[name] <= most
    ]


def _summary(request: TrialRequest, measured: Mapping[str, float], kind: str) -> str:
    section = request.section
    return (
        f"{len(request.requests)} requests over REST and gRPC answered by the {kind} server as "
        f"in a Session; p95 {measured['rest_p95_ms']:.3g} ms and {measured['grpc_p95_ms']:.3g} ms "
        f"({section.max_latency_ms:g} allowed), {measured['memory_mb']:.0f} MiB "
        f"({section.max_memory_mb:g}), {measured['start_s']:.1f} s to start "
        f"({section.max_start_s:g})"
    )
