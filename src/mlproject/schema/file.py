"""The reviewed schema's file: where it is, and how it is changed without harm.

It is under version control, so the text of what did not change stays as it is
(`schema/text.py`). It is written aside and renamed, and only if TFDV and tf.Transform can use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.config import Project
from mlproject.errors import ConfigError, StorageError
from mlproject.schema import SCHEMA_FILE, parse_schema, set_environments
from mlproject.schema.text import rewrite_schema
from mlproject.whole_file import write_whole

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema


@dataclass(frozen=True)
class ReviewedSchema:
    """A reviewed schema as it was read.

    Attributes:
        path: The file.
        text: Its text; "" where there is no file yet.
        schema: What it says; None where there is no file yet.
    """

    path: Path
    text: str
    schema: Schema | None

    def known(self) -> Schema:
        """What it says.

        Raises:
            ConfigError: There is no file yet.
        """
        if self.schema is None:
            raise ConfigError(
                "The project has no reviewed schema yet",
                received=f"no file {self.path}",
                expected="a schema.pbtxt, named by `schema.path` in project.yaml",
                next_step=f"make one from the data: benison schema infer {self.path.parent}",
            )
        return self.schema


def reviewed_path(project: Project) -> Path:
    """Where a project's reviewed schema is, or would be: `schema.path`, else `schema.pbtxt`."""
    return project.schema_path or project.folder / SCHEMA_FILE


def read_reviewed(project: Project) -> ReviewedSchema:
    """Reads a project's reviewed schema.

    Raises:
        ConfigError: The file cannot be read, or is no Schema.
    """
    path = reviewed_path(project)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ReviewedSchema(path, "", None)
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            "Reading the reviewed schema failed",
            received=f"{path}: {err}",
            expected="a schema.pbtxt in UTF-8",
            next_step="mend the file, or `schema.path` in project.yaml",
        ) from err
    return ReviewedSchema(path, text, parse_schema(text, str(path)))


def save_reviewed(before: ReviewedSchema, schema: Schema, project: Project) -> None:
    """Writes a changed schema in the place of the one that was read.

    Args:
        before: The schema as it was read.
        schema: What the file shall say.
        project: Whose schema it is.

    Raises:
        ConfigError: The file was changed since it was read, or lacks a training-only column.
        DataError: TFDV or tf.Transform could not use the schema.
        StorageError: The file cannot be written.
    """
    from mlproject.schema.check import check_schema

    check_schema(set_environments(schema, project.config.schema_.training_only))
    now = read_reviewed(project)
    if now.text != before.text:
        raise ConfigError(
            f"The schema {before.path} was changed by somebody else",
            received="another text than the one that was read",
            expected="the file as it was when this command started",
            next_step="run the command again",
        )
    _write(before.path, rewrite_schema(before.text, schema))


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as err:
        raise StorageError(
            "Writing the reviewed schema failed",
            received=f"{path}: {err.strerror or err}",
            expected="a folder with room that this user may write",
            next_step="free space or mend the permissions; the file was left as it was",
        ) from err
