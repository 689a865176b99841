"""The status codes that TensorFlow Serving answers with, over gRPC and as HTTP status."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Canonical status codes: the numbers of gRPC, of `tensorflow.error.Code`, of TF errors."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# The same table as TensorFlow Serving's http_server.cc.
HTTP_STATUS: dict[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


class StatusError(Exception):
    """A request, or the load of a version, ended with a status that is not OK.

    It crosses the wire as a status and never leaves this package: callers of `ModelServer` get
    a `ServingError`.

    Args:
        code: The canonical code.
        message: The text of the answer; TensorFlow Serving's own wording where it has one.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """The HTTP status of this code."""
        return HTTP_STATUS[self.code]


def invalid(message: str) -> StatusError:
    """An INVALID_ARGUMENT error: the request is wrong, and stays wrong when sent again."""
    return StatusError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """A NOT_FOUND error: no such model or version is served now."""
    return StatusError(Code.NOT_FOUND, message)


def no_servable(name: str, version: int | None) -> StatusError:
    """NOT_FOUND for a model or version that is not loaded, in TensorFlow Serving's words."""
    asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return not_found(f"Servable not found for request: {asked}")


def unknown_label(label: str) -> StatusError:
    """INVALID_ARGUMENT for a label that no version has, in TensorFlow Serving's words."""
    return invalid(f"Unrecognized servable version label: {label}")
