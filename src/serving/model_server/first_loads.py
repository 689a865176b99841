"""When a server that starts has tried everything that it is to serve."""

from __future__ import annotations

import time
from collections.abc import Callable

from serving.model_server.manager import ModelManager
from serving.model_server.served_model import ServedModel

_LOOK_EVERY_S = 0.01
_FIRST_LOOK_S, _FIRST_REMOTE_LOOK_S = 0.5, 30.0


def wait_for_first_loads(
    manager: ModelManager, began: float, is_stopping: Callable[[], bool]
) -> None:
    """Waits until every model answers, or has shown that it cannot for now.

    A model cannot when its version did not load, or there is nothing in its base path.

    Args:
        manager: The models.
        began: When they began to load, in seconds of the monotonic clock.
        is_stopping: Ends the wait when it says so.
    """
    while not is_stopping():
        if not any(_is_loading(model, began) for model in manager.models.values()):
            return
        time.sleep(_LOOK_EVERY_S)


def _is_loading(model: ServedModel, began: float) -> bool:
    if model.available_version is not None or model.wanted_failure():
        return False
    now = time.monotonic()
    if model.statuses():
        retry_at = model.next_due()
        return retry_at is None or retry_at <= now
    first_look_s = _FIRST_REMOTE_LOOK_S if model.source.is_remote else _FIRST_LOOK_S
    return now - began < first_look_s
