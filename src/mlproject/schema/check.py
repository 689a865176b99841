"""Whether TFDV and tf.Transform can use a schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlproject.errors import DataError
from mlproject.schema import feature_specs
from mlproject.schema.rules import Rules, read_rules

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

# What TFDV says of a schema by itself, whatever the data is.
_FAULTS = (
    "INVALID_SCHEMA_SPECIFICATION",
    "INVALID_DOMAIN_SPECIFICATION",
    "DOMAIN_INVALID_FOR_TYPE",
    "FEATURE_MISSING_TYPE",
    "FEATURE_MISSING_NAME",
)


def check_schema(schema: Schema) -> None:
    """Refuses a schema that cannot be used.

    Raises:
        DataError: Names every fault.
    """
    faults = [*_own_faults(schema)]
    faults += _tfdv_faults(schema) if not faults else []
    if not faults:
        feature_specs(schema)
        return
    raise DataError(
        "The schema cannot be used",
        received="; ".join(faults),
        expected="a schema that TFDV and tf.Transform can read",
        next_step="correct what is named; the file was left as it was",
    )


def _own_faults(schema: Schema) -> Iterator[str]:
    """What TFDV passes over in silence."""
    for what, names in (
        ("feature", [feature.name for feature in schema.feature]),
        ("domain", [domain.name for domain in schema.string_domain]),
    ):
        yield from (f"two {what}s named '{n}'" for n, times in Counter(names).items() if times > 1)
    domains = {domain.name for domain in schema.string_domain}
    for feature in schema.feature:
        if feature.WhichOneof("domain_info") == "domain" and feature.domain not in domains:
            yield f"{feature.name}: there is no domain '{feature.domain}'"
    for rules in read_rules(schema).values():
        yield from (f"{rules.name}: {fault}" for fault in _rule_faults(rules))


def _rule_faults(rules: Rules) -> Iterator[str]:
    domain = rules.domain
    for bound in (domain.low, domain.high, *rules.drift.values(), *rules.skew.values()):
        if bound is not None and bound != bound:
            yield "a bound is not a number"
    if domain.low is not None and domain.high is not None and domain.low > domain.high:
        yield f"min {domain.low} is above max {domain.high}"
    twice = [value for value, times in Counter(domain.values).items() if times > 1]
    if twice:
        yield f"the domain holds '{twice[0]}' twice"
    if rules.min_count < 0:
        yield f"min_count {rules.min_count} is below 0"
    mass = rules.min_domain_mass
    if mass is not None and not 0 <= mass <= 1:
        yield f"min_domain_mass {mass} is not between 0 and 1"


def _tfdv_faults(schema: Schema) -> list[str]:
    """What TFDV says of the schema where every feature is without a value."""
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    statistics = DatasetFeatureStatisticsList()
    dataset = statistics.datasets.add(num_examples=1)
    for feature in schema.feature:
        own = dataset.features.add()
        own.path.step.append(feature.name)
        own.num_stats.common_stats.num_missing = 1
    result = tfdv.validate_statistics(statistics, schema)
    return [
        f"{name}: {' '.join((reason.description or reason.short_description).split())}"
        for name, info in sorted(result.anomaly_info.items())
        for reason in info.reason
        if type(info).Type.Name(reason.type) in _FAULTS
    ]
