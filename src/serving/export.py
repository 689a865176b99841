"""Export a SavedModel into the folder a model server polls: `<base_path>/<version>/`."""

from __future__ import annotations

import errno
import shutil
import uuid
from pathlib import Path

from mlproject.errors import ServingError
from mlproject.registry.integrity import check_model, model_digest, registered_digest
from mlproject.registry.values import VersionInfo
from mlproject.saved_model_layout import MODEL_FILES
from mlproject.whole_file import flush_to_disk


def export_version(saved_model_dir: Path, base_path: Path, version: int) -> Path:
    """Copy a SavedModel to `<base_path>/<version>/` so that no server ever sees half of it.

    The copy is written to a hidden folder beside its target (a server looks at numeric names
    only) and renamed at the end. Exporting the same content twice changes nothing.

    Args:
        saved_model_dir: The SavedModel: `saved_model.pb`, `variables/`, `assets/`.
        base_path: The model's folder, one sub-folder per version; created if it is not there.
        version: The version number, 1 or more.

    Returns:
        The folder of the version.

    Raises:
        ServingError: The source is no SavedModel, other content already has this version, or
            the copy failed (nothing half-written is left).
        RegistryError: A folder holds what no SavedModel does, such as symbolic links.
    """
    saved_model_dir, base_path = Path(saved_model_dir), Path(base_path)
    if version < 1:
        raise ServingError(
            "Exporting a model version failed",
            received=f"version {version}",
            expected="a whole number of 1 or more",
        )
    _require_saved_model(saved_model_dir)
    target = base_path / str(version)
    if target.exists():
        return _same_or_refuse(saved_model_dir, target)
    aside = base_path / f".exporting-{version}-{uuid.uuid4().hex}"
    try:
        base_path.mkdir(parents=True, exist_ok=True)
        shutil.copytree(saved_model_dir, aside)
        _flush_files(aside)
        aside.rename(target)
    except OSError as err:  # shutil.Error is an OSError too
        if err.errno in (errno.ENOTEMPTY, errno.EEXIST) and target.exists():
            # Another process exported this version between our look and our rename.
            return _same_or_refuse(saved_model_dir, target)
        raise ServingError(
            f"Exporting version {version} to {target} failed",
            received=str(err),
            expected=f"a folder that can be written, with room for {saved_model_dir}",
            next_step="free or choose another place, then export again; nothing was left behind",
        ) from err
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def check_exported(folder: Path, version: VersionInfo) -> None:
    """Checks that an exported folder holds a version as it was registered.

    Args:
        folder: The folder of the version, below a base path.
        version: The version that is to be served from it.

    Raises:
        RegistryError: A byte or a file was changed, added or is missing; or the version has no
            digest to check it by.
    """
    check_model(
        folder,
        registered_digest(version),
        f"The exported version {version.version} of '{version.name}'",
        next_step=f"remove the folder {folder} if no model server uses it: it is exported again; "
        "or set BENISON_SERVING_ROOT to another folder, if another registry's model lies there",
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _require_saved_model(folder: Path) -> None:
    if any((folder / name).is_file() for name in MODEL_FILES):
        return
    raise ServingError(
        "Reading a SavedModel failed",
        received=f"{folder}, {'which holds no saved_model.pb' if folder.is_dir() else 'no folder'}",
        expected="a folder with saved_model.pb",
        next_step="export the model again (Keras: model.export(path))",
    )


def _same_or_refuse(source: Path, target: Path) -> Path:
    _require_saved_model(target)
    if model_digest(source) == model_digest(target):
        return target
    raise ServingError(
        f"Version {target.name} is already exported with other content",
        received=str(source),
        expected=f"the content of {target}, or a version number that is not taken",
        next_step="set BENISON_SERVING_ROOT to another folder, or remove the folder "
        f"{target} if no model server uses it: a served version never changes",
    )


def _flush_files(folder: Path) -> None:
    """Flush the files, so that a crash after the rename cannot leave a version of empty files."""
    for path in _files(folder):
        flush_to_disk(path)
