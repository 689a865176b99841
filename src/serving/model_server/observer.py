"""What the two APIs tell of each request: to the metrics, and to the access log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from serving.model_server.status import Code

if TYPE_CHECKING:
    from serving.model_server.access_log import AccessLog
    from serving.model_server.metrics import ServerMetrics


class LoadRecorder(Protocol):
    """What hears of versions that are loaded; `ServerMetrics` is one."""

    def load(self, path: str, seconds: float, *, succeeded: bool) -> None:
        """A SavedModel was loaded, or was not."""

    def warmup(self, path: str, seconds: float, code: Code) -> None:
        """The warm-up requests of a SavedModel ran."""


class Observer:
    """Passes each answered request on; costs about a microsecond.

    Args:
        metrics: Counts and measures requests.
        access_log: Writes a line for each; None writes none.
    """

    def __init__(
        self, metrics: ServerMetrics | None = None, access_log: AccessLog | None = None
    ) -> None:
        self.metrics = metrics
        self.access_log = access_log

    def request(
        self,
        api: Literal["REST", "GRPC"],
        entrypoint: str,
        model: str,
        version: int | None,
        code: Code,
        seconds: float,
        *,
        bytes_in: int,
        bytes_out: int,
        detail: str = "",
        run_s: float | None = None,
        examples: int = 0,
    ) -> None:
        """A request was answered.

        Args:
            api: The API that it came by.
            entrypoint: TensorFlow Serving's name of the method: `Predict`, `Classify`, ...
            model: The model's name as the request has it; it may be one that is not served.
            version: The version that answered; None where none did.
            code: The status of the answer.
            seconds: The time from the whole request to the whole answer.
            bytes_in: The size of the request's body.
            bytes_out: The size of the answer's body.
            detail: The text of an error. It may quote the request, so it is counted nowhere and
                never logged.
            run_s: How long the model ran; None where it did not, or refused the request.
            examples: How many `tf.Example`s the request held.
        """
        if self.metrics:
            self.metrics.request(
                api, entrypoint, model, code, seconds, bytes_in=bytes_in, bytes_out=bytes_out
            )
            if run_s is not None:
                self.metrics.runtime(model, entrypoint, run_s)
            if examples:
                self.metrics.examples(model, examples)
        if self.access_log:
            self.access_log.request(
                api,
                entrypoint,
                model,
                version,
                code,
                seconds,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
            )
