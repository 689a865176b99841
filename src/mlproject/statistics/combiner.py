"""Statistics accumulated over batches: TFDV's own combiners, by groups of columns and by slice.

Columns do not depend on each other, so groups of them are worked on side by side: the result is
the same, to the last bit, on one core and on many.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tensorflow_data_validation import StatsOptions
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_data_validation.statistics.generators.basic_stats_generator import (
    BasicStatsGenerator,
)
from tensorflow_data_validation.statistics.generators.stats_generator import CombinerStatsGenerator
from tensorflow_data_validation.statistics.generators.top_k_uniques_sketch_stats_generator import (
    TopKUniquesSketchStatsGenerator,
)
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList
from tfx_bsl.statistics import merge_util

from mlproject.errors import ConfigError
from mlproject.statistics.slices import ALL_EXAMPLES, ColumnSlicer, check_count
from mlproject.statistics.value_counts import ValueCountsGenerator
from mlproject.statistics.weights import check_weight_name
from mlproject.user_module import call_user_function

GROUP = 3  # columns of a group: enough groups for the cores, few calls for each
HELD_BYTES = 64 * 2**20  # of slices' rows, kept back until there are enough to be worth a call


@dataclass(frozen=True)
class _Group:
    """Some features, the columns to read for them, and what is computed of them.

    Attributes:
        features: The features whose statistics are this group's.
        columns: Those, and the columns with their weights.
        generators: TFDV's combiners.
        module: The module file that asked for them; None where they are TFDV's standard ones.
    """

    features: tuple[str, ...]
    columns: tuple[str, ...]
    generators: tuple[CombinerStatsGenerator, ...]
    module: Path | None = None

    def start(self) -> list[Any]:
        """Empty accumulators."""
        return [generator.create_accumulator() for generator in self.generators]

    def add(self, accumulators: list[Any], batch: pa.RecordBatch) -> list[Any]:
        """Takes in the rows of a batch."""
        columns = [batch.column(batch.schema.names.index(name)) for name in self.columns]
        own = pa.RecordBatch.from_arrays(columns, list(self.columns))
        pairs = zip(self.generators, accumulators, strict=True)
        with np.errstate(all="ignore"):  # infinities have no mean, which is no news here
            if self.module is None:
                return [generator.add_input(accumulator, own) for generator, accumulator in pairs]
            return [call_user_function(g.add_input, self.module, done, own) for g, done in pairs]

    def merge(self, accumulators: list[Any], others: list[Any]) -> list[Any]:
        """Takes in what others have accumulated."""
        triples = zip(self.generators, accumulators, others, strict=True)
        with np.errstate(all="ignore"):
            return [generator.merge_accumulators([one, two]) for generator, one, two in triples]

    def extract(self, accumulators: list[Any]) -> Iterator[Any]:
        """The statistics of the group's features; ends the accumulators."""
        for generator, accumulator in zip(self.generators, accumulators, strict=True):
            made = generator.extract_output(generator.compact(accumulator))
            if len(self.columns) > len(self.features):  # weights are another group's feature
                kept = [f for f in made.features if f.path.step[0] in self.features]
                del made.features[:]
                made.features.extend(kept)
            yield made


@dataclass
class _Slice:
    """One slice: its accumulators by group, and rows that wait to be taken in."""

    accumulators: list[list[Any]]
    waiting: list[pa.RecordBatch] = field(default_factory=list)


