"""The project contract: `project.yaml`, read into frozen values.

Unknown keys are refused with the closest valid name; the keys and their defaults stand in
`mlproject/sections/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mlproject.errors import ConfigError, closest
from mlproject.sections import DataSection, ProjectConfig, Section

PROJECT_FILE = "project.yaml"


class Project(BaseModel):
    """A project's folder and what its `project.yaml` says."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    config: ProjectConfig
    file_name: str = PROJECT_FILE

    @property
    def module_path(self) -> Path:
        """The module file."""
        return self.folder / self.config.module

    @property
    def schema_path(self) -> Path | None:
        """The reviewed schema, if the project names one."""
        return self.folder / self.config.schema_.path if self.config.schema_.path else None

    def config_text(self) -> str:
        """The whole configuration as it runs, with defaults and overrides, as JSON."""
        return self.config.model_dump_json(indent=1, by_alias=True)

    def source_paths(self) -> dict[str | None, str]:
        """Split name (None: split by hash) -> where its files are; relative paths made absolute."""
        data = self.config.data
        if data.path is not None:
            return {None: self.located(data.path)}
        return {name: self.located(path) for name, path in data.split_paths.items()}

    def located(self, path: str) -> str:
        """A path of project.yaml made absolute; a URI stays as it is."""
        return path if "://" in path else str(self.folder / path)


def load_project(folder: Path, data: tuple[str, ...] = (), span: str = "") -> Project:
    """Reads and validates a project's folder.

    Args:
        folder: The project's folder, or its `project.yaml`.
        data: Overrides of where the rows are, from the command line: one `PATH`, or
            `SPLIT=PATH` for each split. Relative to the working directory.
        span: Override of the newest span to take; empty for none.

    Returns:
        The project, frozen.

    Raises:
        ConfigError: The folder, the file or a key is wrong; the message names the key.
    """
    file = folder if os.path.isfile(folder) else folder / PROJECT_FILE
    config = parse_config(_read_text(file), str(file))
    if data:
        config = _override_data(config, data)
    if span:
        section = config.data.model_copy(update={"span": span})
        config = config.model_copy(update={"data": section})
    return Project(folder=file.parent.resolve(), config=config, file_name=file.name)


def parse_config(text: str, origin: str) -> ProjectConfig:
    """Parses the text of a `project.yaml`.

    Args:
        text: YAML.
        origin: Name for the messages.

    Raises:
        ConfigError: Not YAML, or a key or value is wrong.
    """
    values = parse_mapping(text, origin, "a mapping with at least name, module, data and training")
    try:
        return ProjectConfig.model_validate(values)
    except ValidationError as err:
        raise explain(err, origin) from err


def parse_mapping(text: str, origin: str, expected: str) -> dict[Any, Any]:
    """Parses a YAML file of a project; a key that stands twice is refused.

    Args:
        text: YAML.
        origin: Name for the messages.
        expected: What the file holds, for the messages.

    Raises:
        ConfigError: Not YAML, or no mapping.
    """
    try:
        values = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as err:  # ValueError: the date 2024-13-45
        raise ConfigError(
            f"Reading {origin} failed: it is not valid YAML",
            received=" ".join(str(err).split()),
            next_step="mend the file, then `benison check`",
        ) from err
    if not isinstance(values, dict):
        raise ConfigError(
            f"Reading {origin} failed", received=type(values).__name__, expected=expected
        )
    return values


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice (the later one would silently win), and broken Unicode.

    Reads `3e-3` and `1.5e3` as numbers, as YAML 1.2 does; PyYAML, of YAML 1.1, sees texts there.
    """

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        # "\ud800", half of a pair: it can be written to no file, and not even be told in an error.
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise yaml.constructor.ConstructorError(
                None, None, "a text that is no Unicode (half of a surrogate pair)", node.start_mark
            )
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice", key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as err:
        raise ConfigError(
            "Opening the project failed",
            received=str(file),
            expected=f"a folder with a {PROJECT_FILE} in it",
            next_step="give the project's folder, for instance `benison check examples/taxi`",
        ) from err
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"Reading {file} failed", received=str(err)) from err


def _override_data(config: ProjectConfig, data: tuple[str, ...]) -> ProjectConfig:
    named = dict(item.split("=", 1) for item in data if _names_a_split(item))
    plain = [item for item in data if not _names_a_split(item)]
    if (named and plain) or len(plain) > 1 or len(named) + len(plain) != len(data):
        raise ConfigError(
            "Reading --data failed",
            received=" ".join(data),
            expected="one PATH, or SPLIT=PATH once for each split",
        )
    change: dict[str, Any] = {"path": None, "split_paths": {}, "sql": None, "bigquery": None}
    if plain:
        change["path"] = _absolute(plain[0])
    else:
        change["split_paths"] = {name: _absolute(path) for name, path in named.items()}
        change["split_by"] = None
    values = config.data.model_dump() | change
    try:
        section = DataSection.model_validate(values)
    except ValidationError as err:
        raise explain(err, "--data") from err
    return config.model_copy(update={"data": section})


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _names_a_split(item: str) -> bool:
    name, equals, _ = item.partition("=")
    return bool(equals) and name.isidentifier()


def explain(
    err: ValidationError,
    origin: str,
    model: type[Section] = ProjectConfig,
    page: str = "docs/project-yaml.md",
) -> ConfigError:
    """One ConfigError for everything that pydantic found, the key and the value quoted.

    Args:
        err: What it found.
        origin: Name of the file, for the message.
        model: The section that was read.
        page: Where its keys are described.
    """
    lines = []
    for problem in err.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "(top)"
        if problem["type"] == "extra_forbidden":
            hint = closest(str(problem["loc"][-1]), _keys_at(problem["loc"][:-1], model))
            lines.append(f"unknown key '{key}' ({hint.rstrip('?')})")
        elif problem["type"] == "missing":
            lines.append(f"the key '{key}' is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            shown = "" if problem["type"] == "value_error" else f" (got {problem['input']!r})"
            lines.append(f"{key}: {message}{shown}")
    return ConfigError(
        f"Reading {origin} failed",
        received="; ".join(lines),
        expected=f"the keys and types of {page}",
        next_step="mend the file, then `benison check`",
    )


def _keys_at(location: tuple[int | str, ...], top: type[Section]) -> list[str]:
    """The valid keys of the section at a location of the configuration."""
    model: Any = top
    for part in location:
        fields = {(f.alias or n): f for n, f in model.model_fields.items()}
        if str(part) not in fields:
            continue  # a key of a mapping such as a metric's name: its section comes next
        model = next(_sections_in(fields[str(part)].annotation), model)
    return [(f.alias or n) for n, f in model.model_fields.items()]


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The sections of a type such as `dict[str, tuple[ValueThreshold, ...]]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections_in(inner)
