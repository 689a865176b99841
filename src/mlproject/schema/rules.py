"""What a schema says of each feature, as plain values with names for people."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlproject.anomalies.drift import DRIFT, SKEW, comparator_thresholds

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Feature, Schema

STRINGS, BOOL, INTS, FLOATS = "strings", "bool", "ints", "floats"
_RULED = (
    *("name", "type", "presence", "shape", "value_count", "domain", "string_domain"),
    *("int_domain", "float_domain", "bool_domain", "distribution_constraints"),
    *("in_environment", "not_in_environment", "drift_comparator", "skew_comparator"),
    "lifecycle_stage",
)
_RANGE_FIELDS = ("name", "min", "max", "disallow_nan", "disallow_inf")


@dataclass(frozen=True)
class Domain:
    """The values that a feature may have.

    Attributes:
        kind: `strings`, `bool`, `ints`, `floats`, or "" where every value may be.
        name: Of a domain that features may share, else "".
        values: Of `strings` in the schema's order; of `bool` the words for true and false.
        low: Smallest value allowed (inclusive), or None.
        high: Largest value allowed (inclusive), or None.
        no_nan: NaN is not allowed.
        no_inf: Infinities are not allowed.
        rest: What else the domain says, as protobuf text.
    """

    kind: str = ""
    name: str = ""
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    no_nan: bool = False
    no_inf: bool = False
    rest: str = ""

    def __str__(self) -> str:
        if self.kind == STRINGS:
            shared = f"'{self.name}', " if self.name else ""
            return f"{shared}{counted(self.values)}: {listed(self.values)}"
        if self.kind == BOOL:
            return "bool" + (f" {listed(self.values)}" if self.values else "")
        parts = [_range(self.low, self.high)] if (self.low, self.high) != (None, None) else []
        parts += ["no NaN"] * self.no_nan + ["no inf"] * self.no_inf + [self.rest] * bool(self.rest)
        return ", ".join(parts)


@dataclass(frozen=True)
class Rules:
    """What a schema says of one feature.

    Attributes:
        name: The feature.
        type: `INT`, `FLOAT`, `BYTES`, `STRUCT` or `TYPE_UNKNOWN`.
        stage: Lifecycle stage, such as `DEPRECATED`; "" where none is set.
        min_fraction: Smallest share of rows that have it; 0 where none is asked for.
        min_count: Smallest number of rows that have it.
        shape: Number of values in each dimension, where a row always has them; or None.
        value_count: Fewest and most values of a row that has it, None for no bound; or None.
        domain: The values it may have.
        min_domain_mass: Share of the values that must be in the domain, where not all must.
        not_in: Environments that it is not in, though others are.
        only_in: Environments that it is in, beside the default ones.
        drift: Measure -> threshold.
        skew: Measure -> threshold.
        rest: What else the schema says of it, as protobuf text.
    """

    name: str
    type: str
    stage: str
    min_fraction: float
    min_count: int
    shape: tuple[int, ...] | None
    value_count: tuple[int | None, int | None] | None
    domain: Domain
    min_domain_mass: float | None
    not_in: tuple[str, ...]
    only_in: tuple[str, ...]
    drift: Mapping[str, float]
    skew: Mapping[str, float]
    rest: str

    @property
    def presence_text(self) -> str:
        """The share of rows that must have it, such as `1.0` or `0.9`."""
        if self.min_fraction:
            return share(self.min_fraction)
        return f">= {self.min_count} rows" if self.min_count else "-"

    @property
    def values_text(self) -> str:
        """How many values a row has: a shape such as `[1]`, or bounds such as `1..3`."""
        if self.shape is not None:
            return "[" + ", ".join(map(str, self.shape)) + "]"
        if self.value_count is None:
            return "-"
        low, high = self.value_count
        return f"{low or 0}..{'' if high is None else high}"


def read_rules(schema: Schema) -> dict[str, Rules]:
    """Feature -> its rules, in the schema's order; shared domains looked up."""
    shared = {domain.name: domain for domain in schema.string_domain}
    return {feature.name: rules_of(feature, shared) for feature in schema.feature}


