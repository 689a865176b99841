"""The models of one server: found, loaded and unloaded as its configuration says."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mlproject.errors import ConfigError
from serving.model_config import ModelConfig, check
from serving.model_server.loader import LoadedModel
from serving.model_server.options import ManagerOptions, SessionOptions
from serving.model_server.reload_checks import check_labels, not_available
from serving.model_server.served_model import ServedModel, no_servable, unknown_label
from serving.model_server.status import Code, StatusError, invalid, not_found
from serving.model_server.version_folders import LocalSource, Source, VersionFolder
from serving.model_server.versions import LiveVersion, ManagedVersion, VersionStatus
from serving.model_server.warmup_records import run_warmup

__all__ = ["ManagerOptions", "ModelManager", "SessionOptions"]

logger = logging.getLogger(__name__)

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
        self._awake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._reloading = threading.Lock()  # one change of the configuration at a time
        self._counting = threading.Lock()  # short: guards the two fields below
        self._loads = 0
        self._looking: set[str] = set()
        self._initial = True
        self._own_cache: Path | None = None
        self._slots = None
        if self._options.batching is not None:
            from serving.model_server.batching import BatchSlots

            self._slots = BatchSlots(self._options.batching.num_batch_threads)
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
        self._apply(given, {config.name: self._open(config.base_path) for config in given})

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """The served models by name."""
        return self._models

    @property
    def configs(self) -> tuple[ModelConfig, ...]:
        """The configuration that is served now."""
        return tuple(model.config for model in self._models.values() if model.config)

    def start(self) -> None:
        """Begin to load and to poll, in a thread."""
        self._threads.append(_in_daemon(self._manage, "model-manager"))

    def watch_config(self, path: Path, every_s: float) -> None:
        """Serve what a file says, from its next change on.

        Args:
            path: A `ModelServerConfig` in text form.
            every_s: Seconds between two reads. A file that cannot be served changes nothing.
        """
        from serving.model_server.config_file import watch

        self._threads.append(
            _in_daemon(lambda: watch(self, path, every_s, self._stopping), "model-config")
        )

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop polling and unload; requests under way keep their version until they end."""
        self._stopping.set()
        self._awake.set()
        for thread in self._threads:
            thread.join(timeout_s)
        for model in self._seen.values():
            model.close()
        if self._own_cache is not None:
            shutil.rmtree(self._own_cache, ignore_errors=True)

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
            sources = self._new_sources(given)
            new = [config.name for config in given if config.name not in self._models]
            self._apply(given, sources)
        for name in sources:
            if (model := self._models.get(name)) and not model.source.is_remote:
                self._look(model)
        self._awake.set()
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

    def _new_sources(self, configs: tuple[ModelConfig, ...]) -> dict[str, Source]:
        """The base paths of models that are new or moved; they must be there."""
        sources = {}
        for config in configs:
            served = self._models.get(config.name)
            if served and served.config and served.config.base_path == config.base_path:
                continue
            source = self._open(config.base_path)
            found = source.find()
            if found is None:
                raise invalid(
                    f"Could not find base path {config.base_path} for servable {config.name}"
                )
            if not found and served is None:
                raise not_found(
                    f"Unable to find a numerical version path for servable {config.name} at: "
                    f"{config.base_path}"
                )
            sources[config.name] = source
        return sources

    def _apply(self, configs: tuple[ModelConfig, ...], sources: Mapping[str, Source]) -> None:
        models = {}
        for config in configs:
            model = self._seen.get(config.name)
            if model is None:
                model = ServedModel(
                    config, sources[config.name], self._options, self._load, self._awake.set
                )
                self._seen[config.name] = model
            model.configure(config, sources.get(config.name))
            models[config.name] = model
        gone = [model for name, model in self._models.items() if name not in models]
        self._models = models
        for model in gone:
            model.configure(None)

    def _manage(self) -> None:
        """Look at the base paths, and begin what is to be done, until stopped."""
        poll_wait_s, next_look = self._options.poll_wait_s, time.monotonic()
        if poll_wait_s < 0:
            next_look = float("inf")
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= next_look:
                for model in self._models.values():
                    self._look(model)
                now = time.monotonic()
                next_look = now + poll_wait_s if poll_wait_s else float("inf")
            self._begin_loads(now)
            dues = [due for model in self._models.values() if (due := model.next_due())]
            wait_s = min(next_look, *dues, now + 3600.0) - now
            self._awake.wait(max(wait_s, 0.001))
            self._awake.clear()

    def _look(self, model: ServedModel) -> None:
        if not model.source.is_remote:
            model.look()
            return
        with self._counting:
            if model.name in self._looking:
                return
            self._looking.add(model.name)
        _in_daemon(lambda: self._look_remote(model), f"look-{model.name}")

    def _look_remote(self, model: ServedModel) -> None:
        try:
            model.look()
        finally:
            with self._counting:
                self._looking.discard(model.name)
            self._awake.set()

    def _begin_loads(self, now: float) -> None:
        models = list(self._models.values())
        if self._initial and all(m.available_version or m.wanted_failure() for m in models):
            self._initial = False
        at_once = max(self._options.load_threads, 1)
        if self._initial:
            at_once = max(at_once, self._options.initial_load_threads)
        # A model that has nothing to answer with comes first.
        models.sort(key=lambda model: model.available_version is not None)
        for model in models:
            for entry in model.to_load(now):
                with self._counting:
                    if self._loads >= at_once:
                        return
                    if not model.claim(entry):
                        continue
                    self._loads += 1
                self._begin_load(model, entry)

    def _begin_load(self, model: ServedModel, entry: ManagedVersion) -> None:
        def load() -> None:
            try:
                model.load(entry)
            finally:
                with self._counting:
                    self._loads -= 1
                self._awake.set()

        _in_daemon(load, f"load-{model.name}-{entry.version}")

    def _load(self, folder: VersionFolder, version: int) -> LoadedModel:
        path = folder.fetch()
        model = self._open_model(path)
        try:
            if self._options.enable_warmup:
                self._warm_up(model, path, version)
            if self._options.batching is not None and self._slots is not None:
                model.start_batching(
                    self._options.batching, self._slots, self._options.batch_recorder
                )
        except StatusError:
            model.close()
            raise
        except Exception as err:  # a model may do anything when it is first asked
            model.close()
            raise StatusError(Code.INTERNAL, f"Warming up {path} failed: {err!r}") from err
        return model

    def _open_model(self, path: Path) -> LoadedModel:
        began, succeeded = time.monotonic(), False
        try:
            model = LoadedModel(path, self._options.session)
            succeeded = True
        finally:
            if self._options.load_recorder:
                seconds = time.monotonic() - began
                self._options.load_recorder.load(str(path), seconds, succeeded=succeeded)
        return model

    def _warm_up(self, model: LoadedModel, path: Path, version: int) -> None:
        began, requests, code = time.monotonic(), 0, Code.INTERNAL
        try:
            requests = run_warmup(model, path, version, self._options.warmup_iterations)
            code = Code.OK
        except StatusError as err:
            code = err.code
            raise
        finally:
            if self._options.load_recorder and (requests or code is not Code.OK):
                self._options.load_recorder.warmup(str(path), time.monotonic() - began, code)

    def _open(self, base_path: str) -> Source:
        if "://" not in base_path:
            return LocalSource(Path(base_path))
        from serving.model_server.cloud_versions import CloudSource

        cache = self._options.cache_dir
        if cache is None:
            self._own_cache = self._own_cache or Path(tempfile.mkdtemp(prefix="benison-models-"))
            cache = self._own_cache
        return CloudSource(base_path, cache)


def _in_daemon(work: Callable[[], None], name: str) -> threading.Thread:
    # No pool: its threads would hold the process until a load that hangs has ended.
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
