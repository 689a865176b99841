"""How a version of a model comes to answer, and how it goes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable

from serving.model_server.background import Background
from serving.model_server.loader import LoadedModel
from serving.model_server.status import Code, StatusError
from serving.model_server.version_folders import VersionFolder
from serving.model_server.version_table import VersionTable
from serving.model_server.versions import LiveVersion, ManagedVersion, State

logger = logging.getLogger(__name__)

Load = Callable[[VersionFolder, int], LoadedModel]


class VersionLoads:
    """Loads versions into a table, and frees what was taken out of it.

    Args:
        name: The model's name, for the log.
        table: Its versions.
        changed: Guards the table; held for moments only.
        load: Loads a version, with its warm-up.
        background: Where versions are freed.
        on_freed: Called when a version is unloaded.
    """

    def __init__(
        self,
        name: str,
        table: VersionTable,
        changed: threading.Condition,
        load: Load,
        background: Background,
        on_freed: Callable[[], None],
    ) -> None:
        self._name = name
        self._table = table
        self._changed = changed
        self._load = load
        self._background = background
        self._on_freed = on_freed

    def claim(self, entry: ManagedVersion) -> bool:
        """Begin to load a version; False when it is no longer to be loaded."""
        with self._changed:
            if self._table.closed or self._table.managed.get(entry.version) is not entry:
                return False
            if not entry.aspired or entry.state is not State.START:
                return False
            self._table.set_state(entry, State.LOADING)
        return True

    def load(self, entry: ManagedVersion, retries: int) -> None:
        """Load a version that is LOADING; on return it answers.

        Args:
            entry: The version.
            retries: How many times a load that failed is tried again, at a later time.

        Raises:
            StatusError: It did not load; its status shows it.
        """
        stamp = entry.folder.stamp()
        try:
            model = self._load_unchanged(entry, stamp)
        except StatusError as err:
            self._fail(entry, stamp, err, retries)
            raise
        except BaseException as err:
            # Foreign code may raise anything; a version must not stay LOADING for ever.
            self._fail(entry, stamp, StatusError(Code.INTERNAL, f"Loading failed: {err}"), retries)
            raise
        self._install(entry, model, stamp)

    def _fail(self, entry: ManagedVersion, stamp: Hashable, err: StatusError, retries: int) -> None:
        entry.failed_stamp = stamp
        with self._changed:
            self._table.failed(entry, err, retries)

    def _load_unchanged(self, entry: ManagedVersion, stamp: Hashable) -> LoadedModel:
        model = self._load(entry.folder, entry.version)
        if entry.folder.stamp() != stamp:
            model.close()
            raise StatusError(
                Code.ABORTED, f"The files of {entry.folder.where} changed while they were loaded"
            )
        return model

    def _install(self, entry: ManagedVersion, model: LoadedModel, stamp: Hashable) -> None:
        with self._changed:
            closed, old = self._table.closed, entry.live
            if not closed:
                entry.live, entry.tries = LiveVersion(entry.version, model, stamp, self._unload), 0
            self._table.set_state(entry, State.END if closed else State.AVAILABLE)
            if not closed:
                self._table.publish()
        if closed:
            model.close()
            return
        logger.info("%s version %d answers now", self._name, entry.version)
        if old is not None:  # its files were replaced
            old.retire()

    def _unload(self, live: LiveVersion) -> None:
        """Free a version that nobody uses; called once for each."""
        self._background.run(lambda: self._free(live), f"unload-{self._name}-{live.version}")

    def _free(self, live: LiveVersion) -> None:
        live.model.close()
        with self._changed:
            entry = self._table.managed.get(live.version)
            if entry is not None and entry.live is live:
                del self._table.managed[live.version]
                entry.folder.forget()
                self._table.set_state(entry, State.END)
            self._table.sync()
        logger.info("%s version %d is unloaded", self._name, live.version)
        self._on_freed()
