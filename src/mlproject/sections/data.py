"""`data` and `statistics`: where the rows come from, how they are split, what is counted."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mlproject.sections.section import Scalar, Section


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
