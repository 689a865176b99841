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
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from mlproject.examples.local_state import digests_file

_SETTLED_AFTER_S = 2.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (name BLOB PRIMARY KEY, state TEXT NOT NULL, "
    "digest TEXT NOT NULL) WITHOUT ROWID"
)

_known: dict[tuple[bytes, str], str] = {}


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
    with suppress(sqlite3.Error, OSError), _store() as store:
        row = (
            store
            and store.execute(
                "SELECT digest FROM digests WHERE name = ? AND state = ?", (name, state)
            ).fetchone()
        )
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
    with suppress(sqlite3.Error, OSError), _store() as store:
        if store:
            store.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (name, state, digest))


def _state(file: Path) -> str:
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


@contextmanager
def _store() -> Iterator[sqlite3.Connection | None]:
    path = digests_file()
    if path is None:
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("PRAGMA synchronous=NORMAL")
        store.execute(_TABLE)
        yield store
