"""Every error the platform raises on purpose.

PlatformError
├── ConfigError        project.yaml, a flag or a setting is wrong        (exit code 2)
├── UserModuleError    the module file is missing a function, or raised
├── DataError          the data cannot be read, or not be used
│   └── DataUnavailable    a database or bucket did not answer (transient)
├── StorageError       the pipeline root cannot be written
├── BusyError          another run holds the pipeline root
├── TrackingError      MLflow refused what was asked of it
│   └── TrackingUnavailable    MLflow's server or store did not answer (transient)
├── EngineError        a pipeline failed on the engine that ran it
│   └── EngineUnavailable      the cluster did not answer, or lost its workers (transient)
├── RegistryError      the registered model, version or alias is not usable
└── ServingError       a model server did not load, answer or stop

`Transient` marks what a retry can heal; the retry policy of the flows reads it.
An expected "no" (anomalies, a refused blessing) is a value, never one of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PlatformError(Exception):
    """Something failed that the person at the keyboard can act on.

    Args:
        failed: What failed, as a whole sentence part ("Reading the examples failed").
        received: The value that was met, quoted.
        expected: What would have been accepted.
        next_step: The next thing to do, often a command.
    """

    exit_code = 1

    def __init__(
        self,
        failed: str,
        *,
        received: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(failed)
        self.failed = failed
        self.received = received
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.failed.rstrip(".") + "."]
        for label, value in (
            ("Received", self.received),
            ("Expected", self.expected),
            ("Next", self.next_step),
        ):
            if value:
                parts.append(f"{label}: {value.rstrip('.')}.")
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Prefect pickles exceptions between processes; keyword arguments need help there.
        return (_rebuild, (type(self), self.failed, self.received, self.expected, self.next_step))


def _rebuild(
    kind: type[PlatformError],
    failed: str,
    received: str | None,
    expected: str | None,
    next_step: str | None,
) -> PlatformError:
    return kind(failed, received=received, expected=expected, next_step=next_step)


class Transient:
    """Mix-in for errors that a retry can heal."""


class ConfigError(PlatformError):
    """project.yaml, a flag or a setting is wrong."""

    exit_code = 2


class UserModuleError(PlatformError):
    """The project's module file is missing, incomplete, or raised."""


class DataError(PlatformError):
    """The data cannot be read, or cannot be used for what was asked."""


class DataUnavailable(DataError, Transient):  # noqa: N818 - reads as what it is
    """A database, BigQuery or a bucket did not answer, or broke off."""


class StorageError(PlatformError):
    """The pipeline root (or another place to write) cannot be written."""


class BusyError(PlatformError):
    """Another run holds the pipeline root."""


class TrackingError(PlatformError):
    """MLflow refused what was asked of it."""


class TrackingUnavailable(TrackingError, Transient):  # noqa: N818 - reads as what it is
    """MLflow's tracking server or store did not answer."""


class EngineError(PlatformError):
    """A pipeline failed on the engine that ran it."""


class EngineUnavailable(EngineError, Transient):  # noqa: N818 - reads as what it is
    """The cluster did not answer, or lost its workers."""


class RegistryError(PlatformError):
    """A registered model, version or alias is not usable."""


class ServingError(PlatformError):
    """A model server did not load, answer or stop."""


def closest(name: str, valid: Iterable[str]) -> str:
    """A hint for a mistyped name.

    Args:
        name: What was typed.
        valid: The names that exist.

    Returns:
        `did you mean 'X'?` for a close match, else the list of valid names.
    """
    names = sorted(valid)
    matches = get_close_matches(name, names, n=1, cutoff=0.6)
    if matches:
        return f"did you mean '{matches[0]}'?"
    return "one of " + ", ".join(names) if names else "there are none yet"
