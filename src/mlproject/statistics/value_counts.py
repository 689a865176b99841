"""Counts of a feature's values: exact, with sketches only where exact would not stay bounded.

TFDV counts values exactly in its Beam pipeline, and by sketches (exact up to 1,024 values) in its
in-memory path. Here they are exact up to `MAX_VALUES`, in whatever batches and order the rows
come; beyond it TFDV's sketches take over, which do depend on the order, within their error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_data_validation import constants, types
from tensorflow_data_validation.arrow import arrow_util
from tensorflow_data_validation.statistics import stats_options
from tensorflow_data_validation.statistics.generators import stats_generator
from tensorflow_data_validation.utils import (
    schema_util,
    stats_util,
    top_k_uniques_stats_util,
)
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx_bsl.arrow import array_util
from tfx_bsl.sketches import KmvSketch, MisraGriesSketch

MAX_VALUES = 100_000
"""Distinct values of a feature up to which they are counted exactly."""

MAX_VALUE_BYTES = 1024  # TFDV keeps no longer value either
MAX_BYTES = 16 * 2**20  # of all values of a feature together
KMV_SIZE, MISRA_GRIES_SIZE = 16_384, 1_024  # as TFDV sets them

Floats = npt.NDArray[np.float64]


class ValueCounts:
    """The values of one feature, and how often each stands.

    Args:
        top: The values that are asked for in the end.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._values: pa.BinaryArray = pa.array([], pa.binary())
        self._sums: Floats = np.zeros((2, 0))  # occurrences, sum of weights
        self._weighted = False
        self._pending: list[tuple[pa.BinaryArray, Floats]] = []
        self._pending_values = self._pending_bytes = 0
        self._sketches: _Sketches | None = None

    def add(self, values: pa.BinaryArray, weights: Floats | None) -> None:
        """Count values.

        Args:
            values: `[values] binary`.
            weights: `[values]`: the weight of the row of each value; None where rows have none.
        """
        self._weighted |= weights is not None
        encoded = values.dictionary_encode()
        codes = encoded.indices.to_numpy()
        size = len(encoded.dictionary)
        times = np.bincount(codes, minlength=size).astype(np.float64)
        sums = times if weights is None else np.bincount(codes, weights, minlength=size)
        self._add_counted(encoded.dictionary, np.stack([times, sums]))

    def merge(self, other: ValueCounts) -> None:
        """Take in what another has counted."""
        self._weighted |= other._weighted
        other._settle()
        if other._sketches is None:
            self._add_counted(other._values, other._sums)
            return
        self._settle()
        self._to_sketches().merge(other._sketches)

    def estimate(self) -> tuple[int, list[tuple[bytes, float]], list[tuple[bytes, float]]]:
        """Number of distinct values, the most frequent, and those of the largest weight."""
        self._settle()
        if self._sketches is not None:
            return self._sketches.estimate(self._weighted)
        plain = self._largest(0)
        return len(self._values), plain, self._largest(1) if self._weighted else []

    def compact(self) -> None:
        """Bring it to its smallest form."""
        self._settle()

    def _largest(self, row: int) -> list[tuple[bytes, float]]:
        """The values of the largest sums; of equal sums the larger value, as TFDV has it."""
        if not len(self._values):
            return []
        table = pa.table({"value": self._values, "sum": self._sums[row]})
        keys = [("sum", "descending"), ("value", "descending")]
        chosen = table.take(pc.select_k_unstable(table, self._top, keys))
        return list(zip(chosen["value"].to_pylist(), chosen["sum"].to_pylist(), strict=True))

    def _add_counted(self, values: pa.BinaryArray, sums: Floats) -> None:
        if self._sketches is not None:
            self._sketches.add(values, sums)
            return
        self._pending.append((values, sums))
        self._pending_values += len(values)
        self._pending_bytes += values.nbytes
        # As many as are known already, so that each is handled a bounded number of times.
        many = self._pending_values > max(MAX_VALUES // 4, len(self._values))
        if many or self._pending_bytes > MAX_BYTES:
            self._settle()

    def _settle(self) -> None:
        """Bring what is pending into one list of distinct values."""
        if not self._pending:
            return
        parts = [(self._values, self._sums), *self._pending]
        self._pending, self._pending_values, self._pending_bytes = [], 0, 0
        encoded = pa.concat_arrays([values for values, _ in parts]).dictionary_encode()
        codes = encoded.indices.to_numpy()
        every = np.concatenate([sums for _, sums in parts], axis=1)
        self._values = encoded.dictionary
        size = len(self._values)
        self._sums = np.stack([np.bincount(codes, row, minlength=size) for row in every])
        if self._too_large():
            self._to_sketches()

    def _too_large(self) -> bool:
        if len(self._values) > MAX_VALUES:
            return True
        lengths = pc.binary_length(self._values)
        longest, total = pc.max(lengths).as_py() or 0, pc.sum(lengths).as_py() or 0
        return longest > MAX_VALUE_BYTES or total > MAX_BYTES

    def _to_sketches(self) -> _Sketches:
        if self._sketches is None:
            self._sketches = _Sketches(self._top)
            self._sketches.add(self._values, self._sums)
            self._values, self._sums = pa.array([], pa.binary()), np.zeros((2, 0))
        return self._sketches


class _Sketches:
    """TFDV's sketches of a feature's values: K minimum values, and Misra-Gries."""

    def __init__(self, top: int) -> None:
        self._distinct = KmvSketch(KMV_SIZE)
        self._largest = [
            MisraGriesSketch(
                num_buckets=max(MISRA_GRIES_SIZE, top),
                invalid_utf8_placeholder=constants.NON_UTF8_PLACEHOLDER,
            )
            for _ in range(2)
        ]

    def add(self, values: pa.BinaryArray, sums: Floats) -> None:
        self._distinct.AddValues(values)
        # The sketch's own limit does not hold for values that come with weights.
        long = pc.greater(pc.binary_length(values), MAX_VALUE_BYTES)
        values = pc.if_else(long, constants.LARGE_BYTES_PLACEHOLDER, values)
        for sketch, row in zip(self._largest, sums, strict=True):
            sketch.AddValues(values, pa.array(row, pa.float32()))

    def merge(self, other: _Sketches) -> None:
        self._distinct.Merge(other._distinct)
        for sketch, theirs in zip(self._largest, other._largest, strict=True):
            sketch.Merge(theirs)

    def estimate(
        self, weighted: bool
    ) -> tuple[int, list[tuple[bytes, float]], list[tuple[bytes, float]]]:
        plain, by_weight = (
            [(pair["values"], pair["counts"]) for pair in sketch.Estimate().to_pylist()]
            for sketch in self._largest
        )
        return self._distinct.Estimate(), plain, by_weight if weighted else []


Accumulator = dict[types.FeaturePath, ValueCounts]


class ValueCountsGenerator(stats_generator.CombinerStatsGenerator):
    """TFDV's statistics of top values and distinct values, by `ValueCounts`.

    Args:
        options: Which features are categorical, the weights, and how many values are wanted.
    """

    def __init__(self, options: stats_options.StatsOptions) -> None:
        super().__init__("ValueCountsGenerator", options.schema)
        schema = options.schema
        self._options = options
        self._bytes = frozenset(schema_util.get_bytes_features(schema) if schema else ())
        self._text = schema_util.get_bytes_features_categorical_value(schema)
        self._numbers = schema_util.get_categorical_numeric_feature_types(schema) if schema else {}

    def create_accumulator(self) -> Accumulator:
        """Nothing counted yet."""
        return {}

    def add_input(
        self, accumulator: Accumulator, input_record_batch: pa.RecordBatch
    ) -> Accumulator:
        """Count the values of a batch."""
        for path, column, weights in arrow_util.enumerate_arrays(
            input_record_batch, self._options.example_weight_map, enumerate_leaves_only=True
        ):
            kind = stats_util.get_feature_type_from_arrow_type(path, column.type)
            if not self._counted(path, kind):
                continue
            values, rows = array_util.flatten_nested(column, weights is not None)
            if path not in accumulator:
                wanted = self._options.num_top_values, self._options.num_rank_histogram_buckets
                accumulator[path] = ValueCounts(max(wanted))
            if not pa.types.is_null(values.type) and len(values):
                own = None if weights is None else weights[rows].astype(np.float64)
                accumulator[path].add(_as_bytes(values), own)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        """Merge all into the first."""
        result, *others = accumulators
        for other in others:
            for path, counts in other.items():
                if path in result:
                    result[path].merge(counts)
                else:
                    result[path] = counts
        return result

    def compact(self, accumulator: Accumulator) -> Accumulator:
        """Bring the counts to their smallest form."""
        for counts in accumulator.values():
            counts.compact()
        return accumulator

    def extract_output(self, accumulator: Accumulator) -> statistics_pb2.DatasetFeatureStatistics:
        """The statistics of what was counted; none of a feature without a value."""
        result = statistics_pb2.DatasetFeatureStatistics()
        pair = top_k_uniques_stats_util.FeatureValueCount
        for path, counts in accumulator.items():
            distinct, plain, by_weight = counts.estimate()
            if not plain:
                continue
            made: Any = top_k_uniques_stats_util.make_feature_stats_proto_topk_uniques(
                feature_path=path,
                num_top_values=self._options.num_top_values,
                frequency_threshold=self._options.frequency_threshold,
                weighted_frequency_threshold=self._options.weighted_frequency_threshold,
                num_rank_histogram_buckets=self._options.num_rank_histogram_buckets,
                num_unique=distinct,
                value_count_list=[pair(*found) for found in plain],
                weighted_value_count_list=[pair(*found) for found in by_weight],
            )
            result.features.add().CopyFrom(made)
        return result

    def _counted(self, path: types.FeaturePath, kind: int | None) -> bool:
        """Texts, and numbers that the schema calls categorical; no bytes such as images."""
        if kind == statistics_pb2.FeatureNameStatistics.STRING:
            no = schema_pb2.StringDomain.Categorical.CATEGORICAL_NO
            return path not in self._bytes and self._text.get(path, 0) != no
        return bool(top_k_uniques_stats_util.output_categorical_numeric(self._numbers, path, kind))


def _as_bytes(values: pa.Array) -> pa.BinaryArray:
    if arrow_util.is_binary_like(values.type):
        return values.cast(pa.binary())
    return values.cast(pa.string()).cast(pa.binary())
