"""One model of the server: which versions are wanted, which are loaded, and which one answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path

from serving.model_config import ModelConfig, VersionPolicy
from serving.model_server.availability import versions_to_load, versions_to_unload
from serving.model_server.loader import LoadedModel
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code, StatusError, invalid, not_found
from serving.model_server.version_folders import Source, VersionFolder
from serving.model_server.versions import LiveVersion, ManagedVersion, State, VersionStatus

logger = logging.getLogger(__name__)

Load = Callable[[VersionFolder, int], LoadedModel]
_SETTLE_S = 0.25
"""When to look again at files that changed while they were read, at the earliest."""


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
    """

    def __init__(
        self,
        config: ModelConfig,
        source: Source,
        options: ManagerOptions,
        load: Load,
        wake: Callable[[], None],
    ) -> None:
        self.name = config.name
        self._config: ModelConfig | None = config
        self._source = source
        self._options = options
        self._load = load
        self._wake = wake
        self._changed = threading.Condition()  # short: guards the fields below
        self._moving = threading.Lock()  # long: one `set_version` at a time
        self._managed: dict[int, ManagedVersion] = {}
        self._on_disk: dict[int, VersionFolder] = {}
        self._moving_to: int | None = None
        self._policy = config.policy  # to go back to when a pin is taken away
        self._statuses: dict[int, VersionStatus] = {}
        self._closed = False
        # Read without the lock by every request; replaced, never changed.
        self._serving: Mapping[int, LiveVersion] = {}
        self._default: LiveVersion | None = None
        self._previous: int | None = None
        self.labels: Mapping[str, int] = {}

    @property
    def config(self) -> ModelConfig | None:
        """What is served of it; None when it was taken out of the configuration."""
        return self._config

    @property
    def source(self) -> Source:
        """Its base path, to look at."""
        return self._source

    @property
    def base_path(self) -> Path:
        """The folder with one numeric sub-folder per version."""
        return Path(self._config.base_path if self._config else "")

    @property
    def available_version(self) -> int | None:
        """The version that answers when none is named."""
        default = self._default
        return default.version if default else None

    def live(self, version: int | None = None) -> LiveVersion | None:
        """A loaded version; None names the one that answers when none is named."""
        return self._default if version is None else self._serving.get(version)

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
            live = self._default if version is None else self._serving.get(version)
            if live is None:
                raise no_servable(self.name, version)
            if live.take():
                return live

    def statuses(self) -> list[VersionStatus]:
        """The status of every version seen, newest first."""
        with self._changed:
            return sorted(self._statuses.values(), key=lambda status: -status.version)

    def wanted_failure(self) -> VersionStatus | None:
        """The failed status of the newest wanted version, when none that is wanted can answer."""
        with self._changed:
            wanted = [entry for entry in self._managed.values() if entry.aspired]
            if not wanted or not all(entry.failed for entry in wanted):
                return None
            return self._statuses[max(entry.version for entry in wanted)]

    def configure(self, config: ModelConfig | None, source: Source | None = None) -> None:
        """Serve something else of it.

        Args:
            config: What; None unloads it.
            source: Its base path, where that is another one.
        """
        with self._changed:
            self._config = config
            if config is not None and config.default_version is None:
                self._policy = config.policy
            self.labels = dict(config.labels) if config else {}
            self._source = source or self._source
            self._sync()
            self._publish()
        self.unload_unwanted()

    def look(self) -> None:
        """Look at the base path, for versions that came, went or changed."""
        source, config = self._source, self._config
        if config is None:
            return
        found = source.find()
        if found is None:  # TensorFlow Serving keeps what it has when the base path is away
            return
        if not found and self._options.versions_always_present:
            return
        stamps = self._stamps_of_failed(found)
        with self._changed:
            if self._source is not source or self._closed:
                return
            self._on_disk = found
            for version, stamp in stamps.items():
                entry = self._managed.get(version)
                if entry and entry.tries and stamp != entry.failed_stamp:
                    entry.tries, entry.due_at = 0, 0.0
                    if entry.failed:
                        entry.state = State.START
            self._sync()
        self.unload_unwanted()

    def to_load(self, now: float) -> list[ManagedVersion]:
        """The versions that may be loaded now, the newest first."""
        with self._changed:
            if self._closed:
                return []
            ready = versions_to_load(list(self._managed.values()), now)
            wanted = self._default_wanted()
            return sorted(ready, key=lambda entry: entry.version != wanted)

    def next_due(self) -> float | None:
        """When the next failed load is to be tried again, in seconds of the monotonic clock."""
        with self._changed:
            return min(
                (
                    entry.due_at
                    for entry in self._managed.values()
                    if entry.aspired and entry.state is State.START and entry.due_at
                ),
                default=None,
            )

    def claim(self, entry: ManagedVersion) -> bool:
        """Begin to load a version; False when it is no longer to be loaded."""
        with self._changed:
            if self._closed or self._managed.get(entry.version) is not entry:
                return False
            if not entry.aspired or entry.state is not State.START:
                return False
            entry.state = State.LOADING
            self._set_status(entry, State.LOADING)
        return True

    def load(self, entry: ManagedVersion) -> None:
        """Load a version that was claimed; a failure is its status."""
        try:
            self._load_now(entry)
        except StatusError as err:
            logger.error("%s version %d did not load: %s", self.name, entry.version, err.message)
            self._failed(entry, err, self._options.max_load_retries)
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
            with self._changed:
                self._on_disk = found or self._on_disk
                self._moving_to = target
            try:
                if target is not None and target != self.available_version:
                    self._move_to(target)
            except StatusError:
                with self._changed:
                    self._moving_to = None
                    self._sync()
                raise
            pinned = VersionPolicy("specific", 1, (version,)) if version is not None else free
            with self._changed:
                self._moving_to = None
                if self._config is not None:
                    self._config = replace(self._config, policy=pinned, default_version=version)
                self._sync()
                self._publish()
        self.unload_unwanted()
        self._wake()

    def unload_unwanted(self) -> None:
        """Retire the versions that are not wanted, as far as others answer in their place."""
        with self._changed:
            managed = list(self._managed.values())
            kept = [entry.version for entry in managed if self._is_kept(entry)]
            numbers = versions_to_unload(managed, kept)
            retired = [self._retire(self._managed[number]) for number in numbers]
            if retired:
                self._publish()
        for live in retired:
            live.retire()

    def close(self) -> None:
        """Stop serving; the last request under way unloads the version."""
        with self._changed:
            self._closed = True  # a load that is under way sees it and gives its model back
            answering = [entry for entry in self._managed.values() if entry.answers]
            retired = [self._retire(entry) for entry in answering]
            self._serving, self._default = {}, None
        for live in retired:
            live.retire()

    def _move_to(self, version: int) -> None:
        """Load a version, if it is not; on return it is AVAILABLE.

        Raises:
            StatusError: It did not load.
        """
        folder = self._on_disk.get(version)
        stamp = folder.stamp() if folder else None
        with self._changed:
            while (entry := self._managed.get(version)) and entry.state is State.LOADING:
                self._changed.wait()
            live = entry.live if entry and entry.answers else None
            if entry and live and live.stamp == stamp:
                entry.aspired = True
                return
            if folder is None:
                base_path = self.base_path
                raise not_found(f"There is no version {version} of {self.name} in {base_path}")
            entry = ManagedVersion(version, folder, state=State.LOADING, live=live)
            self._managed[version] = entry
            self._set_status(entry, State.LOADING)
        try:
            self._load_now(entry)
        except StatusError as err:
            self._failed(entry, err, retries=0)
            raise

    def _load_now(self, entry: ManagedVersion) -> None:
        stamp = entry.folder.stamp()
        try:
            model = self._load(entry.folder, entry.version)
        except StatusError:
            entry.failed_stamp = stamp
            raise
        if entry.folder.stamp() != stamp:
            model.close()
            entry.failed_stamp = stamp
            raise StatusError(
                Code.ABORTED, f"The files of {entry.folder.where} changed while they were loaded"
            )
        self._install(entry, model, stamp)

    def _install(self, entry: ManagedVersion, model: LoadedModel, stamp: Hashable) -> None:
        with self._changed:
            closed, old = self._closed, entry.live
            if not closed:
                entry.live = LiveVersion(entry.version, model, stamp, self._unload)
                entry.state, entry.tries = State.AVAILABLE, 0
                self._publish()
            self._set_status(entry, State.END if closed else State.AVAILABLE)
        if closed:
            model.close()
            return
        logger.info("%s version %d answers now", self.name, entry.version)
        if old is not None:  # its files were replaced
            old.retire()

    def _failed(self, entry: ManagedVersion, err: StatusError, retries: int) -> None:
        with self._changed:
            changing = err.code is Code.ABORTED
            entry.tries += not changing
            if self._closed or not entry.aspired or entry.tries > retries:
                entry.state = State.END
                self._set_status(entry, State.END, err)
                return
            wait_s = _SETTLE_S if changing else self._options.load_retry_interval_s
            entry.state, entry.due_at = State.START, time.monotonic() + wait_s

    def _unload(self, live: LiveVersion) -> None:
        """Free a version that nobody uses; called once for each."""
        threading.Thread(
            target=self._free, args=(live,), name=f"unload-{self.name}-{live.version}", daemon=True
        ).start()

    def _free(self, live: LiveVersion) -> None:
        live.model.close()
        with self._changed:
            entry = self._managed.get(live.version)
            if entry is not None and entry.live is live:
                del self._managed[live.version]
                entry.folder.forget()
                self._set_status(entry, State.END)
            self._sync()
        logger.info("%s version %d is unloaded", self.name, live.version)
        self._after_change()

    def _after_change(self) -> None:
        self.unload_unwanted()
        with self._changed:
            self._changed.notify_all()
        self._wake()

    # The methods below are called with `_changed` held.

    def _sync(self) -> None:
        """Compare what is wanted with what there is."""
        wanted = self._wanted()
        for version, entry in list(self._managed.items()):
            entry.aspired = version in wanted
            if not entry.aspired and entry.state in (State.START, State.END) and not entry.live:
                if entry.state is State.START:
                    self._set_status(entry, State.END)
                del self._managed[version]
        for version in wanted & set(self._on_disk):
            folder, known = self._on_disk[version], self._managed.get(version)
            if known and known.state is State.LOADING:
                continue
            if known and known.answers and known.folder.where == folder.where:
                continue
            if known and not known.live:
                known.folder = folder
                continue
            # Not there yet, on its way out, or to be read from another base path.
            live = known.live if known and known.answers else None
            self._managed[version] = ManagedVersion(version, folder, live=live)
            self._set_status(self._managed[version], State.START)
        self._changed.notify_all()

    def _wanted(self) -> set[int]:
        if self._config is None or self._closed:
            return set()
        wanted = set(self._config.policy.chosen(self._on_disk))
        default = self._default_wanted()
        if default is not None:
            # A pin holds what answers though its files may be gone.
            wanted |= {default} & set(self._managed)
        if self._moving_to in self._managed:
            wanted.add(self._moving_to)
        return wanted

    def _default_wanted(self) -> int | None:
        """The version that is to answer when none is named; None for the newest."""
        if self._config is None:
            return None
        if self._config.default_version is not None:
            return self._config.default_version
        return self._config.labels.get(self._options.default_label)

    def _is_kept(self, entry: ManagedVersion) -> bool:
        """Whether a version stays, though nothing names it."""
        if self._config is None or self._closed or not entry.answers:
            return False
        if self._options.keep_previous and entry.version == self._previous:
            return True
        if self._default is None or self._default.version != entry.version:
            return False
        # What answers stays until its successor does.
        wanted = self._default_wanted()
        if wanted is not None:
            successor = self._managed.get(wanted)
            return successor is not None and not successor.live
        aspired = [other for other in self._managed.values() if other.aspired]
        return bool(aspired) and not any(other.answers for other in aspired)

    def _publish(self) -> None:
        """Let requests see what is AVAILABLE now."""
        live = {
            version: entry.live
            for version, entry in sorted(self._managed.items())
            if entry.live and entry.answers
        }
        before, now = self._default, self._choose_default(live)
        if before is not None and now is not None and before.version != now.version:
            self._previous = before.version
        self._serving, self._default = live, now

    def _choose_default(self, live: Mapping[int, LiveVersion]) -> LiveVersion | None:
        wanted = self._default_wanted()
        if wanted is not None:
            if wanted in live or self._default is None:
                return live.get(wanted)
            return live.get(self._default.version)
        aspired = [version for version in live if self._managed[version].aspired]
        newest = max(aspired or live, default=None)
        return None if newest is None else live[newest]

    def _retire(self, entry: ManagedVersion) -> LiveVersion:
        entry.state = State.UNLOADING
        self._set_status(entry, State.UNLOADING)
        if entry.live is None:
            raise RuntimeError(f"{self.name} version {entry.version} is not loaded")
        return entry.live

    def _set_status(
        self, entry: ManagedVersion, state: State, err: StatusError | None = None
    ) -> None:
        code, message = (err.code, err.message) if err else (Code.OK, "")
        self._statuses[entry.version] = VersionStatus(entry.version, state, code, message)

    def _stamps_of_failed(self, found: Mapping[int, VersionFolder]) -> dict[int, Hashable]:
        with self._changed:
            failed = [e.version for e in self._managed.values() if e.failed or e.tries]
        return {version: found[version].stamp() for version in failed if version in found}


def no_servable(name: str, version: int | None) -> StatusError:
    """NOT_FOUND, in TensorFlow Serving's words."""
    asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return not_found(f"Servable not found for request: {asked}")


def unknown_label(label: str) -> StatusError:
    """INVALID_ARGUMENT, in TensorFlow Serving's words."""
    return invalid(f"Unrecognized servable version label: {label}")
