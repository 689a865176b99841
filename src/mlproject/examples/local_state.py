"""Where ingest keeps what it learned and fetched, from one run to the next.

    <home>/
    ├── digests.sqlite     digests of files and objects that are as they were
    └── fetched/           copies of objects from buckets

Nothing in it is ever needed: it can be thrown away at any time.
"""

from __future__ import annotations

from pathlib import Path

_home: Path | None = None


def keep_in(home: Path | None) -> None:
    """Says where to keep it; the caller that has read the settings says so once a process.

    Args:
        home: The platform's home; None to keep digests in memory only.
    """
    global _home
    _home = home


def digests_file() -> Path | None:
    """The store of digests, or None where nobody said where to keep it."""
    return None if _home is None else _home / "digests.sqlite"


def fetched_folder() -> Path:
    """The folder of copies: in the home that was named, else in that of the environment.

    Raises:
        ConfigError: The environment's settings contradict themselves.
    """
    if _home is not None:
        return _home / "fetched"
    from mlproject.settings import read_settings

    return read_settings().home / "fetched"
