"""Taking over what another schema says, in part."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError, closest

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema


def take_features(schema: Schema, other: Schema, names: Iterable[str]) -> Schema:
    """A copy of a schema in which some features are as in another one.

    A domain that features share changes for all of them.

    Args:
        schema: The schema.
        other: The schema to take from.
        names: The features to take; one that only `other` has is new.

    Raises:
        ConfigError: Neither schema has a feature of that name; the closest is offered.
    """
    result = deepcopy(schema)
    own = {feature.name: feature for feature in result.feature}
    theirs = {feature.name: feature for feature in other.feature}
    domains = {domain.name: domain for domain in result.string_domain}
    their_domains = {domain.name: domain for domain in other.string_domain}
    for name in names:
        if name not in theirs:
            raise ConfigError(
                "Looking for a feature to accept failed",
                received=f"'{name}'",
                expected=closest(name, theirs),
                next_step="`benison schema diff PROJECT` lists the differences",
            )
        if name in own:
            own[name].CopyFrom(theirs[name])
        else:
            result.feature.add().CopyFrom(theirs[name])
        domain = theirs[name].domain
        if domain in domains:
            domains[domain].CopyFrom(their_domains[domain])
        elif domain in their_domains:
            result.string_domain.add().CopyFrom(their_domains[domain])
            domains[domain] = result.string_domain[-1]
    return result


def keep_review(inferred: Schema, reviewed: Schema) -> Schema:
    """A copy of an inferred schema with what no data can say, as a person has written it before.

    That is environments, drift and skew thresholds, and what is not said of single features.

    Args:
        inferred: A schema from data alone.
        reviewed: The schema that it is to replace.
    """
    result = deepcopy(reviewed)
    del result.feature[:], result.string_domain[:]
    result.feature.extend(inferred.feature)
    result.string_domain.extend(inferred.string_domain)
    before = {feature.name: feature for feature in reviewed.feature}
    for feature in result.feature:
        old = before.get(feature.name)
        if old is None:
            continue
        feature.in_environment.extend(old.in_environment)
        feature.not_in_environment.extend(old.not_in_environment)
        for field in ("drift_comparator", "skew_comparator"):
            if old.HasField(field):
                getattr(feature, field).CopyFrom(getattr(old, field))
    return result
