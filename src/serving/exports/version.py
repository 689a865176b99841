"""A registered version as a file or folder that is not the platform's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import RegistryError
from mlproject.registry import (
    KERAS_DIGEST_TAG,
    KERAS_MODEL,
    SAVED_MODEL,
    Registry,
    VersionInfo,
    registered_digest,
)
from serving.export import export_version
from serving.exports.placing import check_free, moved_away, placed_file

if TYPE_CHECKING:
    from serving.exports.tflite import Arrays


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: Where.
        facts: What there is to say of it, by name.
    """

    path: Path
    facts: Mapping[str, str | int | float]


def export_saved_model(
    registry: Registry, version: VersionInfo, out: Path, *, replace: bool
) -> Exported:
    """Writes `<out>/<version>/`, as TensorFlow Serving takes it.

    Raises:
        RegistryError: Its files are gone, or not those that were registered.
        ServingError: Something else lies there and may not be replaced, or the copy failed.
    """
    digest = registered_digest(version)
    with tempfile.TemporaryDirectory(prefix="benison-export-") as folder:
        saved_model = registry.download(version, SAVED_MODEL, Path(folder))
        with moved_away(out / str(version.version), replace=replace):
            path = export_version(saved_model, out, version.version)
    return Exported(path, {"digest": digest})


def export_keras(registry: Registry, version: VersionInfo, out: Path, *, replace: bool) -> Exported:
    """Writes the Keras model of a version. It takes transformed features, not raw ones.

    Raises:
        ConfigError: The file is there.
        RegistryError: The version has no Keras model, or not the one that was registered.
    """
    check_free(out, replace=replace)
    digest = version.tags.get(KERAS_DIGEST_TAG)
    if not digest:
        raise RegistryError(
            f"Version {version.version} of '{version.name}' has no Keras model",
            received=f"{'an empty' if digest == '' else 'no'} tag {KERAS_DIGEST_TAG}",
            expected="a version whose run_fn returned a keras.Model",
            next_step="export it as a saved_model instead",
        )
    with tempfile.TemporaryDirectory(prefix="benison-export-") as folder:
        keras_model = registry.download(version, KERAS_MODEL, Path(folder))
        with placed_file(out, replace=replace) as aside:
            shutil.copyfile(keras_model, aside)
    return Exported(out, {"digest": digest, "bytes": os.path.getsize(out)})


def export_tflite(
    registry: Registry, version: VersionInfo, out: Path, *, replace: bool
) -> Exported:
    """Writes `serving_default` as a TensorFlow Lite model that answers as the SavedModel does.

    Raises:
        ConfigError: The file is there.
        RegistryError: The version's files are gone, or not those that were registered.
        ServingError: It cannot be converted, or answers otherwise: nothing is written.
    """
    from mlproject.saved_model import SIGNATURE
    from serving.exports.tflite import convert_tflite

    check_free(out, replace=replace)
    registered_digest(version)
    with tempfile.TemporaryDirectory(prefix="benison-export-") as folder:
        saved_model = registry.download(version, SAVED_MODEL, Path(folder))
        requests = _requests(registry, version, saved_model)
        model = convert_tflite(saved_model, SIGNATURE, requests)
    with placed_file(out, replace=replace) as aside:
        aside.write_bytes(model.content)
    return Exported(
        out,
        {
            "operations": model.ops,
            "compared_rows": model.rows,
            "largest_difference": model.difference,
            "rows_at_first": model.first_rows,
            "bytes": len(model.content),
        },
    )


def _requests(registry: Registry, version: VersionInfo, saved_model: Path) -> list[Arrays]:
    """The warm-up requests, and the sample row that the version was registered with."""
    from mlproject.saved_model import SIGNATURE
    from mlproject.warmup import read_warmup_requests
    from serving.row_arrays import row_arrays

    requests: list[Arrays] = [*read_warmup_requests(saved_model)]
    sample = _sample(registry, version)
    if sample:
        requests += row_arrays(saved_model, SIGNATURE, [("The sample row", sample)])
    return requests


def _sample(registry: Registry, version: VersionInfo) -> Mapping[str, object]:
    try:
        return registry.sample(version)
    except RegistryError:  # registered without one
        return {}
