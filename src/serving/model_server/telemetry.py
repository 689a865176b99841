"""What a running server tells of itself: metrics, and the access log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from serving.model_server.listening import ServerOptions
from serving.model_server.observer import Observer

if TYPE_CHECKING:
    from serving.model_server.manager import ModelManager
    from serving.model_server.metrics import ServedVersion

_STANDARD_ERROR = "-"


def build_observer(options: ServerOptions) -> Observer | None:
    """The observer that the options ask for; None where they ask for nothing.

    Raises:
        ConfigError: The access log cannot be opened.
    """
    from serving.model_server.access_log import AccessLog
    from serving.model_server.metrics import ServerMetrics

    log = None
    if options.access_log:
        to_file = options.access_log != _STANDARD_ERROR
        log = AccessLog(Path(options.access_log) if to_file else None)
    metrics = ServerMetrics() if options.metrics_path else None
    return Observer(metrics, log) if metrics or log else None


def served_versions(manager: ModelManager) -> Iterator[ServedVersion]:
    """Every version that a manager knows of, with the requests that run on it."""
    from serving.model_server.metrics import ServedVersion

    for name, model in manager.models.items():
        for status in model.statuses():
            live = model.live(status.version)
            yield ServedVersion(
                name, status.version, status.state.name, live.in_flight if live else 0
            )