def rules_of(feature: Feature, shared: Mapping[str, Any]) -> Rules:
    """The rules of one feature.

    Args:
        feature: The feature.
        shared: Name -> string domain of the schema.
    """
    stages = type(feature).DESCRIPTOR.fields_by_name["lifecycle_stage"].enum_type
    constraints = feature.distribution_constraints
    counted = feature.HasField("value_count")
    has_shape = feature.HasField("shape")
    return Rules(
        name=feature.name,
        type=type_name(feature),
        stage=stages.values_by_number[feature.lifecycle_stage].name
        if feature.lifecycle_stage
        else "",
        min_fraction=feature.presence.min_fraction,
        min_count=feature.presence.min_count,
        shape=tuple(dim.size for dim in feature.shape.dim) if has_shape else None,
        value_count=(_set(feature.value_count, "min"), _set(feature.value_count, "max"))
        if counted
        else None,
        domain=_domain(feature, shared),
        min_domain_mass=_set(constraints, "min_domain_mass"),
        not_in=tuple(feature.not_in_environment),
        only_in=tuple(feature.in_environment),
        drift=comparator_thresholds(getattr(feature, f"{DRIFT}_comparator")),
        skew=comparator_thresholds(getattr(feature, f"{SKEW}_comparator")),
        rest=_rest(feature, _RULED),
    )


def type_name(feature: Feature) -> str:
    """`INT`, `FLOAT`, `BYTES`, `STRUCT` or `TYPE_UNKNOWN`."""
    kinds = type(feature).DESCRIPTOR.fields_by_name["type"].enum_type
    return str(kinds.values_by_number[feature.type].name)


def number(value: float | None) -> str:
    """A bound as people write it: 250, 0.1, 1e+30; floats are of 32 bits."""
    if isinstance(value, float):
        return str(np.float32(value)).removesuffix(".0")
    return "none" if value is None else str(value)


def share(value: float) -> str:
    """A share of the rows: 1.0, 0.98."""
    return f"{value:.6g}" if value != 1 else "1.0"


def counted(values: tuple[str, ...]) -> str:
    """How many values there are: `3 values`."""
    return f"{len(values)} value" + "s" * (len(values) != 1)


def listed(values: tuple[str, ...], most: int = 8) -> str:
    """Some of the values, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(value if value else "''" for value in values[:most]) + more


def _domain(feature: Feature, shared: Mapping[str, Any]) -> Domain:
    kind = feature.WhichOneof("domain_info")
    if kind == "domain":
        values = tuple(shared[feature.domain].value) if feature.domain in shared else ()
        return Domain(STRINGS, name=feature.domain, values=values)
    if kind == "string_domain":
        return Domain(STRINGS, values=tuple(feature.string_domain.value))
    if kind == "bool_domain":
        words = feature.bool_domain
        return Domain(BOOL, values=tuple(v for v in (words.true_value, words.false_value) if v))
    if kind in ("int_domain", "float_domain"):
        own = getattr(feature, kind)
        return Domain(
            INTS if kind == "int_domain" else FLOATS,
            low=_set(own, "min"),
            high=_set(own, "max"),
            no_nan=kind == "float_domain" and own.disallow_nan,
            no_inf=kind == "float_domain" and own.disallow_inf,
            rest=_rest(own, _RANGE_FIELDS),
        )
    return Domain()


def _set(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _rest(message: Any, known: tuple[str, ...]) -> str:
    from google.protobuf import text_format

    rest = deepcopy(message)
    for field in set(known) & set(rest.DESCRIPTOR.fields_by_name):
        rest.ClearField(field)
    return str(text_format.MessageToString(rest, as_one_line=True)).strip()


def _range(low: float | None, high: float | None) -> str:
    return f"{'' if low is None else number(low)}..{'' if high is None else number(high)}"
