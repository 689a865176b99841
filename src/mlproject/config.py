"""The project contract: `project.yaml`, read into frozen values.

Unknown keys are refused with the closest valid name; each default stands here and nowhere else.
`docs/project-yaml.md` is generated from these classes (`mlproject/config_docs.py`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mlproject.errors import ConfigError, closest

PROJECT_FILE = "project.yaml"
METRICS = ("auc", "accuracy", "log_loss")

Scalar = str | int | float | bool


class _Section(BaseModel):
    # A bound that is NaN would hold for every metric.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSection(_Section):
    """Where the rows come from, and how they are split."""

    path: str | None = Field(
        None,
        description="CSV or Parquet: a file, a folder or a glob, relative to the project's folder. "
        "Split by hash into `splits`.",
    )
    split_paths: dict[str, str] = Field(
        default_factory=dict,
        description="Instead of `path`: split name -> its own file, folder or glob, taken as it "
        "is. Must name `train` and `eval`.",
    )
    splits: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: {"train": 2.0, "eval": 1.0},
        description="Split name -> relative share (no unit). Must name `train` and `eval`.",
    )
    split_key: tuple[str, ...] = Field(
        (), description="Columns whose hash decides the split; all columns of the row if empty."
    )
    column_types: dict[str, Literal["int", "float", "string"]] = Field(
        default_factory=dict, description="Column -> type, where inference should not decide."
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="Of the CSV files.")
    null_values: tuple[str, ...] = Field(
        ("",), description="Spellings of a missing value in the CSV files."
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        if (self.path is None) == (not self.split_paths):
            raise ValueError("give either 'path' or 'split_paths'")
        names = self.split_paths or self.splits
        missing = {"train", "eval"} - set(names)
        if missing:
            raise ValueError(f"the splits must name 'train' and 'eval'; missing: {sorted(missing)}")
        for name in names:
            if not name.isidentifier():
                raise ValueError(f"split name '{name}' must be letters, digits and underscores")
        return self

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits in order, `train` and `eval` among them."""
        return tuple(self.split_paths or self.splits)


class SchemaSection(_Section):
    """What the data must look like."""

    path: str | None = Field(
        None,
        description="Reviewed schema (a TensorFlow Metadata `schema.pbtxt`). Inferred from the "
        "splits if left out.",
    )
    training_only: tuple[str, ...] = Field(
        (),
        description="Columns that exist in training and never at serving (what the label is made "
        "of); they are in no serving signature.",
    )


class ValidationSection(_Section):
    """What an anomaly does to the run."""

    default: Literal["warn", "block"] = Field(
        "block", description="Policy for kinds of anomaly that `policy` does not name."
    )
    policy: dict[str, Literal["warn", "block"]] = Field(
        default_factory=dict,
        description="Kind of anomaly (TensorFlow Metadata's `AnomalyInfo.Type`, such as "
        "`ENUM_TYPE_UNEXPECTED_STRING_VALUES`) -> `warn` or `block`.",
    )


class TrainingSection(_Section):
    """What `run_fn` gets."""

    label: str = Field(description="Output of `preprocessing_fn` that the model learns, 0 or 1.")
    hyperparameters: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Free names and values, handed to `run_fn` as they are."
    )
    seed: int = Field(42, ge=0, description="Seeds Python, NumPy and TensorFlow.")
    train_steps: int | None = Field(
        None, gt=0, description="Steps of training handed to `run_fn`; None leaves it to `run_fn`."
    )
    eval_steps: int | None = Field(
        None, gt=0, description="Steps of validation handed to `run_fn`; None is the whole split."
    )


class ValueThreshold(_Section):
    """An absolute bound on a metric of the candidate."""

    min: float | None = Field(None, description="Lowest value allowed (absolute, inclusive).")
    max: float | None = Field(None, description="Highest value allowed (absolute, inclusive).")
    slices: tuple[str, ...] = Field(
        ("overall",),
        min_length=1,
        description="Slices held to it: `overall`, a slice such as `payment_type=Cash`, or all "
        "values of a column as `payment_type=*`.",
    )

    @model_validator(mode="after")
    def _a_bound(self) -> ValueThreshold:
        if self.min is None and self.max is None:
            raise ValueError("give 'min', 'max' or both")
        return self


class ChangeThreshold(_Section):
    """A bound on how much worse than the champion the candidate may be."""

    max_loss: float = Field(
        description="Largest worsening allowed, absolute, in the metric's own unit (0.002 lets "
        "AUC fall by 0.002; 0 wants at least equality)."
    )
    slices: tuple[str, ...] = Field(
        ("overall",), min_length=1, description="As for value thresholds."
    )


