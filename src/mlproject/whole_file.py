"""Files that reach the disk before they take their place: old or new, and never half."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Writes a text aside, to the disk, and puts it in the place of a file in one step.

    A link stays a link, and the permissions of a file that is replaced stay.

    Args:
        file: The file; its folder exists.
        text: What it is to hold, as UTF-8.

    Raises:
        OSError: It cannot be written; the file is as it was.
    """
    target = file.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_native_id()}")
    try:
        with aside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileNotFoundError):
            aside.chmod(target.stat().st_mode & 0o777)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Waits until the disk holds the content of a file, or the names of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
