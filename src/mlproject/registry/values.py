"""What the registry takes and gives: versions, registrations, references to a version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlproject.errors import RegistryError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class VersionInfo:
    """A version of a registered model.

    Attributes:
        name: The registered model.
        version: Its number.
        tags: Its tags.
        run_id: The MLflow run that made it.
    """

    name: str
    version: int
    tags: Mapping[str, str]
    run_id: str | None


def version_info(found: ModelVersion) -> VersionInfo:
    """A version as MLflow gives it; its number is a text there, over HTTP."""
    return VersionInfo(found.name, int(found.version), dict(found.tags or {}), found.run_id)


@dataclass(frozen=True)
class Column:
    """An input column of the model's signature.

    Attributes:
        name: The raw feature.
        type: One of `examples.columns.COLUMN_TYPES`.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Registration:
    """What to register.

    Attributes:
        name: The registered model.
        saved_model: The SavedModel's folder.
        keras_model: The `.keras` file, or None.
        evidence: Name below `evidence/` (`code/taxi.py`) -> a file to keep with the version.
        columns: The signature's inputs; each may be missing.
        output: Type of a prediction: `float`, or `float list` for one probability a class.
        sample: A raw row, the version's input example.
        run_id: The MLflow run that the model belongs to.
        tags: Tags of the version; must hold the run that trained it (`benison.train_run`).
        description: Shown in MLflow.
    """

    name: str
    saved_model: Path
    keras_model: Path | None
    evidence: Mapping[str, Path]
    columns: tuple[Column, ...]
    output: Literal["float", "float list"]
    sample: Mapping[str, Any]
    run_id: str
    tags: Mapping[str, str]
    description: str


def parse_reference(reference: str) -> tuple[str, str | None, int | None]:
    """Splits `MODEL`, `MODEL@alias` or `MODEL/version`.

    Returns:
        Name, alias or None, version or None.

    Raises:
        RegistryError: The reference is none of these.
    """
    name, at, alias = reference.partition("@")
    if at and name and alias and "/" not in name:
        return name, alias, None
    name, slash, number = reference.partition("/")
    if name and slash and number.isdigit() and "@" not in name:
        return name, None, int(number)
    if name and not slash and not at:
        return name, None, None
    raise RegistryError(
        "Reading the model's name failed",
        received=reference,
        expected="MODEL, MODEL@alias or MODEL/version, such as taxi@champion or taxi/3",
    )
