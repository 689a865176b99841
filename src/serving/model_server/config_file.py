"""A model config file that is read again and again."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError
from serving.model_config import from_proto, read_proto
from serving.model_server.status import StatusError

if TYPE_CHECKING:
    from serving.model_server.manager import ModelManager

logger = logging.getLogger(__name__)


def watch(manager: ModelManager, path: Path, every_s: float, stop: threading.Event) -> None:
    """Serve what a file says until stopped.

    A file that cannot be read or served changes nothing, and is said once. What another way of
    changing the configuration has set, the next look undoes, as in TensorFlow Serving.

    Args:
        manager: The models.
        path: A `ModelServerConfig` in text form.
        every_s: Seconds between two looks.
        stop: Ends it.
    """
    said = ""
    while not stop.wait(every_s):
        try:
            refresh(manager, path)
            said = ""
        except (ConfigError, StatusError) as err:
            if str(err) != said:
                said = str(err)
                logger.error("%s changes nothing: %s", path, said)


def refresh(manager: ModelManager, path: Path) -> bool:
    """Serve what a file says now.

    Args:
        manager: The models.
        path: A `ModelServerConfig` in text form.

    Returns:
        Whether that is something else than before.

    Raises:
        ConfigError: The file cannot be read, or its configuration not be served.
        StatusError: See `ModelManager.reload`.
    """
    message = read_proto(path)
    if message.WhichOneof("config") is None:
        raise ConfigError(
            "Cannot transition to requested config. It is only legal to transition from one "
            "ModelConfigList to another.",
            received=f"no model_config_list in {path}",
            next_step="an empty model_config_list {} unloads every model",
        )
    configs = from_proto(message)
    if configs == manager.configs:
        return False
    logger.info("%s: serving %s", path, ", ".join(config.name for config in configs) or "nothing")
    manager.reload(configs)
    return True
