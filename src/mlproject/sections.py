"""The sections of `project.yaml`: frozen, each default here and nowhere else.

`docs/project-yaml.md` is generated from these classes (`mlproject/config_docs.py`).
"""

from __future__ import annotations

import base64
import datetime
import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mlproject.errors import closest

METRICS = ("auc", "accuracy", "log_loss")
MAX_SAMPLE_CHARACTERS = 100_000

Scalar = str | int | float | bool


class Section(BaseModel):
    # A bound that is NaN would hold for every metric.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SqlSection(Section):
    """Rows of a SQL database."""

    connection_env: str = Field(
        "",
        description="Name of the environment variable that holds the SQLAlchemy URL, such as "
        "`TAXI_DATABASE_URL`; the URL itself does not belong in a file.",
    )
    file: str = Field("", description="A SQLite file instead, relative to the project's folder.")
    table: str = Field("", description="A table or view; or give `query`.")
    query: str = Field("", description="A SELECT; `:name` stands for a parameter.")
    parameters: dict[str, Scalar | None] = Field(
        default_factory=dict, description="Parameter -> value, bound by the driver."
    )
    key: tuple[str, ...] = Field(
        (),
        description="Columns that order the rows and are unique together; with them a read that is "
        "cut off goes on after the last key.",
    )
    version_query: str = Field(
        "",
        description="A SELECT whose result changes whenever the rows do, such as `SELECT "
        "max(updated_at), count(*) FROM trips`. Without it the rows are read twice.",
    )

    @model_validator(mode="after")
    def _complete(self) -> SqlSection:
        if bool(self.connection_env) == bool(self.file):
            raise ValueError("give either 'connection_env' or 'file'")
        if bool(self.table) == bool(self.query):
            raise ValueError("give either 'table' or 'query'")
        return self


class BigQuerySection(Section):
    """Rows of BigQuery; credentials and the billing project come from the environment."""

    table: str = Field("", description="`project.dataset.table`; or give `query`.")
    query: str = Field("", description="A SELECT; `@name` stands for a parameter.")
    parameters: dict[str, Scalar | None] = Field(
        default_factory=dict, description="Parameter -> value."
    )
    location: str = Field("", description="Where the job runs, such as `EU`.")

    @model_validator(mode="after")
    def _complete(self) -> BigQuerySection:
        if bool(self.table) == bool(self.query):
            raise ValueError("give either 'table' or 'query'")
        return self


class ImagesSection(Section):
    """How a folder of images (one folder a class) becomes columns `image`, `label`, `file`."""

    height: int = Field(0, ge=0, le=4096, description="Pixels; images are resized to it.")
    width: int = Field(0, ge=0, le=4096, description="Pixels.")
    channels: Literal[1, 3, 4] = Field(3, description="1 (grey), 3 (RGB) or 4 (RGBA).")
    keep: Literal["pixels", "encoded", "path"] = Field(
        "pixels",
        description="What stands in the column `image`: `pixels` (decoded and resized, a list of "
        "integers of 0 to 255), `encoded` (the original file's bytes) or `path` (where it lies).",
    )
    on_bad_file: Literal["fail", "skip"] = Field(
        "fail", description="What an image that cannot be decoded does; `skip` names and counts it."
    )


