"""The access log: one line of JSON for each request, without bodies, tokens or error texts.

    {"time":"2026-01-31T12:00:00.123Z","api":"REST","method":"Predict","model":"taxi","version":3,
     "status":"OK","ms":0.413,"bytes_in":120,"bytes_out":48}

Lines are gathered in memory and written by a thread, so that a slow disk does not slow requests.
A file that was moved away, as logrotate does, is opened anew; nothing is ever removed here.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from mlproject.errors import ConfigError
from serving.model_server.status import Code

logger = logging.getLogger(__name__)

_STANDARD_ERROR = 2
_FLUSH_S = 0.2
_MOST_WAITING = 100_000  # lines; about 20 MB, and over a second of the fastest server

_Entry = tuple[float, str, str, str, int | None, Code, float, int, int]


class AccessLog:
    """Writes requests to a file, or to standard error.

    Args:
        path: The file, which is added to; None for standard error.

    Raises:
        ConfigError: The file cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file = _open(path)
        self._entries: deque[_Entry] = deque()
        self._lost = 0
        self._stopped = threading.Event()
        self._writer = threading.Thread(target=self._write_on, name="access-log", daemon=True)
        self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def request(
        self,
        api: str,
        entrypoint: str,
        model: str,
        version: int | None,
        code: Code,
        seconds: float,
        *,
        bytes_in: int,
        bytes_out: int,
    ) -> None:
        """Log a request that was answered; see `Observer.request`. Never waits for the disk."""
        if len(self._entries) >= _MOST_WAITING:
            self._lost += 1
            return
        self._entries.append(
            (time.time(), api, entrypoint, model, version, code, seconds, bytes_in, bytes_out)
        )

    def close(self) -> None:
        """Write what is left; harmless when repeated."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._writer.join()
        self._file.close()

    def _write_on(self) -> None:
        while not self._stopped.wait(_FLUSH_S):
            self._write()
        self._write()

    def _write(self) -> None:
        """Write the lines that wait; a disk that is full loses them and not the server."""
        lines = [_line(self._entries.popleft()) for _ in range(len(self._entries))]
        lost, self._lost = self._lost, 0
        if lost:
            logger.warning("%d requests are missing in the access log: it could not keep up", lost)
        if not lines:
            return
        try:
            self._reopen_if_moved()
            data = "".join(lines).encode()
            while data:
                data = data[self._file.write(data) :]
        except OSError as err:
            logger.warning("%d lines of the access log were not written: %s", len(lines), err)

    def _reopen_if_moved(self) -> None:
        if self._path is None:
            return
        there = self._path.stat() if self._path.exists() else None
        if there is None or not os.path.samestat(there, os.fstat(self._file.fileno())):
            moved, self._file = self._file, self._path.open("ab", buffering=0)
            moved.close()


def _open(path: Path | None) -> FileIO:
    if path is None:
        return FileIO(_STANDARD_ERROR, "w", closefd=False)
    try:
        return path.open("ab", buffering=0)
    except OSError as err:
        raise ConfigError(
            "Opening the access log failed",
            received=str(err),
            expected="a file in a folder that exists and can be written to",
        ) from err


def _line(entry: _Entry) -> str:
    at, api, entrypoint, model, version, code, seconds, bytes_in, bytes_out = entry
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    fields = {
        "time": moment.replace("+00:00", "Z"),
        "api": api,
        "method": entrypoint,
        "model": model,
        "version": version,
        "status": code.name,
        "ms": round(seconds * 1e3, 3),
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"