class Combiner:
    """Accumulates the statistics of rows, of all of them and by slice.

    Args:
        options: TFDV's options.
        slicers: How rows are cut into slices; TFDV's own slicing options are not looked at.
        pool: Works on the groups of columns.
        module: The module file that had a hand in the options, if one did.
    """

    def __init__(
        self,
        options: StatsOptions,
        slicers: Sequence[ColumnSlicer],
        pool: Executor,
        module: Path | None = None,
    ) -> None:
        self._options = options
        self._module = module
        self._slicers = tuple(slicers)
        self._pool = pool
        self._names: list[str] = []
        self._groups: list[_Group] = []
        self._slices: dict[str, _Slice] = {}
        self._slicer_of: dict[str, ColumnSlicer] = {}
        self._held_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes in rows.

        Args:
            batch: A batch with a column of lists for each feature.

        Raises:
            ConfigError: The options name a column that the batch does not have.
            DataError: There are too many slices.
        """
        if not self._groups:
            self._names = batch.schema.names
            self._groups = make_groups(self._options, self._names, self._module)
        self._update(self._slice(ALL_EXAMPLES), batch)
        for slicer in self._slicers:
            for name, rows in slicer(batch):
                self._check(name, slicer)
                self._slice(name).waiting.append(rows)
                self._held_bytes += rows.nbytes
        if self._held_bytes > HELD_BYTES:
            self._take_in_waiting()

    def merge(self, other: Combiner) -> None:
        """Takes in what another one, of the same options, has accumulated, and leaves it empty."""
        self._take_in_waiting()
        other._take_in_waiting()
        self._groups = self._groups or other._groups
        self._names = self._names or other._names
        for name, theirs in other._slices.items():
            if name in other._slicer_of:
                self._check(name, other._slicer_of[name])
            own = self._slices.setdefault(name, theirs)
            if own is not theirs:
                triples = zip(self._groups, own.accumulators, theirs.accumulators, strict=True)
                own.accumulators = [group.merge(one, two) for group, one, two in triples]
        other._slices = {}

    def dump(self) -> bytes:
        """What was accumulated, for `merge_dump` in another process; ends this combiner."""
        self._take_in_waiting()
        dumped = pickle.dumps((self._names, self._slices, self._slicer_of))
        self._slices = {}
        return dumped

    def merge_dump(self, dumped: bytes) -> None:
        """Takes in what one of the same options has dumped."""
        other = Combiner(self._options, self._slicers, self._pool, self._module)
        other._names, other._slices, other._slicer_of = pickle.loads(dumped)
        if other._names:
            other._groups = make_groups(self._options, other._names, self._module)
        self.merge(other)

    def copy(self) -> Combiner:
        """Another one with the same content; the accumulators alone are copied."""
        self._take_in_waiting()
        twin = Combiner(self._options, self._slicers, self._pool, self._module)
        twin._groups, twin._slicer_of = self._groups, dict(self._slicer_of)
        twin._names = self._names
        # The way by which Beam moves accumulators between workers; sketches have no other copy.
        twin._slices = pickle.loads(pickle.dumps(self._slices))
        return twin

    def extract(self) -> DatasetFeatureStatisticsList:
        """The statistics; ends this combiner.

        Returns:
            One dataset, without a name as TFDV has it; or, with slices, `All Examples` first and
            then the slices in the order of their names.
        """
        self._take_in_waiting()
        result = DatasetFeatureStatisticsList()
        for name in sorted(self._slices, key=lambda name: (name != ALL_EXAMPLES, name)):
            pairs = zip(self._groups, self._slices[name].accumulators, strict=True)
            outputs = [made for group, own in pairs for made in group.extract(own)]
            (dataset,) = merge_util.merge_dataset_feature_statistics(outputs).datasets
            if self._slicers:
                dataset.name = name
            result.datasets.append(dataset)
        if not result.datasets:
            result.datasets.add()
        self._slices = {}
        return result

    def _slice(self, name: str) -> _Slice:
        if name not in self._slices:
            self._slices[name] = _Slice([group.start() for group in self._groups])
        return self._slices[name]

    def _update(self, own: _Slice, batch: pa.RecordBatch) -> None:
        """Takes in rows of a slice, the groups of columns side by side."""
        own.accumulators = list(
            self._pool.map(_Group.add, self._groups, own.accumulators, [batch] * len(self._groups))
        )

    def _take_in_waiting(self) -> None:
        """Takes in the slices' rows that were kept back, the slices side by side."""
        waiting = [own for own in self._slices.values() if own.waiting]
        for own, accumulators in zip(
            waiting, self._pool.map(self._with_waiting, waiting), strict=True
        ):
            own.accumulators, own.waiting = accumulators, []
        self._held_bytes = 0

    def _with_waiting(self, own: _Slice) -> list[list[Any]]:
        batch = pa.Table.from_batches(own.waiting).combine_chunks().to_batches()[0]
        pairs = zip(self._groups, own.accumulators, strict=True)
        return [group.add(accumulators, batch) for group, accumulators in pairs]

    def _check(self, name: str, slicer: ColumnSlicer) -> None:
        """Refuses a slice too many, and two that would share a name."""
        if self._slicer_of.setdefault(name, slicer) != slicer:
            raise ConfigError(
                "Two slices have the same name",
                received=f"'{name}' by '{slicer}', and by '{self._slicer_of[name]}'",
                expected="column names and values that do not run into each other",
                next_step="take one of them out of `statistics.slices`, or rename the column",
            )
        if len(self._slicer_of) > 1 and name not in self._slices:
            counts = [list(self._slicer_of.values()).count(slicer) for slicer in self._slicers]
            largest = self._slicers[counts.index(max(counts))]
            check_count(largest, len(self._slicer_of))


def make_groups(
    options: StatsOptions, names: Sequence[str], module: Path | None = None
) -> list[_Group]:
    """Groups of columns with the combiners of the options.

    TFDV's standard combiners look at one column by itself and get small groups; others (the
    user's own, those of semantic domains) get one group with every column.
    """
    weights = tuple(sorted(options.example_weight_map.all_weight_features()))
    for name in weights:
        check_weight_name(name, names)
    allowed = options.feature_allowlist
    features = tuple(name for name in names if allowed is None or name in allowed)
    by_column: list[CombinerStatsGenerator] = []
    others: list[CombinerStatsGenerator] = []
    for generator in stats_impl.get_generators(options, in_memory=True):
        if isinstance(generator, BasicStatsGenerator):
            by_column.append(generator)
        elif isinstance(generator, TopKUniquesSketchStatsGenerator):
            by_column.append(ValueCountsGenerator(options))
        else:
            others.append(generator)
    cuts = [features[at : at + GROUP] for at in range(0, len(features), GROUP)]
    groups = [_Group(some, _with(some, weights), tuple(by_column)) for some in cuts if by_column]
    if others:
        groups.append(_Group(features, _with(features, weights), tuple(others), module))
    return groups


def _with(names: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return (*names, *(name for name in more if name not in names))
