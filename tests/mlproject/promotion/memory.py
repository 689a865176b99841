"""As much of MLflow's client as promotion uses, in memory: thousands of calls a second.

It keeps MLflow's rules that promotion stands on: a name once, a parameter's first value, aliases
that go with their version. `test_machine.py` runs the same tests on MLflow itself.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
)


class MemoryClient:
    """MLflow's client without MLflow."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}
        self._versions: dict[str, dict[int, Any]] = {}
        self._runs: dict[str, Any] = {}
        self._experiments: dict[str, Any] = {}
        self._numbers = itertools.count(1)

    def create_registered_model(self, name: str, tags: dict[str, str] | None = None) -> None:
        if name in self._models:
            raise MlflowException("there", RESOURCE_ALREADY_EXISTS)
        self._models[name] = SimpleNamespace(name=name, tags=dict(tags or {}), aliases={})
        self._versions[name] = {}

    def get_registered_model(self, name: str) -> Any:
        return _copy(_found(self._models, name))

    def search_registered_models(self) -> list[Any]:
        return [_copy(model) for model in self._models.values()]

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        _found(self._models, name).tags[key] = value

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        _found(self._versions[name], int(version))
        self._models[name].aliases[alias] = version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._models[name].aliases.pop(alias, None)

    def create_model_version(
        self, name: str, source: str, run_id: str | None, tags: dict[str, str]
    ) -> Any:
        number = next(self._numbers)
        made = SimpleNamespace(name=name, version=number, run_id=run_id, tags=dict(tags))
        made.source, made.current_stage = source, "None"
        self._versions[name][number] = made
        return made

    def delete_model_version(self, name: str, version: str) -> None:
        del self._versions[name][int(version)]
        aliases = self._models[name].aliases
        self._models[name].aliases = {a: v for a, v in aliases.items() if v != version}

    def search_model_versions(self, wanted: str) -> list[Any]:
        name = wanted.removeprefix("name=")[1:-1]
        return [_copy(version) for version in self._versions.get(name, {}).values()]

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        version = _found(_found(self._models, name).aliases, alias)
        return _copy(self._versions[name][int(version)])

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        _found(self._versions[name], int(version)).tags[key] = value

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        del _found(self._versions[name], int(version)).tags[key]

    def get_experiment_by_name(self, name: str) -> Any:
        return self._experiments.get(name)

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: dict[str, str] | None = None
    ) -> str:
        if name in self._experiments:
            raise MlflowException("there", RESOURCE_ALREADY_EXISTS)
        made = SimpleNamespace(experiment_id=name, lifecycle_stage="active", tags=tags or {})
        self._experiments[name] = made
        return name

    def create_run(self, experiment_id: str, tags: dict[str, str]) -> Any:
        info = SimpleNamespace(run_id=f"run{next(self._numbers)}", lifecycle_stage="active")
        self._runs[info.run_id] = SimpleNamespace(info=info, data=SimpleNamespace(params={}))
        return self._runs[info.run_id]

    def set_terminated(self, run_id: str, status: str) -> None:
        _found(self._runs, run_id)

    def delete_run(self, run_id: str) -> None:
        _found(self._runs, run_id).info.lifecycle_stage = "deleted"

    def get_run(self, run_id: str) -> Any:
        run = _found(self._runs, run_id)
        return SimpleNamespace(info=run.info, data=SimpleNamespace(params=dict(run.data.params)))

    def log_param(self, run_id: str, key: str, value: str) -> None:
        params = _found(self._runs, run_id).data.params
        if params.setdefault(key, value) != value:
            raise MlflowException("another value", INVALID_PARAMETER_VALUE)


def _found(things: dict[Any, Any], key: Any) -> Any:
    if key not in things:
        raise MlflowException(f"no {key}", RESOURCE_DOES_NOT_EXIST)
    return things[key]


def _copy(thing: Any) -> Any:
    kept = {k: dict(v) if isinstance(v, dict) else v for k, v in vars(thing).items()}
    return SimpleNamespace(**kept)
