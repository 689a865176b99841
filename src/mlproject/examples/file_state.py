"""What tells a file from another version of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlproject.examples.locations import unreadable


@dataclass(frozen=True)
class FileState:
    """A file as it is now; what was found out about it holds as long as this is equal.

    Attributes:
        path: The file.
        size: In bytes.
        changed_ns: Time of the last change, in nanoseconds.
        inode: Its number on the disk.
    """

    path: Path
    size: int
    changed_ns: int
    inode: int


def states_of(files: Sequence[Path]) -> tuple[FileState, ...]:
    """The state of each file.

    Raises:
        DataError: One is gone or cannot be asked.
    """
    states = []
    for path in files:
        try:
            stat = path.stat()
        except OSError as err:
            raise unreadable(path, err) from err
        states.append(FileState(path, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(states)
