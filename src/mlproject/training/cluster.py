"""The workers of TF_CONFIG that train together: who is the chief, and whether it is there."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from typing import Any

from mlproject.errors import ConfigError

CHIEF_TIMEOUT_S = 600.0  # for the chief to start; TensorFlow would wait for an hour
CONNECT_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.5


def is_chief(distribute: str) -> bool:
    """False for a worker that trains along and writes nothing.

    Args:
        distribute: `none`, `mirrored` or `multi_worker`.

    Raises:
        ConfigError: TF_CONFIG is missing or wrong.
    """
    if distribute != "multi_worker":
        return True
    config = read_tf_config()
    task = config["task"]
    has_chief = bool(config["cluster"].get("chief"))
    return task["type"] == "chief" or (not has_chief and int(task["index"]) == 0)


def wait_for_chief() -> None:
    """Waits, on a worker that trains along, until the chief has begun to train.

    A chief whose training is cached never begins.

    Raises:
        ConfigError: It did not in `CHIEF_TIMEOUT_S`.
    """
    cluster = read_tf_config()["cluster"]
    address = [*cluster.get("chief", ()), *cluster["worker"]][0]
    host, _, port = address.rpartition(":")
    over = time.monotonic() + CHIEF_TIMEOUT_S
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
        except OSError as err:
            if time.monotonic() < over:
                time.sleep(LOOK_EVERY_S)
                continue
            raise ConfigError(
                "Waiting for the chief of TF_CONFIG failed",
                received=f"{address} did not answer within {CHIEF_TIMEOUT_S:.0f} s: {err}",
                expected="the chief, while it trains",
                next_step="start `benison step train PROJECT` there; where its training is cached "
                "there is nothing to train, and `--force` trains again",
            ) from err
        return


def read_tf_config() -> dict[str, Any]:
    """The workers, and which of them this process is.

    Raises:
        ConfigError: TF_CONFIG is missing or wrong.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        config: dict[str, Any] = json.loads(text or "{}")
        workers = [*config["cluster"].get("chief", ()), *config["cluster"]["worker"]]
        members = config["cluster"][config["task"]["type"]]
        members[int(config["task"]["index"])]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as err:
        raise ConfigError(
            "Reading TF_CONFIG for training.distribute multi_worker failed",
            received=text[:300] or "no TF_CONFIG in the environment",
            expected='{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", '
            '"index": 0}}',
        ) from err
    if not all(isinstance(a, str) and re.fullmatch(r".+:\d{1,5}", a) for a in workers):
        raise ConfigError(
            "Reading TF_CONFIG for training.distribute multi_worker failed",
            received=text[:300],
            expected="addresses as host:port",
        )
    return config