class EvaluationSection(_Section):
    """What is measured, on which slices, and what the blessing asks for."""

    slices: tuple[str, ...] = Field((), description="Raw columns; each value is a slice.")
    min_slice_examples: int = Field(
        100,
        gt=0,
        description="A slice with fewer rows is not judged (it neither passes nor fails).",
    )
    value_thresholds: dict[str, ValueThreshold] = Field(
        default_factory=dict, description="Metric (`auc`, `accuracy`, `log_loss`) -> bounds."
    )
    change_thresholds: dict[str, ChangeThreshold] = Field(
        default_factory=dict, description="Metric -> bound against the champion on the same rows."
    )

    @field_validator("value_thresholds", "change_thresholds")
    @classmethod
    def _known_metrics(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name not in METRICS:
                raise ValueError(f"unknown metric '{name}': {closest(name, METRICS)}")
        return value

    @model_validator(mode="after")
    def _known_slices(self) -> EvaluationSection:
        named = {s for bound in self.value_thresholds.values() for s in bound.slices}
        named |= {s for bound in self.change_thresholds.values() for s in bound.slices}
        for name in sorted(named - {"overall"}):
            column = name.partition("=")[0]
            if "=" not in name or column not in self.slices:
                raise ValueError(
                    f"slice '{name}' is not measured; write COLUMN=VALUE or COLUMN=* with a COLUMN "
                    f"of evaluation.slices ({', '.join(self.slices) or 'there are none'})"
                )
        return self


class ServingSection(_Section):
    """How the model is tried once it is served."""

    sample: dict[str, Scalar | None] = Field(
        default_factory=dict,
        description="A raw row (column -> value) that the serve step asks the served model; "
        "columns left out are missing values.",
    )


class ProjectConfig(_Section):
    """A project: one folder with this file, a module file and, if wanted, a reviewed schema."""

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="Name of the project, of its MLflow experiment and of its registered model.",
    )
    description: str = Field("", description="One or two sentences, shown in MLflow.")
    module: str = Field(
        description="Module file with `preprocessing_fn` and `run_fn`, relative to this file."
    )
    data: DataSection
    schema_: SchemaSection = Field(default_factory=lambda: SchemaSection(), alias="schema")
    validation: ValidationSection = Field(default_factory=lambda: ValidationSection())
    training: TrainingSection
    evaluation: EvaluationSection = Field(default_factory=lambda: EvaluationSection())
    serving: ServingSection = Field(default_factory=lambda: ServingSection())


class Project(BaseModel):
    """A project's folder and what its `project.yaml` says."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    config: ProjectConfig

    @property
    def module_path(self) -> Path:
        """The module file."""
        return self.folder / self.config.module

    @property
    def schema_path(self) -> Path | None:
        """The reviewed schema, if the project names one."""
        return self.folder / self.config.schema_.path if self.config.schema_.path else None

    def source_paths(self) -> dict[str | None, str]:
        """Split name (None: split by hash) -> where its rows are; relative paths made absolute."""
        data = self.config.data
        if data.path is not None:
            return {None: str(self.folder / data.path)}
        return {name: str(self.folder / path) for name, path in data.split_paths.items()}


def load_project(folder: Path, data: tuple[str, ...] = ()) -> Project:
    """Reads and validates a project's folder.

    Args:
        folder: The project's folder, or its `project.yaml`.
        data: Overrides of where the rows are, from the command line: one `PATH`, or
            `SPLIT=PATH` for each split. Relative to the working directory.

    Returns:
        The project, frozen.

    Raises:
        ConfigError: The folder, the file or a key is wrong; the message names the key.
    """
    file = folder if os.path.isfile(folder) else folder / PROJECT_FILE
    config = parse_config(_read_text(file), str(file))
    if data:
        config = _override_data(config, data)
    return Project(folder=file.parent.resolve(), config=config)


def parse_config(text: str, origin: str) -> ProjectConfig:
    """Parses the text of a `project.yaml`.

    Args:
        text: YAML.
        origin: Name for the messages.

    Raises:
        ConfigError: Not YAML, or a key or value is wrong.
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
            f"Reading {origin} failed",
            received=type(values).__name__,
            expected="a mapping with at least name, module, data and training",
        )
    try:
        return ProjectConfig.model_validate(values)
    except ValidationError as err:
        raise _explain(err, origin) from err


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: the later one would silently win.

    Reads `3e-3` and `1.5e3` as numbers, as YAML 1.2 does; PyYAML, of YAML 1.1, sees texts there.
    """

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
    change: dict[str, Any] = {"path": None, "split_paths": {}}
    if plain:
        change["path"] = str(Path(plain[0]).absolute())
    else:
        change["split_paths"] = {name: str(Path(p).absolute()) for name, p in named.items()}
    values = config.data.model_dump() | change
    try:
        section = DataSection.model_validate(values)
    except ValidationError as err:
        raise _explain(err, "--data") from err
    return config.model_copy(update={"data": section})


def _names_a_split(item: str) -> bool:
    name, equals, _ = item.partition("=")
    return bool(equals) and name.isidentifier()


def _explain(err: ValidationError, origin: str) -> ConfigError:
    """One ConfigError for everything that pydantic found, the key and the value quoted."""
    lines = []
    for problem in err.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "(top)"
        if problem["type"] == "extra_forbidden":
            hint = closest(str(problem["loc"][-1]), _keys_at(problem["loc"][:-1]))
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
        expected="the keys and types of docs/project-yaml.md",
        next_step="mend the file, then `benison check`",
    )


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """The valid keys of the section at a location of the configuration."""
    model: Any = ProjectConfig
    for part in location:
        fields = {(f.alias or n): f for n, f in model.model_fields.items()}
        if str(part) not in fields:
            continue  # a key of a mapping such as a metric's name: its section comes next
        annotation = fields[str(part)].annotation
        nested = [a for a in getattr(annotation, "__args__", ()) if _is_section(a)]
        model = annotation if _is_section(annotation) else (nested[0] if nested else model)
    return [(f.alias or n) for n, f in model.model_fields.items()]


def _is_section(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, _Section)
