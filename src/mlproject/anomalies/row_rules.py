"""What the schema asks of a single row, as tests over whole columns.

The tests agree with TFDV's over the statistics of that row: numbers with a fraction are compared
in 32 bits, texts that stand for numbers are parsed, lists are tested value by value. They go on
where TFDV's statistics end: after the thousand most frequent texts, and beyond 2^53.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.anomalies.cells import Cells, parse_floats, parse_ints, valid_utf8
from mlproject.schema import is_in_environment
from mlproject.schema.rules import BOOL, FLOATS, INTS, STRINGS, Domain, Rules, number, read_rules

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

ROW_KINDS = (
    *("UNEXPECTED_DATA_TYPE", "FEATURE_TYPE_LOW_FRACTION_PRESENT", "INVALID_FEATURE_SHAPE"),
    *("FEATURE_TYPE_LOW_NUMBER_VALUES", "FEATURE_TYPE_HIGH_NUMBER_VALUES"),
    *("ENUM_TYPE_UNEXPECTED_STRING_VALUES", "ENUM_TYPE_INVALID_UTF8"),
    *("INT_TYPE_SMALL_INT", "INT_TYPE_BIG_INT", "INT_TYPE_NOT_INT_STRING"),
    *("FLOAT_TYPE_SMALL_FLOAT", "FLOAT_TYPE_BIG_FLOAT", "FLOAT_TYPE_STRING_NOT_FLOAT"),
    *("FLOAT_TYPE_HAS_NAN", "FLOAT_TYPE_HAS_INF"),
    *("BOOL_TYPE_SMALL_INT", "BOOL_TYPE_BIG_INT"),
    *("BOOL_TYPE_UNEXPECTED_FLOAT", "BOOL_TYPE_UNEXPECTED_STRING"),
)
"""The kinds of anomaly that single rows are guilty of, named as TensorFlow Metadata does."""

_RETIRED = ("PLANNED", "ALPHA", "DEPRECATED", "DEBUG_ONLY")  # TFDV does not validate these

ValueTest = Callable[[Cells], pa.BooleanArray]
"""For each value of a column, whether it breaks the rule; null counts as no."""

RowTest = Callable[[Cells], pa.BooleanArray]
"""For each row of a column, whether it breaks the rule."""


@dataclass(frozen=True)
class RowRule:
    """One rule for the rows of one column.

    Attributes:
        feature: The column.
        kind: Kind of anomaly, one of `ROW_KINDS`.
        reason: Why a row breaks it, to follow the value.
        breaks: The test.
        of_values: Whether the test is of the single values, and not of the row.
    """

    feature: str
    kind: str
    reason: str
    breaks: RowTest | ValueTest
    of_values: bool = True

    def find(self, cells: Cells) -> tuple[np.ndarray, pa.Array]:
        """The rows that break the rule.

        Args:
            cells: The column.

        Returns:
            `[n] int64` row numbers in rising order, each once; `[n]` the first value of each that
            breaks the rule, as text (null where the rule is of the row).
        """
        mask = pc.fill_null(self.breaks(cells), False)
        if not pc.any(mask, min_count=0).as_py():
            return np.empty(0, np.int64), pa.array([], pa.string())
        hits = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        if not self.of_values:
            return hits, pa.nulls(len(hits), pa.string())
        rows, first = np.unique(cells.row_of(hits), return_index=True)
        return rows, cells.texts(hits[first])


def row_rules(schema: Schema, columns: pa.Schema, environment: str) -> list[RowRule]:
    """The rules that the rows of some columns are held to.

    Args:
        schema: The schema, with its environments.
        columns: The columns, as Examples store them.
        environment: `TRAINING` or `SERVING`; features that are not in it are passed over.
    """
    found: list[RowRule] = []
    stored = {field.name: _stored_type(field.type) for field in columns}
    read = read_rules(schema)
    for feature in schema.feature:
        rules = read[feature.name]
        if (
            feature.name in stored
            and rules.stage not in _RETIRED
            and is_in_environment(feature, schema, environment)
        ):
            found += _rules_of(rules, stored[feature.name])
    return found


def _rules_of(rules: Rules, stored: str) -> Iterator[RowRule]:
    name = rules.name
    if stored != rules.type:
        why = f"is {stored}, and the schema says {rules.type}"
        yield RowRule(name, "UNEXPECTED_DATA_TYPE", why, lambda cells: cells.present, False)
    yield from _count_rules(rules)
    yield from _domain_rules(name, rules.domain, stored, _permitted(rules.min_domain_mass))


def _count_rules(rules: Rules) -> Iterator[RowRule]:
    name = rules.name
    if rules.min_fraction >= 1:
        kind, why = (
            "FEATURE_TYPE_LOW_FRACTION_PRESENT",
            "has no value, and every row needs one",
        )
        yield RowRule(name, kind, why, lambda cells: pc.invert(cells.present), False)
    if rules.shape is not None:
        size = math.prod(rules.shape)
        must = rules.min_fraction < 1  # else a missing one has been told above

        def misshapen(cells: Cells) -> pa.BooleanArray:
            return pc.fill_null(pc.not_equal(cells.counts, size), must)

        why = f"has not the {size} value{'s' * (size != 1)} of shape {rules.values_text}"
        yield RowRule(name, "INVALID_FEATURE_SHAPE", why, misshapen, False)
    low, high = rules.value_count or (None, None)
    if low:
        kind, why = "FEATURE_TYPE_LOW_NUMBER_VALUES", f"has fewer values than {low}"
        yield RowRule(name, kind, why, lambda cells: pc.less(cells.counts, low), False)
    if high is not None:
        kind, why = "FEATURE_TYPE_HIGH_NUMBER_VALUES", f"has more values than {high}"
        yield RowRule(name, kind, why, lambda cells: pc.greater(cells.counts, high), False)


def _domain_rules(name: str, domain: Domain, stored: str, permitted: str) -> Iterator[RowRule]:
    if domain.kind == STRINGS and stored == "BYTES":
        called = f"domain '{domain.name}'" if domain.name else "domain"
        known = pa.array([value.encode() for value in domain.values], pa.binary())
        yield RowRule(
            name,
            "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
            f"is not in the {called}{permitted}",
            lambda cells: pc.and_(valid_utf8(cells.values), _unknown(cells.values, known)),
        )
        yield RowRule(
            name,
            "ENUM_TYPE_INVALID_UTF8",
            "is not UTF-8",
            lambda cells: pc.and_(pc.is_valid(cells.values), pc.invert(valid_utf8(cells.values))),
        )
    elif domain.kind == BOOL:
        yield from _bool_rules(name, domain, stored)
    elif domain.kind == INTS and stored == "INT":
        yield from _range_rules(name, domain, "INT_TYPE_{}_INT", lambda cells: cells.values)
    elif domain.kind == INTS and stored == "BYTES":
        parsed = _remembered(lambda cells: parse_ints(cells.values))
        why = "is not a whole number of 64 bits"
        yield RowRule(
            name, "INT_TYPE_NOT_INT_STRING", why, lambda cells: _unread(cells, parsed(cells))
        )
        yield from _range_rules(name, domain, "INT_TYPE_{}_INT", parsed)
    elif domain.kind == FLOATS and stored == "FLOAT":
        yield from _float_rules(name, domain, lambda cells: cells.values)
    elif domain.kind == FLOATS and stored == "BYTES":
        floats = _remembered(lambda cells: parse_floats(cells.values))
        why = "is not a number"
        yield RowRule(
            name, "FLOAT_TYPE_STRING_NOT_FLOAT", why, lambda cells: _unread(cells, floats(cells))
        )
        yield from _float_rules(name, domain, floats)


def _bool_rules(name: str, domain: Domain, stored: str) -> Iterator[RowRule]:
    if stored == "BYTES":
        known = pa.array([word.encode() for word in domain.values], pa.binary())
        why = f"is none of the words for true and false ({', '.join(domain.values)})"
        yield RowRule(
            name,
            "BOOL_TYPE_UNEXPECTED_STRING",
            why,
            lambda cells: _unknown(cells.values, known),
        )
    elif stored == "FLOAT":
        words = pa.array([0, 1], pa.float32())
        why = "is neither 0 nor 1"
        yield RowRule(
            name, "BOOL_TYPE_UNEXPECTED_FLOAT", why, lambda cells: _unknown(cells.values, words)
        )
    else:
        bounds = Domain(INTS, low=0, high=1)
        yield from _range_rules(name, bounds, "BOOL_TYPE_{}_INT", lambda cells: cells.values)


def _range_rules(
    name: str, domain: Domain, kind: str, numbers: Callable[[Cells], pa.Array]
) -> Iterator[RowRule]:
    low, high = domain.low, domain.high
    if low is not None:
        why = f"is below {number(low)}, the smallest value allowed"
        yield RowRule(
            name, kind.format("SMALL"), why, lambda cells: _compared(pc.less, numbers(cells), low)
        )
    if high is not None:
        why = f"is above {number(high)}, the largest value allowed"
        yield RowRule(
            name, kind.format("BIG"), why, lambda cells: _compared(pc.greater, numbers(cells), high)
        )


def _float_rules(
    name: str, domain: Domain, numbers: Callable[[Cells], pa.Array]
) -> Iterator[RowRule]:
    yield from _range_rules(name, domain, "FLOAT_TYPE_{}_FLOAT", numbers)
    if domain.no_nan:
        why = "is not a number (NaN), which is not allowed"
        yield RowRule(name, "FLOAT_TYPE_HAS_NAN", why, lambda cells: pc.is_nan(numbers(cells)))
    if domain.no_inf:
        why = "is infinite (in 32 bits), which is not allowed"
        yield RowRule(name, "FLOAT_TYPE_HAS_INF", why, lambda cells: pc.is_inf(numbers(cells)))


def _compared(
    compare: Callable[[pa.Array, pa.Scalar], pa.BooleanArray], numbers: pa.Array, bound: float
) -> pa.BooleanArray:
    return compare(numbers, pa.scalar(bound, numbers.type))


def _unknown(values: pa.Array, known: pa.Array) -> pa.BooleanArray:
    is_known = pc.is_in(values, value_set=known.cast(values.type))
    return pc.and_(pc.is_valid(values), pc.invert(is_known))


def _unread(cells: Cells, parsed: pa.Array) -> pa.BooleanArray:
    """Values that are there and could not be parsed."""
    return pc.and_(pc.is_valid(cells.values), pc.is_null(parsed))


def _remembered(parse: Callable[[Cells], pa.Array]) -> Callable[[Cells], pa.Array]:
    """Parses a column once for all the rules that ask for it one after the other."""
    last: list[tuple[Cells, pa.Array]] = []

    def parsed(cells: Cells) -> pa.Array:
        if not last or last[0][0] is not cells:
            last[:] = [(cells, parse(cells))]
        return last[0][1]

    return parsed


def _permitted(mass: float | None) -> str:
    """A row outside a domain is worth a look even where the schema lets some be."""
    if mass is None or mass >= 1:
        return ""
    return f" (the schema permits {1 - mass:.3g} of the values to be outside)"


def _stored_type(kind: pa.DataType) -> str:
    value_type = kind.value_type if pa.types.is_list(kind) else kind
    names: Mapping[pa.DataType, str] = {pa.int64(): "INT", pa.float64(): "FLOAT"}
    return names.get(value_type, "BYTES")
