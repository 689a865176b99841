"""The version folders of a base path on `gs://`: listed there, and copied here to be loaded."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Hashable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from mlproject.errors import ConfigError, DataError
from mlproject.examples.google.bucket import Bucket, ObjectState
from serving.model_server.status import Code, StatusError, invalid
from serving.model_server.version_folders import VersionFolder, version_number

logger = logging.getLogger(__name__)

_SCHEME = "gs://"
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True)
class CloudFolder:
    """A version in a bucket, as it was listed.

    Attributes:
        bucket: The bucket.
        prefix: The folder in it, with "/" at the end.
        objects: Its objects.
        cache: The folder that copies are kept in.
    """

    bucket: Bucket = field(compare=False, repr=False)
    prefix: str
    objects: tuple[ObjectState, ...]
    cache: Path

    @property
    def where(self) -> str:
        """Its address."""
        return f"{_SCHEME}{self.bucket.name}/{self.prefix}"

    def stamp(self) -> Hashable:
        """The generations of its objects."""
        return tuple((state.key, state.generation) for state in self.objects)

    def fetch(self) -> Path:
        """Copies it to this machine, unless it is there: whole, or not at all.

        Raises:
            StatusError: It cannot be read, or its objects changed since they were listed.
        """
        copy = self._copy()
        if copy.is_dir():
            return copy
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=".fetching-", dir=self.cache))
            try:
                for state in self.objects:
                    self._download(state, part / state.key.removeprefix(self.prefix))
                os.replace(part, copy)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        except (ConfigError, DataError) as err:
            raise StatusError(Code.UNAVAILABLE, str(err)) from err
        except OSError as err:
            if not copy.is_dir():  # else another process has just put it there
                raise StatusError(Code.INTERNAL, f"Copying {self.where} failed: {err}") from err
        return copy

    def forget(self) -> None:
        """Deletes the copy."""
        shutil.rmtree(self._copy(), ignore_errors=True)

    def _copy(self) -> Path:
        digest = sha256(repr((self.where, self.stamp())).encode()).hexdigest()
        return self.cache / digest[:32]

    def _download(self, state: ObjectState, path: Path) -> None:
        if ".." in path.parts or not path.is_relative_to(self.cache):
            raise invalid(f"{_SCHEME}{self.bucket.name}/{state.key} leaves its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            if not self.bucket.download(state, file):
                raise StatusError(Code.ABORTED, f"{self.where} changed while it was copied")


class CloudSource:
    """A base path in a bucket.

    Args:
        base_path: `gs://BUCKET/FOLDER`.
        cache: The folder to keep copies of versions in.

    Raises:
        ConfigError: The address is no `gs://` one.
    """

    is_remote = True

    def __init__(self, base_path: str, cache: Path) -> None:
        name, _, folder = base_path.removeprefix(_SCHEME).partition("/")
        if not base_path.startswith(_SCHEME) or not name:
            raise ConfigError(
                "Opening a base path failed",
                received=f"'{base_path}'",
                expected="a folder, or gs://BUCKET/FOLDER",
            )
        self._base_path = base_path
        self._name = name
        self._prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self._cache = cache
        self._bucket: Bucket | None = None

    def find(self) -> dict[int, VersionFolder] | None:
        """See `Source.find`; a version whose graph is not there yet is none."""
        try:
            bucket = self._bucket = self._bucket or Bucket(self._name)
            listed = bucket.list(self._prefix)
        except (ConfigError, DataError) as err:
            logger.error("Could not list %s: %s", self._base_path, err)
            return None
        folders: dict[str, list[ObjectState]] = {}
        for state in listed:
            name, slash, rest = state.key.removeprefix(self._prefix).partition("/")
            if slash and rest and not rest.endswith("/"):
                folders.setdefault(name, []).append(state)
        found: dict[int, VersionFolder] = {}
        for name, states in sorted(folders.items()):
            version, prefix = version_number(name), f"{self._prefix}{name}/"
            if version is not None and any(s.key.removeprefix(prefix) in _GRAPHS for s in states):
                found[version] = CloudFolder(bucket, prefix, tuple(states), self._cache)
        return found if listed else None
