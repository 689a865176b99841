"""Digests of files, remembered while the file stays as it is: in memory, and between runs on disk.

A file counts as unchanged while its size, times and inode are. Clocks of file systems tick in
steps of milliseconds (some of seconds), so a file that was written a moment ago could be written
again and look the same; such a file is read every time (git's rule for "racy" files).
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
import time
from pathlib import Path

from mlproject.examples.local_state import digests_file

_SETTLED_AFTER_S = 2.0
_WAIT_S = 1.0
"""For a store that another process writes to."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (name BLOB PRIMARY KEY, state TEXT NOT NULL, "
    "digest TEXT NOT NULL) WITHOUT ROWID"
)

_known: dict[tuple[bytes, str], str] = {}
_stores: dict[tuple[Path, int], sqlite3.Connection | None] = {}
_lock = threading.Lock()


def content_digest(file: Path) -> str:
    """SHA-256 of a file's content, in hex; read again only when the file has changed.

    Args:
        file: A local file.

    Raises:
        OSError: It cannot be read.
    """
    name = os.fsencode(file.absolute())
    state = _state(file)
    # A run asks three times: the plan before it, its own plan, and ingest.
    known = recall(name, state)
    if known:
        return known
    began = time.time()
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    found = file.stat()
    if _state(file) == state and found.st_mtime < began - _SETTLED_AFTER_S:
        remember(name, state, digest)
    return digest


def recall(name: bytes, state: str) -> str | None:
    """The digest of something that was in the same state when it was remembered, or None.

    Args:
        name: What it is: a path or URI.
        state: What changes whenever its content does.
    """
    known = _known.get((name, state))
    if known:
        return known
    row = _ask("SELECT digest FROM digests WHERE name = ? AND state = ?", (name, state))
    if row and isinstance(row[0], str) and _SHA256.fullmatch(row[0]):
        _known[name, state] = row[0]
    return _known.get((name, state))


def remember(name: bytes, state: str, digest: str) -> None:
    """Remembers a digest in place of what was known of the same name.

    A store that cannot be read or written is passed over: it saves time and holds nothing else.

    Args:
        name: As for `recall`.
        state: As for `recall`.
        digest: SHA-256 in hex.
    """
    _known[name, state] = digest
    _ask("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (name, state, digest))


def _state(file: Path) -> str:
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _ask(statement: str, values: tuple[object, ...]) -> tuple[object, ...] | None:
    """The first row of the store's answer; None without one, or without a store that works."""
    path = digests_file()
    if path is None:
        return None
    place = (path, os.getpid())  # a connection does not survive a fork
    with _lock:
        if place not in _stores:
            _stores[place] = _open(path)
        store = _stores[place]
        try:
            return store.execute(statement, values).fetchone() if store else None
        except sqlite3.Error:
            _stores[place] = None  # asking again could cost a second for every file
            return None


def _open(path: Path) -> sqlite3.Connection | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(
            path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("PRAGMA synchronous=OFF")  # a file's digest is worth no wait for the disk
        store.execute(_TABLE)
    except (sqlite3.Error, OSError):
        return None
    return store
