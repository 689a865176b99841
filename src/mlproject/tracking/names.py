"""Tags of the platform, and names of users bent to what MLflow takes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import Param


# MLflow's limits.
MAX_KEY_CHARS, MAX_PARAM_CHARS = 250, 6_000
MAX_RUN_TAG_CHARS, MAX_VERSION_TAG_CHARS = 5_000, 100_000
TAG = "benison."
STEP_TAG, FINGERPRINT_TAG = f"{TAG}step", f"{TAG}fingerprint"
ROOT_TAG = f"{TAG}pipeline_root"


def mlflow_key(name: str) -> str:
    """A name of a user's metric or hyperparameter, bent to what MLflow takes."""
    key = re.sub(r"[^\w\-. :/]", "_", name)[:MAX_KEY_CHARS] or "_"
    # MLflow makes file names of them: no `a//b`, `../a` or `/a`.
    odd = posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == "."
    return re.sub(r"^\.+", "_", key.replace("/", "_")) if odd else key


def mlflow_tags(values: Mapping[str, Any], most: int = MAX_RUN_TAG_CHARS) -> dict[str, str]:
    """Tags as MLflow takes them: what is longer than `most` characters is cut."""
    return {name: str(value)[:most] for name, value in values.items()}


def mlflow_params(values: Mapping[str, Any]) -> list[Param]:
    """Parameters as MLflow takes them; names that are bent to the same one get a number."""
    from mlflow.entities import Param

    params: dict[str, Param] = {}
    for name, value in values.items():
        key, number = mlflow_key(name), 1
        while key in params:
            number += 1
            key = f"{mlflow_key(name)[: MAX_KEY_CHARS - 9]}_{number}"
        params[key] = Param(key, str(value)[:MAX_PARAM_CHARS])
    return list(params.values())
