"""The version folders of a base path on disk."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

_MAX_VERSION = 2**63 - 1
_NUMBER = re.compile(r"[0-9]{1,100}", re.ASCII)


class VersionFolder(Protocol):
    """Where the files of one version lie."""

    @property
    def where(self) -> str:
        """Its address, for messages."""

    def stamp(self) -> Hashable:
        """What changes when the files do."""

    def fetch(self) -> Path:
        """The folder on this machine's disk.

        Raises:
            StatusError: The files cannot be had.
        """

    def forget(self) -> None:
        """Gives back what `fetch` took."""


class Source(Protocol):
    """A base path."""

    @property
    def is_remote(self) -> bool:
        """Whether looking at it may take long."""

    def find(self) -> dict[int, VersionFolder] | None:
        """The versions that are there; None where the base path is not, or does not answer."""


@dataclass(frozen=True)
class LocalFolder:
    """A version on disk."""

    path: Path

    @property
    def where(self) -> str:
        """The path."""
        return str(self.path)

    def stamp(self) -> Hashable:
        """Names, sizes and times of the files."""
        entries = set()
        try:
            for folder, _, files in os.walk(self.path, followlinks=True):
                for name in files:
                    path = os.path.join(folder, name)
                    stat = os.stat(path)
                    entries.add((path, stat.st_size, stat.st_mtime_ns))
        except OSError:  # a file went away while we looked: the next look differs
            pass
        return frozenset(entries)

    def fetch(self) -> Path:
        """The path itself."""
        return self.path

    def forget(self) -> None:
        """Nothing was taken."""


class LocalSource:
    """A base path on disk.

    Args:
        base_path: The folder.
    """

    is_remote = False

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path

    def find(self) -> dict[int, VersionFolder] | None:
        """See `Source.find`."""
        # `Path.is_dir` raises where the disk or the network fails, which would end the polling.
        if not os.path.isdir(self._base_path):
            return None
        folders = versions_in(self._base_path)
        return {version: LocalFolder(path) for version, path in folders.items()}


def version_number(name: str) -> int | None:
    """The version that a folder's name stands for: `7`, and `00000007` too; None for none."""
    if not _NUMBER.fullmatch(name) or int(name) > _MAX_VERSION:
        return None
    return int(name)


def versions_in(base_path: Path) -> dict[int, Path]:
    """The version folders of a base path; other names, hidden ones too, are no versions.

    Of two folders for one version (`7` and `007`) the last by name is taken.
    """
    try:
        with os.scandir(base_path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:  # not there yet, or not readable for a moment: the next poll looks again
        return {}
    found: dict[int, Path] = {}
    for name in names:
        version = version_number(name)
        if version is None:
            continue
        if version in found:
            logger.warning(
                "Duplicate version directories detected. Version %d will be loaded from %s, %s "
                "will be ignored.",
                *(version, name, found[version].name),
            )
        found[version] = base_path / name
    return found
