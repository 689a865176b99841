"""The hyperparameters that a version was trained with, those that were tuned among them. Pure."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from mlproject.errors import RegistryError
from mlproject.tracking.names import MAX_PARAM_CHARS, mlflow_key

WARMUP = "warmup_requests"  # that the train step logs among its parameters


def recorded_hyperparameters(
    config: Mapping[str, Any], params: Mapping[str, str]
) -> dict[str, Any]:
    """The hyperparameters of a training, from the configuration and what its run logged as text.

    Args:
        config: The configuration of the run.
        params: Parameters of the training's run.

    Raises:
        RegistryError: A value is longer than what MLflow keeps of it.
    """
    section = config["training"]
    given = dict(section.get("hyperparameters") or {})
    if not config.get("tuning"):
        return given
    names = {mlflow_key(name): name for name in given}
    for key, text in params.items():
        name = names.get(key, key)
        unchanged = str(given[name] if name in given else section.get(key))
        if text == unchanged or key == WARMUP:
            continue
        if len(text) >= MAX_PARAM_CHARS:
            raise RegistryError(
                "Reading what the Tuner had found failed",
                received=f"the parameter '{key}', cut at {MAX_PARAM_CHARS:,} characters",
                expected="a shorter value",
            )
        given[name] = _value(text)
    return given


def _value(text: str) -> Any:
    """A hyperparameter from its text; a plain word is a text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
