"""The models of one server, kept at their wanted versions by a polling thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from serving.model_server.loader import LoadedModel
from serving.model_server.status import invalid, not_found
from serving.model_server.versions import ServedModel, VersionStatus

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.02


class ModelManager:
    """Several models by name.

    Args:
        models: The base path of each model.
        pinned_versions: The version to serve, for models that shall not follow the newest.
        keep_previous: Keep the version before each model's present one loaded.
        poll_wait_s: Seconds between two looks at the base paths; 0 looks once, at the start.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        pinned_versions: Mapping[str, int] | None = None,
        poll_wait_s: float = 1.0,
        *,
        keep_previous: bool = False,
    ) -> None:
        pins = pinned_versions or {}
        self._models = {
            name: ServedModel(name, Path(base_path), pins.get(name), keep_previous=keep_previous)
            for name, base_path in models.items()
        }
        self._poll_wait_s = poll_wait_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """The served models by name."""
        return self._models

    def start(self) -> None:
        """Begin to load and to poll, in a thread."""
        self._thread = threading.Thread(target=self._poll, name="model-loader", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop polling and unload; requests under way keep their version until they end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        for model in self._models.values():
            model.close()

    @contextmanager
    def acquire(
        self, name: str, version: int | None = None, version_label: str = ""
    ) -> Iterator[tuple[int, LoadedModel]]:
        """Hold a version of a model for one request; see `ServedModel.acquire`.

        Raises:
            StatusError: NOT_FOUND for a model or version that is not served, INVALID_ARGUMENT
                for no name or for a version label.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if version_label:
            raise invalid(f"Unrecognized servable version label: {version_label}")
        model = self._models.get(name)
        if model is None:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise not_found(f"Servable not found for request: {asked}")
        with model.acquire(version) as held:
            yield held

    def statuses(
        self, name: str, version: int | None = None, version_label: str = ""
    ) -> list[VersionStatus]:
        """The status of a model's versions, newest first.

        Raises:
            StatusError: NOT_FOUND for a model or version never seen, INVALID_ARGUMENT for no
                name or for a version label.
        """
        if not name:
            raise invalid("Missing model name in request.")
        if version_label:
            raise invalid(f"Unrecognized servable version label: {version_label}")
        model = self._models.get(name)
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
            nothing to serve because its wanted version failed to load.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            silent = [m for m in self._models.values() if m.available_version is None]
            if not silent or any(model.wanted_failure() for model in silent):
                return silent
            if time.monotonic() >= deadline or self._stopping.wait(_LOOK_EVERY_S):
                return silent

    def _poll(self) -> None:
        while True:
            for model in self._models.values():
                if self._stopping.is_set():
                    return
                model.refresh()
            if self._poll_wait_s <= 0 or self._stopping.wait(self._poll_wait_s):
                return
