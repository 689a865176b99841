"""Configuration and hyperparameters of two versions, by dotted names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mlproject.errors import DataError
from mlproject.registry.names import CONFIG_FILE
from mlproject.version_diff.evidence import Evidence, read_both
from mlproject.version_diff.result import Section
from mlproject.version_diff.values import Fact

TRAINED = "trained."
"""In front of the parameters that the training really had: the Tuner may have chosen them."""


def compare_parameters(before: Evidence, after: Evidence) -> Section[Fact]:
    """Compares what the two versions were configured and trained with."""
    configs, unjudged = read_both(CONFIG_FILE, flat_config, before, after)
    sides: tuple[dict[str, str], dict[str, str]] = configs or ({}, {})
    params, without = read_both(
        "parameters of the training run", lambda side: side.params, before, after
    )
    if params is not None:
        # A parameter that the Tuner has chosen for one version is shown of both.
        pairs = list(zip(params, sides, strict=True))
        names = {name for own, config in pairs for name in _unlike_config(own, config)}
        for own, config in pairs:
            config |= {TRAINED + name: own[name] for name in names if name in own}
    return Section(facts(*sides), (*unjudged, *without))


def read_config(side: Evidence) -> Mapping[str, Any] | None:
    """The version's project.yaml as it was used; None where it is not recorded.

    Raises:
        DataError: The file is damaged.
    """
    file = side.path(CONFIG_FILE)
    if file is None:
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"Reading {CONFIG_FILE} failed", received=str(err)) from err
    if not isinstance(values, dict):
        raise DataError(f"Reading {CONFIG_FILE} failed", received="no JSON object")
    return values


def flat_config(side: Evidence) -> dict[str, str] | None:
    """Dotted name -> text of every value of the configuration."""
    config = read_config(side)
    return None if config is None else dict(flatten(config))


def flatten(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and texts of the leaves of JSON values.

    A list of plain values is one leaf, since its parts have no names of their own.
    """
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from flatten(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(values, list) and any(isinstance(v, (dict, list)) for v in values):
        for place, value in enumerate(values):
            yield from flatten(value, f"{prefix}[{place}]")
    else:
        yield prefix, shown(values)


def shown(value: Any) -> str:
    """A JSON value as text; no two values have the same."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def facts(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Fact, ...]:
    """A fact for each name that a side has, in the order of names."""
    return tuple(Fact(n, before.get(n), after.get(n)) for n in sorted({*before, *after}))


def _unlike_config(params: Mapping[str, str], config: Mapping[str, str]) -> set[str]:
    """Names of the parameters of a training that the configuration does not say already."""
    said: dict[str, str] = {}
    for section in ("training.hyperparameters.", "training."):
        for name, text in config.items():
            if name.startswith(section):
                said.setdefault(name.removeprefix(section), text)
    return {n for n, text in params.items() if n not in said or not _alike(text, said[n])}


def _alike(param: str, configured: str) -> bool:
    """Whether MLflow's text of a parameter, Python's `str`, says what a JSON text says."""
    try:
        value = json.loads(configured)
    except (ValueError, RecursionError):
        value = configured
    return param == str(value) or param == configured
