"""Makes a version of a model ready to answer: fetched, loaded, warmed up."""

from __future__ import annotations

import time
from pathlib import Path

from serving.model_server.loader import LoadedModel
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code, StatusError
from serving.model_server.version_folders import VersionFolder
from serving.model_server.warmup_records import run_warmup


class VersionOpener:
    """Opens versions as a server's options say.

    Args:
        options: The sessions, warm-up and batching of models.
    """

    def __init__(self, options: ManagerOptions) -> None:
        self._options = options
        self._slots = None
        if options.batching is not None:
            from serving.model_server.batching import BatchSlots

            self._slots = BatchSlots(options.batching.num_batch_threads)

    def open(self, folder: VersionFolder, version: int) -> LoadedModel:
        """Opens a version.

        Args:
            folder: Its files.
            version: Its number.

        Returns:
            The model, which has answered its warm-up requests.

        Raises:
            StatusError: Its files cannot be had, it does not load, or a warm-up request failed.
        """
        path = folder.fetch()
        model = self._load(path)
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

    def _load(self, path: Path) -> LoadedModel:
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
