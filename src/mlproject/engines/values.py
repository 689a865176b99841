"""Small values on their way from workers to this process: files in a folder that both can see.

Written aside and renamed, by Beam's file systems: a folder of this machine or a `gs://` URI.
"""

from __future__ import annotations

import contextlib
import uuid

from mlproject.errors import EngineError


def write_value(folder: str, index: int, value: bytes) -> None:
    """Writes the value of a partition; a second writer of the same replaces the first."""
    from apache_beam.io.filesystems import FileSystems

    with contextlib.suppress(OSError):  # another worker was first
        FileSystems.mkdirs(folder)
    aside = f"{folder}/aside-{uuid.uuid4().hex}"
    with FileSystems.create(aside, "application/octet-stream") as file:
        file.write(value)
    FileSystems.rename([aside], [_name(folder, index)])


def read_value(folder: str, index: int) -> bytes:
    """Reads the value of a partition.

    Raises:
        EngineError: It is not there.
    """
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    try:
        with FileSystems.open(_name(folder, index), "application/octet-stream") as file:
            return bytes(file.read())
    except (OSError, BeamIOError) as err:
        raise EngineError(
            f"The result of partition {index} is missing",
            received=type(err).__name__,
            expected="a file that a worker wrote into the temporary folder",
            next_step="give a folder that every worker and this process share: --temp_location",
        ) from err


def drop_values(folder: str) -> None:
    """Removes the folder with its values, if it is there."""
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    with contextlib.suppress(OSError, BeamIOError):
        FileSystems.delete([folder])


def _name(folder: str, index: int) -> str:
    return f"{folder}/value-{index:05d}"
