"""Where versions lie as files for servers that watch them: a folder, or a bucket."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mlproject.artifacts import translate_os_errors
from mlproject.errors import ConfigError, RegistryError, ServingError
from mlproject.registry.integrity import model_digest
from mlproject.saved_model_layout import MODEL_FILES
from mlproject.whole_file import write_whole
from serving.export import export_version
from serving.targets.base import BASE_PATH_VARIABLE, DeployedVersion, Place


class Shelf(Protocol):
    """The base paths of models below one root, `<root>/<model>/<version>/`."""

    @property
    def root(self) -> str:
        """Folder or `gs://bucket/prefix`, without a slash at its end."""
        ...

    def put(self, model: str, version: DeployedVersion) -> bool:
        """Makes a version whole; False where it lay there, byte for byte, already.

        Raises:
            ServingError: Other content has this number, or it could not be written.
        """
        ...

    def versions(self, model: str) -> tuple[int, ...]:
        """The versions that a server can load, ascending."""
        ...

    def remove(self, model: str, version: int) -> None:
        """Removes a version; a server never finds a part of it that it could load."""
        ...

    def write_config(self, model: str, text: str) -> str:
        """Writes `<root>/<model>.config`, as a whole; its address."""
        ...


def open_shelf(place: Place, say: Callable[[str], None]) -> Shelf:
    """The shelf that BENISON_DEPLOY_BASE_PATH names.

    Raises:
        ConfigError: It names none, or there are no credentials for the bucket.
    """
    base = place.environ.get(BASE_PATH_VARIABLE, "").rstrip("/")
    if base.startswith("gs://"):
        from serving.targets.bucket_shelf import BucketShelf

        return BucketShelf(base, say)
    path = Path(base.removeprefix("file://"))
    if base and path.is_absolute() and "://" not in str(path):
        return FolderShelf(path)
    raise ConfigError(
        f"Reading {BASE_PATH_VARIABLE} failed",
        received=base or "nothing",
        expected="gs://BUCKET/PREFIX, file:///FOLDER or an absolute folder, which servers watch",
        next_step=f"export {BASE_PATH_VARIABLE}=gs://my-bucket/models",
    )


class FolderShelf:
    """A folder of this machine, or of a volume that servers share.

    Args:
        folder: The root.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def root(self) -> str:
        """See `Shelf.root`."""
        return str(self._folder)

    def put(self, model: str, version: DeployedVersion) -> bool:
        """See `Shelf.put`; the folder is renamed into place, so a server sees all or nothing."""
        target = self._folder / model / str(version.number)
        known = target.exists()
        export_version(version.folder, self._folder / model, version.number)
        if model_digest(target) != version.digest:
            raise RegistryError(
                f"The copy of version {version.number} of '{model}' is not what was registered",
                received=str(target),
                next_step=f"remove {target}, then deploy again",
            )
        return not known

    def versions(self, model: str) -> tuple[int, ...]:
        """See `Shelf.versions`."""
        if not (self._folder / model).is_dir():
            return ()
        with translate_os_errors("Looking at the base path", self._folder):
            found = [
                int(child.name)
                for child in (self._folder / model).iterdir()
                if child.name.isascii()
                and child.name.isdigit()
                and any((child / name).is_file() for name in MODEL_FILES)
            ]
        return tuple(sorted(found))

    def remove(self, model: str, version: int) -> None:
        """See `Shelf.remove`; it is renamed away before it is deleted."""
        target = self._folder / model / str(version)
        aside = self._folder / model / f".removing-{version}"
        try:
            if target.exists():
                shutil.rmtree(aside, ignore_errors=True)
                target.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        except OSError as err:
            raise ServingError(f"Removing {target} failed", received=str(err)) from err

    def write_config(self, model: str, text: str) -> str:
        """See `Shelf.write_config`."""
        file = self._folder / f"{model}.config"
        with translate_os_errors("Writing the servers' configuration", self._folder):
            write_whole(file, text)
        return str(file)
