"""One model of the server: its versions come, answer and go while requests run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path

from serving.model_config import ModelConfig, VersionPolicy
from serving.model_server.background import Background
from serving.model_server.options import ManagerOptions
from serving.model_server.status import StatusError, no_servable, not_found
from serving.model_server.version_folders import Source, VersionFolder
from serving.model_server.version_loads import Load, VersionLoads
from serving.model_server.version_table import VersionTable
from serving.model_server.versions import LiveVersion, ManagedVersion, State, VersionStatus

logger = logging.getLogger(__name__)


class ServedModel:
    """One model.

    A new version is loaded beside the old one and takes over in one step; requests end on the
    version they began on, and the last of them unloads it. A version that does not load never
    takes over: its status shows the error.

    Args:
        config: Its name, base path and versions.
        source: Its base path.
        options: How versions are loaded and kept.
        load: Loads a version, with its warm-up.
        wake: Called when there is something to load or to unload.
        background: Where versions are freed.
    """

    def __init__(
        self,
        config: ModelConfig,
        source: Source,
        options: ManagerOptions,
        load: Load,
        wake: Callable[[], None],
        background: Background,
    ) -> None:
        self.name = config.name
        self._source = source
        self._options = options
        self._wake = wake
        self._changed = threading.Condition()  # short: guards the table and the fields below
        self._moving = threading.Lock()  # long: one `set_version` at a time
        self._table = VersionTable(config, options)
        self._loads = VersionLoads(
            self.name, self._table, self._changed, load, background, on_freed=self._after_change
        )
        self._policy = config.policy  # to go back to when a pin is taken away
        self.labels: Mapping[str, int] = {}  # read without the lock: replaced, never changed

    @property
    def config(self) -> ModelConfig | None:
        """What is served of it; None when it was taken out of the configuration."""
        return self._table.config

    @property
    def source(self) -> Source:
        """Its base path, to look at."""
        return self._source

    @property
    def base_path(self) -> Path:
        """The folder with one numeric sub-folder per version."""
        return Path(self.config.base_path if self.config else "")

    @property
    def available_version(self) -> int | None:
        """The version that answers when none is named."""
        default = self._table.default
        return default.version if default else None

    def live(self, version: int | None = None) -> LiveVersion | None:
        """A loaded version; None names the one that answers when none is named."""
        table = self._table
        return table.default if version is None else table.serving.get(version)

    def acquire(self, version: int | None) -> LiveVersion:
        """Take a version for one request.

        Args:
            version: A version number, or None for the one that answers now.

        Returns:
            The version, as a context manager: it stays loaded until the block ends.

        Raises:
            StatusError: NOT_FOUND when that version is not loaded.
        """
        while True:
            live = self.live(version)
            if live is None:
                raise no_servable(self.name, version)
            if live.take():
                return live

    def statuses(self) -> list[VersionStatus]:
        """The status of every version seen, newest first."""
        with self._changed:
            return self._table.statuses()

    def wanted_failure(self) -> VersionStatus | None:
        """The failed status of the newest wanted version, when none that is wanted can answer."""
        with self._changed:
            return self._table.wanted_failure()

    def configure(self, config: ModelConfig | None, source: Source | None = None) -> None:
        """Serve something else of it.

        Args:
            config: What; None unloads it.
            source: Its base path, where that is another one.
        """
        with self._changed:
            self._table.config = config
            if config is not None and config.default_version is None:
                self._policy = config.policy
            self.labels = dict(config.labels) if config else {}
            self._source = source or self._source
            self._table.sync()
            self._table.publish()
        self.unload_unwanted()

    def look(self) -> None:
        """Look at the base path, for versions that came, went or changed."""
        source = self._source
        if self.config is None:
            return
        found = source.find()
        if found is None:  # TensorFlow Serving keeps what it has when the base path is away
            return
        if not found and self._options.versions_always_present:
            return
        stamps = self._stamps_of_failed(found)
        with self._changed:
            if self._source is not source or self._table.closed:
                return
            self._table.on_disk = found
            self._table.retry_changed(stamps)
            self._table.sync()
        self.unload_unwanted()

    def to_load(self, now: float) -> list[ManagedVersion]:
        """The versions that may be loaded now, the newest first."""
        with self._changed:
            return self._table.to_load(now)

    def next_due(self) -> float | None:
        """When the next failed load is to be tried again, in seconds of the monotonic clock."""
        with self._changed:
            return self._table.next_due()

    def claim(self, entry: ManagedVersion) -> bool:
        """Begin to load a version; False when it is no longer to be loaded."""
        return self._loads.claim(entry)

    def load(self, entry: ManagedVersion) -> None:
        """Load a version that was claimed; a failure is its status."""
        try:
            self._loads.load(entry, self._options.max_load_retries)
        except StatusError as err:
            logger.error("%s version %d did not load: %s", self.name, entry.version, err.message)
        self._after_change()

    def set_version(self, version: int | None) -> None:
        """Serve a chosen version; returns when it answers.

        Args:
            version: The version to pin, or None to follow the newest in the base path again.

        Raises:
            StatusError: It does not load. What was served before, and the pin, stay as they were.
        """
        with self._moving:
            found = self._source.find() or {}
            free = VersionPolicy() if self._policy.kind == "specific" else self._policy
            target = max(found, default=None) if version is None else version
            table = self._table
            with self._changed:
                table.on_disk = found or table.on_disk
                table.moving_to = target
            try:
                if target is not None and target != self.available_version:
                    self._move_to(target)
            except StatusError:
                with self._changed:
                    table.moving_to = None
                    table.sync()
                raise
            pinned = VersionPolicy("specific", 1, (version,)) if version is not None else free
            with self._changed:
                table.moving_to = None
                if table.config is not None:
                    table.config = replace(table.config, policy=pinned, default_version=version)
                table.sync()
                table.publish()
        self.unload_unwanted()
        self._wake()

    def unload_unwanted(self) -> None:
        """Retire the versions that are not wanted, as far as others answer in their place."""
        with self._changed:
            taken = self._table.take_unwanted()
        for live in taken:
            live.retire()

    def close(self) -> None:
        """Stop serving; the last request under way unloads the version."""
        with self._changed:
            taken = self._table.take_all()
        for live in taken:
            live.retire()

    def _move_to(self, version: int) -> None:
        """Load a version, if it is not; on return it is AVAILABLE.

        Raises:
            StatusError: It did not load.
        """
        table = self._table
        folder = table.on_disk.get(version)
        stamp = folder.stamp() if folder else None
        with self._changed:
            while (entry := table.managed.get(version)) and entry.state is State.LOADING:
                self._changed.wait()
            live = entry.live if entry and entry.answers else None
            if entry and live and live.stamp == stamp:
                entry.aspired = True
                return
            if folder is None:
                base_path = self.base_path
                raise not_found(f"There is no version {version} of {self.name} in {base_path}")
            entry = ManagedVersion(version, folder, live=live)
            table.begin(entry, State.LOADING)
        self._loads.load(entry, retries=0)

    def _after_change(self) -> None:
        self.unload_unwanted()
        with self._changed:
            self._changed.notify_all()
        self._wake()

    def _stamps_of_failed(self, found: Mapping[int, VersionFolder]) -> dict[int, Hashable]:
        with self._changed:
            failed = [e.version for e in self._table.managed.values() if e.failed or e.tries]
        return {version: found[version].stamp() for version in failed if version in found}
