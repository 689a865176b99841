"""When base paths are looked at, and which versions are loaded at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from serving.model_server.background import Background
from serving.model_server.options import ManagerOptions
from serving.model_server.served_model import ServedModel
from serving.model_server.versions import ManagedVersion


class LoadScheduler:
    """Looks at the base paths, and begins the loads that are due, in a thread of its own.

    Args:
        models: Gives the models that are served now.
        options: How often to look, and how many versions to load at once.
        stopping: Ends the thread, at its next `wake`.
        background: Where it and the loads run.
    """

    def __init__(
        self,
        models: Callable[[], Collection[ServedModel]],
        options: ManagerOptions,
        stopping: threading.Event,
        background: Background,
    ) -> None:
        self._models = models
        self._options = options
        self._stopping = stopping
        self._background = background
        self._awake = threading.Event()
        self._counting = threading.Lock()  # short: guards the two fields below
        self._loads = 0
        self._looking: set[str] = set()
        self._initial = True

    def start(self) -> None:
        """Begin."""
        self._background.run(self._run, "model-manager")

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._awake.set()

    def look(self, model: ServedModel) -> None:
        """Look at a base path; one in the cloud is looked at in a thread."""
        if not model.source.is_remote:
            model.look()
            return
        with self._counting:
            if model.name in self._looking:
                return
            self._looking.add(model.name)
        self._background.run(lambda: self._look_remote(model), f"look-{model.name}")

    def _run(self) -> None:
        """Look at the base paths, and begin what is to be done, until stopped."""
        poll_wait_s, next_look = self._options.poll_wait_s, time.monotonic()
        if poll_wait_s < 0:
            next_look = float("inf")
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= next_look:
                for model in self._models():
                    self.look(model)
                now = time.monotonic()
                next_look = now + poll_wait_s if poll_wait_s else float("inf")
            self._begin_loads(now)
            dues = [due for model in self._models() if (due := model.next_due())]
            wait_s = min(next_look, *dues, now + 3600.0) - now
            self._awake.wait(max(wait_s, 0.001))
            self._awake.clear()

    def _look_remote(self, model: ServedModel) -> None:
        try:
            model.look()
        finally:
            with self._counting:
                self._looking.discard(model.name)
            self._awake.set()

    def _begin_loads(self, now: float) -> None:
        models = list(self._models())
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

        self._background.run(load, f"load-{model.name}-{entry.version}")
