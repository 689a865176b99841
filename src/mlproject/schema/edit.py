"""Changes of one feature's rules by hand: `key=value`, where `key=` takes a rule away."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlproject.anomalies.drift import DRIFT, MEASURES, NEED_COUNTS, SKEW
from mlproject.errors import ConfigError, closest
from mlproject.schema import SERVING, serving_features
from mlproject.schema.rules import type_name

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Feature, Schema

_TYPES = ("INT", "FLOAT", "BYTES")
_DOMAIN_OF = {"INT": "int_domain", "FLOAT": "float_domain"}
_FITTING = {
    "INT": ("int_domain", "bool_domain"),
    "FLOAT": ("float_domain", "bool_domain"),
    "BYTES": ("domain", "string_domain", "int_domain", "float_domain", "bool_domain"),
}


@dataclass(frozen=True)
class Edit:
    """What an edit works on: the schema, its feature, key and value, and what is not served."""

    schema: Schema
    feature: Feature
    key: str
    value: str
    training_only: tuple[str, ...]

    def fail(self, expected: str) -> ConfigError:
        """The error of a value that does not fit its key."""
        return ConfigError(
            f"Changing the schema of '{self.feature.name}' failed",
            received=f"{self.key}={self.value}",
            expected=expected,
            next_step="correct the value; the file was left as it was",
        )

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """The value as a number within bounds."""
        try:
            number = float(self.value)
        except ValueError as err:
            raise self.fail("a number") from err
        if not low <= number <= high:  # NaN too
            raise self.fail(f"a number from {low:g} to {high:g}")
        return number

    def whole(self, low: int | None = None) -> int:
        """The value as a whole number."""
        try:
            number = int(self.value)
        except ValueError as err:
            raise self.fail("a whole number") from err
        if not -(2**63) <= number < 2**63 or (low is not None and number < low):
            raise self.fail(f"a whole number of 64 bits{'' if low is None else f', {low} or more'}")
        return number


def edit_feature(
    schema: Schema, name: str, assignments: Iterable[str], training_only: tuple[str, ...] = ()
) -> Schema:
    """A copy of a schema with other rules for one feature.

    Args:
        schema: The schema.
        name: The feature.
        assignments: `key=value` each (see `KEYS`); `key=` takes the rule away.
        training_only: Features that project.yaml keeps from serving.

    Raises:
        ConfigError: The feature, a key or a value is wrong; the closest name is offered.
    """
    result = deepcopy(schema)
    features = {feature.name: feature for feature in result.feature}
    if name not in features:
        raise ConfigError(
            "Looking for a feature of the schema failed",
            received=f"'{name}'",
            expected=closest(name, features),
            next_step="`benison schema show PROJECT` lists the features",
        )
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or key not in KEYS:
            raise ConfigError(
                f"Changing the schema of '{name}' failed",
                received=f"'{assignment}'",
                expected="KEY=VALUE, with a KEY of " + ", ".join(KEYS)
                if not equals
                else closest(key, KEYS),
                next_step="correct the key; the file was left as it was",
            )
        KEYS[key](Edit(result, features[name], key, value, training_only))
    return result


def _set_type(edit: Edit) -> None:
    name = edit.value.upper()
    if name not in _TYPES:
        raise edit.fail(closest(name, _TYPES))
    feature = edit.feature
    feature.type = (
        type(feature).DESCRIPTOR.fields_by_name["type"].enum_type.values_by_name[name].number
    )
    if feature.WhichOneof("domain_info") not in (None, *_FITTING[name]):
        _clear_domain(feature)


def _set_min_fraction(edit: Edit) -> None:
    """A row that may lack the feature has no fixed shape, so that tf.Transform reads it sparse."""
    feature = edit.feature
    if edit.value:
        feature.presence.min_fraction = edit.number(0, 1)
    else:
        feature.presence.ClearField("min_fraction")
    if feature.presence.min_fraction < 1 and feature.HasField("shape"):
        size = math.prod(dim.size for dim in feature.shape.dim)
        feature.ClearField("shape")
        feature.value_count.min = feature.value_count.max = size


def _set_min_count(edit: Edit) -> None:
    if edit.value:
        edit.feature.presence.min_count = edit.whole(0)
    else:
        edit.feature.presence.ClearField("min_count")


def _set_bound(edit: Edit) -> None:
    feature, kind = edit.feature, _DOMAIN_OF.get(type_name(edit.feature))
    domain = feature.WhichOneof("domain_info")
    if kind is None and domain not in _DOMAIN_OF.values():
        raise edit.fail("a feature of numbers; texts have domain.add and domain.remove")
    own = getattr(feature, domain if domain in _DOMAIN_OF.values() else str(kind))
    if not edit.value:
        own.ClearField(edit.key)
    else:
        whole = own.DESCRIPTOR.name == "IntDomain"
        setattr(own, edit.key, edit.whole() if whole else edit.number())


def _set_refused(edit: Edit) -> None:
    words = {"true": True, "false": False, "": False}
    if type_name(edit.feature) != "FLOAT":
        raise edit.fail("a feature of type FLOAT")
    if edit.value not in words:
        raise edit.fail("true or false")
    if words[edit.value]:
        setattr(edit.feature.float_domain, edit.key, True)
    elif edit.feature.WhichOneof("domain_info") == "float_domain":
        edit.feature.float_domain.ClearField(edit.key)


def _values_of(edit: Edit) -> Any:
    """The string domain of a feature, made where there is none."""
    feature = edit.feature
    kind = feature.WhichOneof("domain_info")
    if type_name(feature) != "BYTES" or kind not in (None, "domain", "string_domain"):
        raise edit.fail("a feature of texts without another kind of domain")
    if kind == "string_domain":
        return feature.string_domain
    shared = {domain.name: domain for domain in edit.schema.string_domain}
    if kind is None:
        name = feature.name
        while name in shared:
            name += "_"
        feature.domain = name
        return edit.schema.string_domain.add(name=name)
    if feature.domain not in shared:
        return edit.schema.string_domain.add(name=feature.domain)
    return shared[feature.domain]


def _add_value(edit: Edit) -> None:
    domain = _values_of(edit)
    if edit.value in domain.value:
        raise edit.fail("a value that the domain does not have yet")
    domain.value.append(edit.value)


def _remove_value(edit: Edit) -> None:
    domain = _values_of(edit)
    if edit.value not in domain.value:
        raise edit.fail(closest(edit.value, domain.value))
    domain.value.remove(edit.value)


def _set_domain(edit: Edit) -> None:
    if not edit.value:
        _clear_domain(edit.feature)
        return
    names = [domain.name for domain in edit.schema.string_domain]
    if edit.value not in names:
        raise edit.fail(closest(edit.value, names))
    edit.feature.domain = edit.value


def _clear_domain(feature: Feature) -> None:
    kind = feature.WhichOneof("domain_info")
    if kind:
        feature.ClearField(kind)
    feature.ClearField("distribution_constraints")


def _set_mass(edit: Edit) -> None:
    if edit.value:
        edit.feature.distribution_constraints.min_domain_mass = edit.number(0, 1)
    else:
        edit.feature.ClearField("distribution_constraints")


def _set_not_in(edit: Edit) -> None:
    del edit.feature.not_in_environment[:]
    if edit.value:
        if edit.value != SERVING:
            raise edit.fail(f"{SERVING}, or nothing")
        edit.feature.not_in_environment.append(SERVING)


def _set_threshold(edit: Edit) -> None:
    comparison, _, measure = edit.key.partition(".")
    field = f"{comparison}_comparator"
    if not edit.value:
        getattr(edit.feature, field).ClearField(MEASURES[measure])
        if not getattr(edit.feature, field).ListFields():
            edit.feature.ClearField(field)
        return
    if measure in NEED_COUNTS and type_name(edit.feature) != "BYTES":
        raise edit.fail(
            f"{comparison}.js: {measure} compares counts of values, and the statistics of a number "
            "have none"
        )
    served = set(serving_features(edit.schema)) - {*edit.training_only}
    if comparison == SKEW and edit.feature.name not in served:
        raise edit.fail(f"a feature that is in {SERVING}")
    threshold = edit.number(0, math.inf if measure == "nad" else 1)
    getattr(getattr(edit.feature, field), MEASURES[measure]).threshold = threshold


KEYS: Mapping[str, Callable[[Edit], None]] = {
    "type": _set_type,
    "min_fraction": _set_min_fraction,
    "min_count": _set_min_count,
    "min": _set_bound,
    "max": _set_bound,
    "disallow_nan": _set_refused,
    "disallow_inf": _set_refused,
    "domain": _set_domain,
    "domain.add": _add_value,
    "domain.remove": _remove_value,
    "min_domain_mass": _set_mass,
    "not_in": _set_not_in,
    **{f"{c}.{m}": _set_threshold for c in (DRIFT, SKEW) for m in MEASURES},
}
"""Every key that `benison schema set` takes."""
