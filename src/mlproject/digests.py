"""Hashes of what a project is made of: a plan rests on them, and a step checks them again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlproject.config import Project
from mlproject.reach import reach_digest
from mlproject.user_module import ModuleSource, functions_of

USER_FUNCTIONS = (
    "preprocessing_fn",
    "run_fn",
    "build_model",
    "tuner_fn",
    "custom_metrics",
    "stats_options_updater_fn",
)


@dataclass(frozen=True)
class Digests:
    """Hashes of a project's data, code and files.

    Attributes:
        source: Of the raw data.
        module: Of the module file.
        code: Function of the module file -> hash of the code it reaches.
        schema: Of the reviewed schema file, if there is one.
        cases: Of the file of behavioural cases, if project.yaml names one.
        serving: Of the rows seen at serving, if project.yaml names some.
    """

    source: str
    module: str = ""
    code: Mapping[str, str] = field(default_factory=dict)
    schema: str | None = None
    cases: str | None = None
    serving: str | None = None

    @property
    def train_function(self) -> str:
        """The function of the module file that trains: `run_fn`, else `build_model`."""
        return "run_fn" if "run_fn" in self.code else "build_model"


def code_digests(source: ModuleSource) -> Mapping[str, str]:
    """Each function of the contract that a module file has -> hash of the code it reaches."""
    return {name: reach_digest(source, (name,)) for name in functions_of(source, USER_FUNCTIONS)}


def schema_digest(project: Project) -> str | None:
    """Hash of the reviewed schema file, if project.yaml names one."""
    return file_digest(project.schema_path) if project.schema_path else None


def cases_digest(project: Project) -> str | None:
    """Hash of the file of behavioural cases, if project.yaml names one."""
    name = project.config.evaluation.cases
    return file_digest(project.folder / name) if name else None


def file_digest(path: Path) -> str:
    """The first 20 hexadecimal digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:20]
