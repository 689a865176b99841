"""Where raw files are: on this machine (a path or `file://`), or in a bucket (`gs://`)."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from mlproject.errors import ConfigError, DataError, closest
from mlproject.examples.digests import content_digest

SCHEMES = ("file", "gs")


class Location(Protocol):
    """One raw file."""

    @property
    def name(self) -> str:
        """Its base name."""

    @property
    def path(self) -> str:
        """The whole name that is matched against a source's placeholders."""

    def stamp(self) -> tuple[object, ...]:
        """What tells whether it has changed: size and time, or the generation.

        Raises:
            DataError: It is gone or cannot be asked.
        """

    def digest(self) -> str:
        """SHA-256 of its content, in hex.

        Raises:
            DataError: It cannot be read.
        """

    def local(self) -> Path:
        """A path on this machine; a remote file is fetched once.

        Raises:
            DataError: It cannot be read.
        """


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine.

    Attributes:
        file: Its path.
    """

    file: Path

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def path(self) -> str:
        return str(self.file)

    def stamp(self) -> tuple[object, ...]:
        """See `Location.stamp`."""
        try:
            stat = self.file.stat()
        except OSError as err:
            raise unreadable(self.file, err) from err
        return stat.st_size, stat.st_mtime_ns

    def digest(self) -> str:
        """See `Location.digest`."""
        try:
            return content_digest(self.file)
        except OSError as err:
            raise unreadable(self.file, err) from err

    def local(self) -> Path:
        """See `Location.local`."""
        return self.file


def find_locations(source: str) -> tuple[Location, ...]:
    """The files of a source, sorted by path; hidden files are left out.

    Args:
        source: A file, a folder (its files, not those of its subfolders) or a glob, as a path, a
            `file://` URI or a `gs://` URI.

    Raises:
        ConfigError: The URI is of another kind.
        DataError: The place cannot be read.
    """
    scheme, separator, _ = source.partition("://")
    if separator and scheme == "gs":
        from mlproject.examples.google.storage import find_objects

        return find_objects(source)
    return tuple(LocalFile(path) for path in _find_local(local_path(source)))


def local_path(source: str) -> str:
    """The path of a local source, given as a path or a `file://` URI.

    Raises:
        ConfigError: It is a URI of another kind, or names another host.
    """
    scheme, separator, _ = source.partition("://")
    if not separator:
        return source
    parts = urlsplit(source)
    if scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ConfigError(
            "The source of the data is of a kind that is not known",
            received=f"'{source}'",
            expected=f"a path, or a URI: {closest(scheme, SCHEMES)}"
            if scheme != "file"
            else "file:///PATH, without a host",
            next_step="copy the data to a folder or a bucket and name that; a database is named "
            "under data.sql",
        )
    # urlsplit cuts off what looks like a query or a fragment; in a file's name it is text.
    return unquote(source.split("://", 1)[1].removeprefix(parts.netloc))


def as_uri(source: str) -> str:
    """A source as a URI: a path as `file://`, what is a URI already as it is."""
    return source if "://" in source else Path(source).absolute().as_uri()


def _find_local(source: str) -> list[Path]:
    path = Path(source)
    try:
        if path.is_file():
            found = [path]
        elif path.is_dir():
            found = list(path.iterdir())
        else:
            found = [Path(match) for match in glob.glob(source, recursive=True)]
        return sorted(f for f in found if f.is_file() and not f.name.startswith("."))
    except OSError as err:
        raise unreadable(path, err) from err


def unreadable(path: Path, err: OSError) -> DataError:
    """The error for a file that the operating system does not let us read."""
    return DataError(
        f"'{path}' cannot be read",
        received=err.strerror or str(err),
        expected="a file that this user may read",
        next_step=f"check it with: ls -l '{path}'",
    )


def nothing_found(source: str, others: Sequence[Location], suffixes: Sequence[str]) -> DataError:
    """The error for a source without a single data file.

    Args:
        source: The source.
        others: What lies there and is no data file.
        suffixes: The suffixes of data files.
    """
    expected = "a file, a folder or a glob of " + ", ".join(suffixes) + " files"
    path = Path(local_path(source)) if not source.startswith("gs://") else None
    if path is not None and path.is_file():
        return DataError(
            f"The format of '{source}' is not known",
            received=f"suffix '{''.join(path.suffixes[-2:])}'",
            expected=", ".join(suffixes),
            next_step="convert the file, give it the suffix of its format, or set data.format",
        )
    if others or (path is not None and path.is_dir()):
        names = ", ".join(f"'{file.name}'" for file in others[:5])
        return DataError(
            f"'{source}' holds no data files",
            received=names or "no visible files",
            expected="files that end in " + ", ".join(suffixes),
            next_step="put the data there, or name another place",
        )
    return DataError(
        f"There is no data at '{source}'",
        received="no such file, folder or match",
        expected=expected if path is None else _hint(path, expected),
        next_step="correct the path of the source in project.yaml",
    )


def _hint(path: Path, expected: str) -> str:
    """The likeliest file that was meant, from the nearest folder that exists."""
    folder = path.parent
    if not folder.is_dir():
        return f"{expected}; the folder '{folder}' does not exist"
    names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    hint = closest(path.name, names)
    return hint if hint.startswith("did") or 0 < len(names) <= 10 else expected
