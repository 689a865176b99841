"""What the parts of a trial share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np

    from mlproject.sections import InfraSection

Arrays = Mapping[str, "np.ndarray"]
InfraVerdict = Literal["INFRA_BLESSED", "INFRA_NOT_BLESSED", "NOT_VALIDATED"]

REQUEST_TIMEOUT_S = 30.0
POLL_S = 0.05
LOG_LINES = 20


class TrialEnded(Exception):  # noqa: N818 - not an error: it carries a verdict
    """A trial ended before all was asked; it never leaves `serving.infra_validation`.

    Args:
        verdict: `INFRA_NOT_BLESSED` where the model is to blame; `NOT_VALIDATED` where this machine
            could not try it.
        reason: In plain words.
    """

    def __init__(self, verdict: InfraVerdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


def not_blessed(reason: str) -> TrialEnded:
    """The end of a trial that the model did not pass."""
    return TrialEnded("INFRA_NOT_BLESSED", reason)


def not_validated(reason: str) -> TrialEnded:
    """The end of a trial that could not be held."""
    return TrialEnded("NOT_VALIDATED", reason)


class TrialServer(Protocol):
    """A server that holds one model for a trial; it listens on this machine's loopback only."""

    kind: str
    rest_url: str
    grpc_address: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def wait_for_addresses(self, timeout_s: float) -> None:
        """Returns once the ports are known.

        Raises:
            TrialEnded: It did not start.
        """

    def death(self) -> str | None:
        """How the server ended, in words; None while it runs."""

    def memory_mb(self) -> float | None:
        """The most resident memory seen so far, in MiB; None where it cannot be measured."""

    def log_tail(self) -> str:
        """The last lines of the server's log."""


class Asker(Protocol):
    """One way to ask a server."""

    api: str

    def ask(self, inputs: Arrays) -> Any:
        """The outputs for one request: by name, or the only one.

        Raises:
            TrialEnded: There is no answer, or it is a refusal.
        """


def budgets_of(section: InfraSection) -> dict[str, float]:
    """Measurement -> the most that is allowed."""
    return {
        "rest_p95_ms": section.max_latency_ms,
        "grpc_p95_ms": section.max_latency_ms,
        "memory_mb": section.max_memory_mb,
        "start_s": section.max_start_s,
    }


def tail(text: str, lines: int = LOG_LINES) -> str:
    """The last lines of a log that say something."""
    said = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(line[:400] for line in said[-lines:])
