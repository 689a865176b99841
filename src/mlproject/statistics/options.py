"""What statistics are asked for, and TFDV's own options made of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, UserModuleError

if TYPE_CHECKING:
    from tensorflow_data_validation import StatsOptions
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

UPDATER = "stats_options_updater_fn"


class StatsType(enum.Enum):
    """Which statistics a `stats_options_updater_fn` is asked about; names and values are TFX's."""

    UNKNOWN = 0
    PRE_TRANSFORM = 1
    POST_TRANSFORM = 2


@dataclass(frozen=True)
class Updater:
    """A module file's `stats_options_updater_fn(stats_type, stats_options) -> stats_options`.

    Attributes:
        function: The function.
        module: The module file.
    """

    function: Callable[[StatsType, Any], Any]
    module: Path

    def __call__(self, options: StatsOptions) -> StatsOptions:
        """The options as the function wants them.

        Raises:
            UserModuleError: The function raised, or returned something else.
        """
        import tensorflow_data_validation as tfdv

        from mlproject.user_module import call_user_function

        made = call_user_function(self.function, self.module, StatsType.PRE_TRANSFORM, options)
        if not isinstance(made, tfdv.StatsOptions):
            raise UserModuleError(
                f"'{UPDATER}' did not return the options",
                received=type(made).__name__,
                expected="the tfdv.StatsOptions that it was given, changed or not",
                next_step=f"end {UPDATER} with `return stats_options`",
            )
        return made


@dataclass(frozen=True)
class StatisticsOptions:
    """What statistics are asked for.

    Attributes:
        slices: Columns whose every value, and its absence, gets statistics of its own; `a,b`
            crosses two columns.
        weight: Numeric column with the weight of each row; weighted statistics then stand beside
            the plain ones.
        sample_rate: Share of the rows to look at (above 0, up to 1); all when None.
        sample_rows: Most rows of a split to look at; all when None.
        num_top_values: Most frequent values to list of a text feature.
        num_histogram_buckets: Buckets of a numeric feature's standard histogram. TFDV's own 10
            hold nearly all values of a heavy-tailed feature in the first.
        num_quantiles_histogram_buckets: Buckets of a numeric feature's quantiles histogram.

    Raises:
        ConfigError: They contradict each other, or one is out of its range.
    """

    slices: tuple[str, ...] = ()
    weight: str | None = None
    sample_rate: float | None = None
    sample_rows: int | None = None
    num_top_values: int = 20
    num_histogram_buckets: int = 50
    num_quantiles_histogram_buckets: int = 10

    def __post_init__(self) -> None:
        if self.sample_rate is not None and self.sample_rows is not None:
            raise _wrong("sample_rate and sample_rows", "both", "one of them, or none")
        if self.sample_rate is not None and not 0 < self.sample_rate <= 1:
            raise _wrong("sample_rate", self.sample_rate, "a share above 0, up to 1")
        for name in ("sample_rows", "num_top_values"):
            self._check_at_least(name, 1)
        for name in ("num_histogram_buckets", "num_quantiles_histogram_buckets"):
            self._check_at_least(name, 2)
        for crossed in self.slice_columns:
            if len(set(crossed)) != len(crossed) or not all(crossed):
                raise _wrong(
                    "slices", f"'{','.join(crossed)}'", "a column, or different columns as 'a,b'"
                )
        if len(set(map(frozenset, self.slice_columns))) != len(self.slices):
            raise _wrong("slices", ", ".join(self.slices), "every column or cross once")

    def _check_at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value is not None and value < least:
            raise _wrong(name, value, f"at least {least}")

    @property
    def slice_columns(self) -> tuple[tuple[str, ...], ...]:
        """The columns of each slice specification."""
        return tuple(tuple(n.strip() for n in text.split(",")) for text in self.slices)


PLAIN = StatisticsOptions()
"""Statistics of all rows, without slices or weights."""


def user_updater(module: ModuleType, path: Path) -> Updater | None:
    """The module file's `stats_options_updater_fn`, or None where it has none."""
    function = getattr(module, UPDATER, None)
    return Updater(function, path) if function is not None else None


def tfdv_options(
    options: StatisticsOptions,
    bytes_columns: Iterable[str] = (),
    updater: Updater | None = None,
) -> StatsOptions:
    """TFDV's options: ours, then what the user's updater makes of them.

    Args:
        options: What is asked for.
        bytes_columns: Columns of bytes that are no text, such as images.
        updater: The user's `stats_options_updater_fn`. It may set all that works on batches in
            this process; slices stay with `StatisticsOptions`.

    Raises:
        UserModuleError: The updater raised, returned something else, or asks for what only a Beam
            pipeline of TFDV's own can give.
    """
    import tensorflow_data_validation as tfdv

    made = tfdv.StatsOptions(
        schema=_bytes_schema(bytes_columns),
        weight_feature=options.weight,
        sample_rate=options.sample_rate,
        num_top_values=options.num_top_values,
        num_histogram_buckets=options.num_histogram_buckets,
        num_quantiles_histogram_buckets=options.num_quantiles_histogram_buckets,
    )
    if updater is None:
        return made
    made = updater(made)
    _check_in_process(made)
    return made


def _check_in_process(options: StatsOptions) -> None:
    from tensorflow_data_validation.statistics.generators import stats_generator

    sliced = (
        options.slicing_config,
        options.experimental_slice_functions,
        options.experimental_slice_sqls,
    )
    if any(sliced):
        raise UserModuleError(
            f"'{UPDATER}' sets slices",
            received="slicing_config, experimental_slice_functions or experimental_slice_sqls",
            expected="the slices in project.yaml",
            next_step="name the columns under `statistics.slices`",
        )
    for generator in options.generators or ():
        if isinstance(generator, stats_generator.TransformStatsGenerator):
            raise UserModuleError(
                f"'{UPDATER}' sets a generator that needs a Beam pipeline of its own",
                received=type(generator).__name__,
                expected="generators that extend CombinerStatsGenerator or "
                "CombinerFeatureStatsGenerator",
            )


def _bytes_schema(columns: Iterable[str]) -> Schema | None:
    """A schema by which TFDV takes columns for bytes, not for text: no values of them are kept."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    for name in columns:
        schema.feature.add(name=name, type=schema_pb2.BYTES).image_domain.SetInParent()
    return schema if schema.feature else None


def _wrong(name: str, received: object, expected: str) -> ConfigError:
    return ConfigError(
        "The options of the statistics cannot be used",
        received=f"{name}: {received}",
        expected=expected,
        next_step="correct `statistics` in project.yaml",
    )
