"""The versions of one model: which is wanted, which is loaded, and the swap between them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from serving.model_server.loader import LoadedModel
from serving.model_server.status import Code, StatusError, not_found

logger = logging.getLogger(__name__)

_MAX_VERSION = 2**63 - 1


class State(IntEnum):
    """Where a version stands; the numbers of `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """One version's state; `code` and `message` tell why it ended when it ended badly."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass
class _Live:
    """A loaded version, the files that it was loaded from, and how many requests run on it."""

    version: int
    model: LoadedModel
    tree: frozenset[tuple[str, int, int]]
    in_flight: int = 0
    retired: bool = False


class ServedModel:
    """One model, of which one version answers at a time.

    A new version is loaded beside the old one and takes over in one step; requests end on the
    version they began on, and the last of them unloads it. A version that does not load never
    takes over: its status shows the error.

    Args:
        name: The model's name in requests.
        base_path: The folder with one numeric sub-folder per version.
        pinned_version: The version to serve; None serves the newest in `base_path`.
        keep_previous: Keep the version before loaded: it answers those who ask for it by its
            number, and takes over again without a load. It costs its memory.
    """

    def __init__(
        self,
        name: str,
        base_path: Path,
        pinned_version: int | None = None,
        *,
        keep_previous: bool = False,
    ) -> None:
        self.name = name
        self.base_path = Path(base_path)
        self._pinned_version = pinned_version
        self._keep_previous = keep_previous
        self._live: _Live | None = None
        self._previous: _Live | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._failed_trees: dict[int, frozenset[tuple[str, int, int]]] = {}
        self._closed = False
        self._state_lock = threading.Lock()  # short: reading and writing the fields above
        self._swap_lock = threading.Lock()  # long: one load at a time

    @property
    def available_version(self) -> int | None:
        """The version that answers now."""
        live = self._live
        return live.version if live else None

    def statuses(self) -> list[VersionStatus]:
        """The status of every version seen, newest first."""
        with self._state_lock:
            return sorted(self._statuses.values(), key=lambda status: -status.version)

    def wanted_failure(self) -> VersionStatus | None:
        """The failed status of the version that is wanted, if it failed to load."""
        wanted = self._wanted()
        status = self._statuses.get(wanted) if wanted is not None else None
        return status if status and status.code is not Code.OK else None

    @contextmanager
    def acquire(self, version: int | None = None) -> Iterator[tuple[int, LoadedModel]]:
        """Hold a version for one request.

        Args:
            version: A version number, or None for the one that answers now.

        Yields:
            The version number and its model, which stays loaded until the block ends.

        Raises:
            StatusError: NOT_FOUND when that version is not loaded.
        """
        with self._state_lock:
            live = self._live
            if version is not None and self._previous and version == self._previous.version:
                live = self._previous
            if live is None or version not in (None, live.version):
                asked = (
                    f"Latest({self.name})"
                    if version is None
                    else (f"Specific({self.name}, {version})")
                )
                raise not_found(f"Servable not found for request: {asked}")
            live.in_flight += 1
        try:
            yield live.version, live.model
        finally:
            with self._state_lock:
                live.in_flight -= 1
                last = live.retired and live.in_flight == 0
            if last:
                self._unload(live)

    def refresh(self) -> None:
        """Load the wanted version if it is not the one that answers, then retire the old one.

        A version that failed is tried again when its files change.
        """
        with self._swap_lock:
            wanted = self._wanted()
            if wanted is None or wanted == self.available_version:
                return
            if wanted in self._failed_trees and self._failed_trees[wanted] == self._tree(wanted):
                return
            try:
                self._swap_to(wanted)
            except StatusError as err:
                logger.error("%s version %d did not load: %s", self.name, wanted, err.message)

    def set_version(self, version: int | None) -> None:
        """Serve a chosen version; returns when it answers.

        Args:
            version: The version to pin, or None to follow the newest in the base path again.

        Raises:
            StatusError: It does not load. What was served before, and the pin, stay as they were.
        """
        with self._swap_lock:
            wanted = max(versions_in(self.base_path), default=None) if version is None else version
            if wanted is not None and wanted != self.available_version:
                self._swap_to(wanted)
            self._pinned_version = version

    def close(self) -> None:
        """Stop serving; the last request under way unloads the version."""
        with self._state_lock:
            self._closed = True  # a load that is under way sees it and gives its model back
            loaded = (self._live, self._previous)
            self._live = self._previous = None
        for live in loaded:
            if live:
                self._retire(live)

    def _wanted(self) -> int | None:
        if self._pinned_version is not None:
            return self._pinned_version
        return max(versions_in(self.base_path), default=None)

    def _swap_to(self, version: int) -> None:
        tree = self._tree(version)
        with self._state_lock:
            kept = self._previous
            if kept and kept.version == version and kept.tree == tree and not self._closed:
                self._live, self._previous = kept, self._live
                logger.info("%s version %d answers again", self.name, version)
                return
        self._set_status(VersionStatus(version, State.START))
        self._set_status(VersionStatus(version, State.LOADING))
        try:
            path = versions_in(self.base_path).get(version)
            if path is None:
                raise not_found(f"There is no version {version} of {self.name} in {self.base_path}")
            model = LoadedModel(path)
        except StatusError as err:
            self._failed_trees[version] = tree
            self._set_status(VersionStatus(version, State.END, err.code, err.message))
            raise
        self._failed_trees.pop(version, None)
        with self._state_lock:
            closed = self._closed
            if not closed:
                old, self._live = self._live, _Live(version, model, tree)
                if self._keep_previous:
                    old, self._previous = self._previous, old
                self._statuses[version] = VersionStatus(version, State.AVAILABLE)
        if closed:
            model.close()
            self._set_status(VersionStatus(version, State.END))
            return
        logger.info("%s version %d answers now", self.name, version)
        if old:
            self._retire(old)

    def _retire(self, live: _Live) -> None:
        with self._state_lock:
            if self._live is None or self._live.version != live.version:  # else loaded anew
                self._statuses[live.version] = VersionStatus(live.version, State.UNLOADING)
            live.retired = True
            idle = live.in_flight == 0
        if idle:
            self._unload(live)

    def _unload(self, live: _Live) -> None:
        live.model.close()
        with self._state_lock:
            # The same version may have been loaded again while its last request ran.
            if self._statuses[live.version].state is State.UNLOADING:
                self._statuses[live.version] = VersionStatus(live.version, State.END)

    def _set_status(self, status: VersionStatus) -> None:
        with self._state_lock:
            self._statuses[status.version] = status

    def _tree(self, version: int) -> frozenset[tuple[str, int, int]]:
        """Names, sizes and times of a version's files, to see that they changed."""
        entries = set()
        try:
            for path in (self.base_path / str(version)).rglob("*"):
                stat = path.stat()
                entries.add((str(path), stat.st_size, stat.st_mtime_ns))
        except OSError:  # a file went away while we looked: the next look differs
            pass
        return frozenset(entries)


def versions_in(base_path: Path) -> dict[int, Path]:
    """The version folders of a base path; other names, hidden ones too, are no versions."""
    try:
        children = list(base_path.iterdir())
    except OSError:  # not there yet, or not readable for a moment: the next poll looks again
        return {}
    return {
        int(child.name): child
        for child in children
        if child.name.isascii()
        and child.name.isdigit()
        and str(int(child.name)) == child.name
        and int(child.name) <= _MAX_VERSION
        and child.is_dir()
    }
