"""Writes what is exported beside its target, then renames it: nobody finds half of it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlproject.artifacts import translate_os_errors
from mlproject.errors import ConfigError
from mlproject.whole_file import flush_to_disk


def check_free(target: Path, *, replace: bool) -> None:
    """Refuses a target that is there.

    Raises:
        ConfigError: It is there and may not be replaced, or is a folder.
    """
    if target.is_dir():
        raise ConfigError(
            "The target of the export is a folder", received=str(target), expected="a file to write"
        )
    if os.path.lexists(target) and not replace:
        raise ConfigError(
            "The target of the export is there already",
            received=str(target),
            expected="a path where nothing is",
            next_step="choose another one with --out, or give --replace",
        )


@contextmanager
def placed_file(target: Path, *, replace: bool) -> Iterator[Path]:
    """A path beside a file's own; what is there takes the file's place when the block ends well.

    Raises:
        ConfigError: The file is there and may not be replaced.
        StorageError: The disk is full, or refuses.
    """
    check_free(target, replace=replace)
    aside = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
    with translate_os_errors("Writing the export", target.parent):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            flush_to_disk(aside)
            check_free(target, replace=replace)  # somebody may have been faster
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def moved_away(target: Path, *, replace: bool) -> Iterator[None]:
    """Makes room for a folder that is to be replaced; it comes back when the block fails.

    Args:
        target: The folder; where it is not there, or may not be replaced, nothing happens.
        replace: Whether it may be replaced.

    Raises:
        StorageError: It cannot be moved.
    """
    if not replace or not target.is_dir():
        yield
        return
    aside = target.parent / f".replaced-{target.name}-{uuid.uuid4().hex[:8]}"
    with translate_os_errors("Replacing the export", target.parent):
        target.rename(aside)
    try:
        yield
    except BaseException:
        with translate_os_errors("Restoring what was there", target.parent):
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
