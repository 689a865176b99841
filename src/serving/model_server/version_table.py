"""The versions of one model: which are wanted, which there are, and which one answers."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping

from serving.model_config import ModelConfig
from serving.model_server.availability import versions_to_load, versions_to_unload
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code, StatusError
from serving.model_server.version_folders import VersionFolder
from serving.model_server.versions import LiveVersion, ManagedVersion, State, VersionStatus

_SETTLE_S = 0.25
"""When to look again at files that changed while they were read, at the earliest."""


class VersionTable:
    """The versions of one model. Nothing here locks or waits: `ServedModel` does.

    Args:
        config: What is served of the model.
        options: How versions are loaded and kept.

    Attributes:
        config: The same, as it is now; None when it was taken out of the configuration.
        managed: The versions that are wanted, or still there, by number.
        on_disk: The versions that the base path holds.
        moving_to: The version that `set_version` loads now.
        closed: Whether nothing is wanted any more.
        serving: The versions that answer. Requests read it and `default` without a lock: both
            are replaced, never changed.
        default: The version that answers when none is named.
        previous: The version that did before.
    """

    def __init__(self, config: ModelConfig, options: ManagerOptions) -> None:
        self._options = options
        self.config: ModelConfig | None = config
        self.managed: dict[int, ManagedVersion] = {}
        self.on_disk: dict[int, VersionFolder] = {}
        self.moving_to: int | None = None
        self.closed = False
        self.serving: Mapping[int, LiveVersion] = {}
        self.default: LiveVersion | None = None
        self.previous: int | None = None
        self._statuses: dict[int, VersionStatus] = {}

    def statuses(self) -> list[VersionStatus]:
        """The status of every version seen, newest first."""
        return sorted(self._statuses.values(), key=lambda status: -status.version)

    def wanted_failure(self) -> VersionStatus | None:
        """The failed status of the newest wanted version, when none that is wanted can answer."""
        wanted = [entry for entry in self.managed.values() if entry.aspired]
        if not wanted or not all(entry.failed for entry in wanted):
            return None
        return self._statuses[max(entry.version for entry in wanted)]

    def to_load(self, now: float) -> list[ManagedVersion]:
        """The versions that may be loaded now, the one that is to answer first, then the newest."""
        if self.closed:
            return []
        ready = versions_to_load(list(self.managed.values()), now)
        wanted = self._default_wanted()
        return sorted(ready, key=lambda entry: entry.version != wanted)

    def next_due(self) -> float | None:
        """When the next failed load is to be tried again, in seconds of the monotonic clock."""
        return min(
            (
                entry.due_at
                for entry in self.managed.values()
                if entry.aspired and entry.state is State.START and entry.due_at
            ),
            default=None,
        )

    def sync(self) -> None:
        """Compare what is wanted with what there is."""
        wanted = self._wanted()
        for version, entry in list(self.managed.items()):
            entry.aspired = version in wanted
            if not entry.aspired and entry.state in (State.START, State.END) and not entry.live:
                if entry.state is State.START:
                    self.set_state(entry, State.END)
                del self.managed[version]
        for version in wanted & set(self.on_disk):
            folder, known = self.on_disk[version], self.managed.get(version)
            if known and known.state is State.LOADING:
                continue
            if known and known.answers and known.folder.where == folder.where:
                continue
            if known and not known.live:
                known.folder = folder
                continue
            # Not there yet, on its way out, or to be read from another base path.
            live = known.live if known and known.answers else None
            self.begin(ManagedVersion(version, folder, live=live), State.START)

    def begin(self, entry: ManagedVersion, state: State) -> None:
        """Put a version in the place of what is known by its number."""
        self.managed[entry.version] = entry
        self.set_state(entry, state)

    def set_state(
        self, entry: ManagedVersion, state: State, err: StatusError | None = None
    ) -> None:
        """Move a version to a state, and show it."""
        entry.state = state
        code, message = (err.code, err.message) if err else (Code.OK, "")
        self._statuses[entry.version] = VersionStatus(entry.version, state, code, message)

    def failed(self, entry: ManagedVersion, err: StatusError, retries: int) -> None:
        """Note that a load failed: it is tried again later, or given up."""
        changing = err.code is Code.ABORTED
        entry.tries += not changing
        if self.closed or not entry.aspired or entry.tries > retries:
            self.set_state(entry, State.END, err)
            return
        wait_s = _SETTLE_S if changing else self._options.load_retry_interval_s
        entry.state, entry.due_at = State.START, time.monotonic() + wait_s

    def retry_changed(self, stamps: Mapping[int, Hashable]) -> None:
        """Begin again with failed versions whose files are others now.

        Args:
            stamps: What stands for the files of each, by version.
        """
        for version, stamp in stamps.items():
            entry = self.managed.get(version)
            if entry and entry.tries and stamp != entry.failed_stamp:
                entry.tries, entry.due_at = 0, 0.0
                if entry.failed:
                    entry.state = State.START

    def publish(self) -> None:
        """Let requests see what is AVAILABLE now."""
        live = {
            version: entry.live
            for version, entry in sorted(self.managed.items())
            if entry.live and entry.answers
        }
        before, now = self.default, self._choose_default(live)
        if before is not None and now is not None and before.version != now.version:
            self.previous = before.version
        self.serving, self.default = live, now

    def take_unwanted(self) -> list[LiveVersion]:
        """Take out what is not wanted, as far as others answer in its place; to be retired."""
        managed = list(self.managed.values())
        kept = [entry.version for entry in managed if self._is_kept(entry)]
        taken = [
            self._take(self.managed[number], live)
            for number in versions_to_unload(managed, kept)
            if (live := self.managed[number].live)
        ]
        if taken:
            self.publish()
        return taken

    def take_all(self) -> list[LiveVersion]:
        """Take out everything that answers, for good; to be retired."""
        self.closed = True  # a load that is under way sees it and gives its model back
        answering = [entry for entry in self.managed.values() if entry.answers]
        taken = [self._take(entry, entry.live) for entry in answering if entry.live]
        self.serving, self.default = {}, None
        return taken

    def _take(self, entry: ManagedVersion, live: LiveVersion) -> LiveVersion:
        self.set_state(entry, State.UNLOADING)
        return live

    def _wanted(self) -> set[int]:
        if self.config is None or self.closed:
            return set()
        wanted = set(self.config.policy.chosen(self.on_disk))
        default = self._default_wanted()
        if default is not None:
            # A pin holds what answers though its files may be gone.
            wanted |= {default} & set(self.managed)
        if self.moving_to in self.managed:
            wanted.add(self.moving_to)
        return wanted

    def _default_wanted(self) -> int | None:
        """The version that is to answer when none is named; None for the newest."""
        if self.config is None:
            return None
        if self.config.default_version is not None:
            return self.config.default_version
        return self.config.labels.get(self._options.default_label)

    def _is_kept(self, entry: ManagedVersion) -> bool:
        """Whether a version stays, though nothing names it."""
        if self.config is None or self.closed or not entry.answers:
            return False
        if self._options.keep_previous and entry.version == self.previous:
            return True
        if self.default is None or self.default.version != entry.version:
            return False
        # What answers stays until its successor does.
        wanted = self._default_wanted()
        if wanted is not None:
            successor = self.managed.get(wanted)
            return successor is not None and not successor.live
        aspired = [other for other in self.managed.values() if other.aspired]
        return bool(aspired) and not any(other.answers for other in aspired)

    def _choose_default(self, live: Mapping[int, LiveVersion]) -> LiveVersion | None:
        wanted = self._default_wanted()
        if wanted is not None:
            if wanted in live or self.default is None:
                return live.get(wanted)
            return live.get(self.default.version)
        aspired = [version for version in live if self.managed[version].aspired]
        newest = max(aspired or live, default=None)
        return None if newest is None else live[newest]