class SplitBySection(Section):
    """A rule other than shares of a hash: by a column's value, or by time."""

    column: str = Field(description="The column that decides.")
    values: dict[str, list[str | int | float | bool]] = Field(
        default_factory=dict, description="Split name -> the column's values that belong to it."
    )
    rest: str | None = Field(
        None, description="With `values`: the split of all other values; without it they fail."
    )
    before: dict[str, str | int | float | datetime.date | None] = Field(
        default_factory=dict,
        description="Split name -> its end (exclusive): ISO 8601 time, or seconds since 1970-01-01 "
        "UTC; in rising order, the last one `null`: it takes what comes after.",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> SplitBySection:
        if bool(self.values) == bool(self.before):
            raise ValueError("give either 'values' or 'before'")
        if self.before:
            ends = self.ends()
            rising = [end for _, end in ends[:-1]]
            if ends[-1][1] is not None or None in rising or rising != sorted(set(rising)):  # type: ignore[type-var]
                raise ValueError("'before' must rise, and its last split must be null")
        return self

    def ends(self) -> tuple[tuple[str, float | None], ...]:
        """Split and its end in seconds since 1970-01-01 UTC."""
        return tuple((name, _epoch_seconds(end)) for name, end in self.before.items())

    def texts(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Split and its values as text."""
        return tuple(
            (name, tuple(_value_text(v) for v in values)) for name, values in self.values.items()
        )

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, in order."""
        named = tuple(self.values or self.before)
        return named if self.rest is None or self.rest in named else (*named, self.rest)


class DataSection(Section):
    """Where the rows come from, and how they are split."""

    path: str | None = Field(
        None,
        description="A file, a folder or a glob of CSV, Parquet, TFRecord or JSON Lines files "
        "(`.gz` and `.zst` too), or a folder with a folder of images for each class. Relative to "
        "the project's folder, or a `file://` or `gs://` URI. `{SPAN}`, `{VERSION}` and "
        "`{YYYY}-{MM}-{DD}` in it name spans. Split by `split_by`, else by hash into `splits`.",
    )
    split_paths: dict[str, str] = Field(
        default_factory=dict,
        description="Instead of `path`: split name -> its own file, folder or glob, taken as it "
        "is. Must name `train` and `eval`.",
    )
    sql: SqlSection | None = Field(None, description="Instead of `path`: a SQL database.")
    bigquery: BigQuerySection | None = Field(None, description="Instead of `path`: BigQuery.")
    format: Literal["", "csv", "parquet", "tfrecord", "jsonl", "images"] = Field(
        "", description="Of the files; by their suffix if left out."
    )
    splits: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=lambda: {"train": 2.0, "eval": 1.0},
        description="Split name -> relative share (no unit). Must name `train` and `eval`.",
    )
    split_key: tuple[str, ...] = Field(
        (), description="Columns whose hash decides the split; all columns of the row if empty."
    )
    split_by: SplitBySection | None = Field(
        None, description="Instead of `splits`: split by a column's value or by time."
    )
    window: int = Field(
        1, gt=0, description="Number of spans that are ingested together, the newest last."
    )
    span: int | str | None = Field(
        None,
        description="The newest span to take: its number, or a date as YYYY-MM-DD; the newest "
        "there is if left out.",
    )
    span_column: str = Field(
        "", description="Name of an int column to add, with each row's span; none if left out."
    )
    column_types: dict[
        str,
        Literal[
            "int",
            "float",
            "string",
            "bytes",
            "int list",
            "float list",
            "string list",
            "bytes list",
        ],
    ] = Field(
        default_factory=dict, description="Column -> type, where inference should not decide."
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="Of the CSV files.")
    null_values: tuple[str, ...] = Field(
        ("",), description="Spellings of a missing value in the CSV files."
    )
    images: ImagesSection = Field(default_factory=lambda: ImagesSection())

    @field_validator("span", mode="before")
    @classmethod
    def _date_as_text(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime.date) else value

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        given = [self.path is not None, bool(self.split_paths), bool(self.sql), bool(self.bigquery)]
        if sum(given) != 1:
            raise ValueError("give one of 'path', 'split_paths', 'sql' and 'bigquery'")
        if self.split_by and (self.split_key or self.split_paths):
            raise ValueError("'split_by' goes with neither 'split_key' nor 'split_paths'")
        names = self.split_names
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
        if self.split_by:
            return self.split_by.split_names
        return tuple(self.split_paths or self.splits)


class StatisticsSection(Section):
    """What the statistics cover. They are of all rows, unless a sample is asked for."""

    slices: tuple[str, ...] = Field(
        (),
        description="Columns whose values get statistics of their own; `a,b` crosses two columns.",
    )
    weight: str | None = Field(None, description="Numeric column with each row's weight.")
    sample_rate: float | None = Field(
        None, gt=0, le=1, description="Share of the rows that is sampled, the same on any machine."
    )
    sample_rows: int | None = Field(
        None, gt=0, description="Most rows of a split that are sampled, the same on any machine."
    )

    @model_validator(mode="after")
    def _one_sample(self) -> StatisticsSection:
        if self.sample_rate is not None and self.sample_rows is not None:
            raise ValueError("give 'sample_rate' or 'sample_rows', not both")
        return self


class SchemaSection(Section):
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


Severity = Literal["ignore", "warn", "block"]


class ValidationSection(Section):
    """What an anomaly does to the run."""

    default: Severity = Field(
        "block", description="Policy for kinds of anomaly that `policy` does not name."
    )
    policy: dict[str, Severity] = Field(
        default_factory=dict,
        description="Kind of anomaly (TensorFlow Metadata's `AnomalyInfo.Type`, such as "
        "`ENUM_TYPE_UNEXPECTED_STRING_VALUES`) -> `ignore`, `warn` or `block`.",
    )
    features: dict[str, Severity | dict[str, Severity]] = Field(
        default_factory=dict,
        description="Feature -> a policy for all its anomalies, or kind -> policy; wins over "
        "`policy`.",
    )
    serving_path: str | None = Field(
        None,
        description="Rows as they are seen at serving (a file, a folder or a glob), to be checked "
        "in the environment SERVING and compared with the train split (skew).",
    )


class TransformSection(Section):
    """How the transform graph is applied."""

    materialize: bool = Field(
        True,
        description="True writes the transformed rows once, for every epoch and training to read; "
        "false applies the graph to the Examples while training.",
    )


class TrainingSection(Section):
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


class ValueThreshold(Section):
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


class ChangeThreshold(Section):
    """A bound on how much worse than the champion the candidate may be."""

    max_loss: float = Field(
        description="Largest worsening allowed, absolute, in the metric's own unit (0.002 lets "
        "AUC fall by 0.002; 0 wants at least equality)."
    )
    slices: tuple[str, ...] = Field(
        ("overall",), min_length=1, description="As for value thresholds."
    )


class EvaluationSection(Section):
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


class ServingSection(Section):
    """How the model is tried once it is served."""

    sample: dict[str, Any] = Field(
        default_factory=dict,
        description="A raw row (column -> value, or list of values; bytes as `{b64: aGVsbG8=}`) "
        "that the serve step asks the served model; columns left out are missing values.",
    )

    @field_validator("sample")
    @classmethod
    def _cells(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, cell in value.items():
            for item in cell if isinstance(cell, list) else [cell]:
                if item is None and item is not cell:
                    raise ValueError(f"the list '{name}' has a missing value")
                if item is not None and not _is_cell(item):
                    raise ValueError(
                        f"'{name}' is neither text, a finite number, true, false, null, bytes as "
                        "{b64: aGVsbG8=}, nor a list of these"
                    )
        size = len(json.dumps(value))
        if size > MAX_SAMPLE_CHARACTERS:
            raise ValueError(
                f"the row has {size:,} characters as JSON; MLflow keeps it in a tag of "
                f"{MAX_SAMPLE_CHARACTERS:,} at most"
            )
        return value


class ProjectConfig(Section):
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
    statistics: StatisticsSection = Field(default_factory=lambda: StatisticsSection())
    validation: ValidationSection = Field(default_factory=lambda: ValidationSection())
    transform: TransformSection = Field(default_factory=lambda: TransformSection())
    training: TrainingSection
    evaluation: EvaluationSection = Field(default_factory=lambda: EvaluationSection())
    serving: ServingSection = Field(default_factory=lambda: ServingSection())


def _epoch_seconds(end: str | float | datetime.date | None) -> float | None:
    if end is None or isinstance(end, int | float):
        return end
    if isinstance(end, str):
        end = datetime.datetime.fromisoformat(end)  # a ValueError is the key's
    if not isinstance(end, datetime.datetime):
        end = datetime.datetime.combine(end, datetime.time())
    zoned = end if end.tzinfo else end.replace(tzinfo=datetime.UTC)
    return zoned.timestamp()


def _value_text(value: str | float | bool) -> str:
    """As the split rule reads cells: true is 1, whole floats have no fraction."""
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_cell(value: Any) -> bool:
    if isinstance(value, dict):
        try:
            return set(value) == {"b64"} and bool(base64.b64decode(value["b64"], validate=True))
        except (TypeError, ValueError):
            return False
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
