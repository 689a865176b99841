"""The models of one server: found, loaded and unloaded as its configuration says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlproject.errors import ConfigError
from serving.model_config import ModelConfig, check
from serving.model_server.background import Background
from serving.model_server.base_paths import BasePaths
from serving.model_server.load_scheduler import LoadScheduler
from serving.model_server.options import ManagerOptions
from serving.model_server.reload_checks import check_labels, not_available
from serving.model_server.served_model import ServedModel
from serving.model_server.status import (
    StatusError,
    invalid,
    no_servable,
    not_found,
    unknown_label,
)
from serving.model_server.version_folders import Source
from serving.model_server.version_opener import VersionOpener
from serving.model_server.versions import LiveVersion, VersionStatus

_LOOK_EVERY_S = 0.02
_RELOAD_WAIT_S = 600.0


class ModelManager:
    """Several models by name.

    Args:
        configs: The models to serve at first.
        options: How they are found, loaded and kept.

    Raises:
        ConfigError: The configuration names a model twice, no absolute base path, or gives a label
            to a version, none of which is loaded yet, without `labels_for_unavailable`.
    """

    def __init__(
        self, configs: Iterable[ModelConfig], options: ManagerOptions | None = None
    ) -> None:
        self._options = options or ManagerOptions()
        self._stopping = threading.Event()
        self._background = Background()
        self._scheduler = LoadScheduler(
            lambda: self._models.values(), self._options, self._stopping, self._background
        )
        self._opener = VersionOpener(self._options)
        self._base_paths = BasePaths(self._options.cache_dir)
        self._reloading = threading.Lock()  # one change of the configuration at a time
        self._seen: dict[str, ServedModel] = {}  # also those that are served no more
        # Read without a lock by every request; replaced, never changed.
        self._models: Mapping[str, ServedModel] = {}
        given = tuple(configs)
        check(given)
        try:
            check_labels(given, self._models, self._options)
        except StatusError as err:
            raise ConfigError(
                err.message,
                next_step="leave the labels out until the versions are loaded, or start with "
                "--allow_version_labels_for_unavailable_models",
            ) from err
        self._apply(
            given, {config.name: self._base_paths.open(config.base_path) for config in given}
        )

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """The served models by name."""
        return self._models

    @property
    def configs(self) -> tuple[ModelConfig, ...]:
        """The configuration that is served now."""
        return tuple(model.config for model in self._models.values() if model.config)

    @property
    def is_batching(self) -> bool:
        """Whether requests wait for others, to run with them as one batch."""
        return self._options.batching is not None

    def start(self) -> None:
        """Begin to load and to poll, in a thread."""
        self._scheduler.start()

    def watch_config(self, path: Path, every_s: float) -> None:
        """Serve what a file says, from its next change on.

        Args:
            path: A `ModelServerConfig` in text form.
            every_s: Seconds between two reads. A file that cannot be served changes nothing.
        """
        from serving.model_server.config_file import watch

        self._background.run(lambda: watch(self, path, every_s, self._stopping), "model-config")

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop polling and unload; requests under way keep their version until they end."""
        self._stopping.set()
        self._scheduler.wake()
        for model in list(self._seen.values()):  # a reload may be under way
            model.close()
        self._background.join(time.monotonic() + timeout_s)
        self._base_paths.close()

    def acquire(
        self, name: str, version: int | None = None, version_label: str = ""
    ) -> LiveVersion:
        """Take a version of a model for one request.

        Args:
            name: The model.
            version: A version number; None for the one that answers now.
            version_label: A label instead of a number.

        Returns:
            A context manager that gives the version and its model. It must be entered: the
            version stays loaded until the block ends.

        Raises:
            StatusError: NOT_FOUND for a model or version that is not served, INVALID_ARGUMENT
                for no name or an unknown label.
        """
        model = self._models.get(name)
        if version_label:
            version = self._labelled(model, version_label)
        if model is None:
            if not name:
                raise invalid("ModelSpec has no name specified.")
            raise no_servable(name, version)
        return model.acquire(version)

    def statuses(
        self, name: str, version: int | None = None, version_label: str = ""
    ) -> list[VersionStatus]:
        """The status of a model's versions, newest first, also of those that are gone.

        Raises:
            StatusError: NOT_FOUND for a model or version never seen, INVALID_ARGUMENT for no
                name or an unknown label.
        """
        if not name:
            raise invalid("Missing model name in request.")
        if version_label:
            version = self._labelled(self._models.get(name), version_label)
        model = self._seen.get(name)
        statuses = model.statuses() if model else []
        if version is None:
            if not statuses:
                raise not_found(f"Could not find any versions of model {name}")
            return statuses
        chosen = [status for status in statuses if status.version == version]
        if not chosen:
            raise not_found(f"Could not find version {version} of model {name}")
        return chosen

    def wait_until_available(self, timeout_s: float) -> list[ServedModel]:
        """Wait until each model answers.

        Args:
            timeout_s: How long to wait at most.

        Returns:
            The models that do not answer: none, when all do; at once when one of them has
            nothing to serve because its wanted versions failed to load.
        """
        return self._wait_for(list(self._models.values()), timeout_s)

    def reload(self, configs: Iterable[ModelConfig], timeout_s: float | None = None) -> None:
        """Replace the configuration, as `HandleReloadConfigRequest` does.

        Models left out are unloaded. The call returns when each model that is new answers; new
        versions of the others load behind it.

        Args:
            configs: All models to serve.
            timeout_s: How long to wait for new models; None is ten minutes.

        Raises:
            StatusError: INVALID_ARGUMENT, NOT_FOUND or FAILED_PRECONDITION when the configuration
                cannot be served, which changes nothing; UNKNOWN when a new model did not load.
        """
        given = tuple(configs)
        with self._reloading:
            try:
                check(given)
            except ConfigError as err:
                raise invalid(err.failed) from err
            check_labels(given, self._models, self._options)
            sources = self._base_paths.open_new(given, self._models)
            new = [config.name for config in given if config.name not in self._models]
            self._apply(given, sources)
        for name in sources:
            if (model := self._models.get(name)) and not model.source.is_remote:
                self._scheduler.look(model)
        self._scheduler.wake()
        wait_s = _RELOAD_WAIT_S if timeout_s is None else timeout_s
        awaited = [self._models[name] for name in new if name in self._models]
        silent = self._wait_for(awaited, wait_s)
        if silent:
            raise not_available(silent)

    def _wait_for(self, models: list[ServedModel], timeout_s: float) -> list[ServedModel]:
        deadline = time.monotonic() + timeout_s
        while True:
            silent = [model for model in models if model.available_version is None]
            if not silent or any(model.wanted_failure() for model in silent):
                return silent
            if time.monotonic() >= deadline or self._stopping.wait(_LOOK_EVERY_S):
                return silent

    def _labelled(self, model: ServedModel | None, label: str) -> int:
        version = model.labels.get(label) if model else None
        if version is None:
            raise unknown_label(label)
        return version

    def _apply(self, configs: tuple[ModelConfig, ...], sources: Mapping[str, Source]) -> None:
        models = {}
        for config in configs:
            model = self._seen.get(config.name)
            if model is None:
                model = ServedModel(
                    config,
                    sources[config.name],
                    self._options,
                    self._opener.open,
                    self._scheduler.wake,
                    self._background,
                )
                self._seen[config.name] = model
            model.configure(config, sources.get(config.name))
            models[config.name] = model
        gone = [model for name, model in self._models.items() if name not in models]
        self._models = models
        for model in gone:
            model.configure(None)
