"""Whether a model's files are those that were registered. Pure: no MLflow.

The digest stands in the version's tag `benison.model_digest` from its registration on. It finds
damage, lost and added files, and a model that somebody put in another's place. It is no signature:
who may write the registry's tags can change both.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mlproject.errors import RegistryError
from mlproject.registry.names import KERAS_DIGEST_TAG, KERAS_MODEL, MODEL_DIGEST_TAG, SAVED_MODEL
from mlproject.registry.values import VersionInfo

DIGEST_TAGS = {SAVED_MODEL: MODEL_DIGEST_TAG, KERAS_MODEL: KERAS_DIGEST_TAG}
RESTORE = "restore MLflow's artifact store, or serve another version"
_CHUNK_BYTES = 1 << 20
_SHOWN_DIGITS = 12


def model_digest(folder: Path) -> str:
    """A digest of a model's files.

    Args:
        folder: The model's folder (or its one file).

    Returns:
        The SHA-256, in hex, over each file's relative path and the SHA-256 of its content, in the
        order of the paths. Times, modes and empty folders do not count: object stores lose them.

    Raises:
        RegistryError: There is no file, one cannot be read, or one is a symbolic link (what it
            leads to could change while the folder stays as it is) or no file at all, as a pipe.
    """
    return _digest(folder, _files(folder))


def check_model(folder: Path, expected: str, what: str, *, next_step: str = RESTORE) -> None:
    """Checks that a model's files are those that were registered.

    Args:
        folder: The model's folder (or its one file).
        expected: The digest that was stored at its registration; empty where there was no such
            file.
        what: The model, for the message ("Version 3 of 'taxi'").
        next_step: What to do where they are not.

    Raises:
        RegistryError: A byte or a file was changed, added or is missing; or they cannot be read.
    """
    files = _files(folder)
    found = _digest(folder, files)
    if found != expected:
        count = f"{len(files)} file" + ("" if len(files) == 1 else "s")
        raise RegistryError(
            f"{what} is not what was registered: its files have changed",
            received=f"digest {found[:_SHOWN_DIGITS]} of {count}",
            expected=f"digest {expected[:_SHOWN_DIGITS]}" if expected else "none at all",
            next_step=next_step,
        )


def registered_digest(version: VersionInfo) -> str:
    """The digest that a version may be deployed with.

    Raises:
        RegistryError: The version has none: what cannot be checked is not deployed.
    """
    digest = version.tags.get(MODEL_DIGEST_TAG)
    if digest:
        return digest
    raise RegistryError(
        f"Version {version.version} of '{version.name}' cannot be deployed",
        received=f"no tag {MODEL_DIGEST_TAG}: something else registered it, or an older platform",
        expected="a version whose files can be checked",
        next_step="register it anew (`benison train PROJECT --from register`), or serve another "
        "version",
    )


def _files(folder: Path) -> dict[bytes, Path]:
    """Relative path -> file, in the order of the paths."""
    try:
        found = dict(sorted(_walk(folder)))
    except OSError as err:
        raise _unreadable(folder, str(err)) from err
    if not found:
        raise _unreadable(folder, "no file in it")
    return found


def _walk(folder: Path) -> Iterator[tuple[bytes, Path]]:
    if not folder.is_dir():
        yield b"", _plain(folder)
        return
    pending = [folder]
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir() and not entry.is_symlink():
                pending.append(entry)
            else:
                yield os.fsencode(entry.relative_to(folder).as_posix()), _plain(entry)


def _plain(file: Path) -> Path:
    if not stat.S_ISREG(file.lstat().st_mode):
        kind = "a symbolic link" if file.is_symlink() else "neither a file nor a folder"
        raise _unreadable(file, kind)
    return file


def _digest(folder: Path, files: dict[bytes, Path]) -> str:
    whole = hashlib.sha256()
    try:
        for name, file in files.items():
            content = hashlib.sha256()
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    content.update(chunk)
            # The length stands before the name, so that no two trees read the same.
            whole.update(len(name).to_bytes(8, "big") + name + content.digest())
    except OSError as err:
        raise _unreadable(folder, str(err)) from err
    return whole.hexdigest()


def _unreadable(path: Path, why: str) -> RegistryError:
    return RegistryError(
        "Reading a model's files failed",
        received=f"{path}: {why}",
        expected="a folder of plain files that can be read",
    )
