"""Anomalies: what of the data breaks the schema, and whether the run may go on.

The artifact:

    anomalies.json     one row for each reason: split, feature, kind, policy, texts
    figures/           the same as a table
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError, closest
from mlproject.schema import TRAINING

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

BLOCK, WARN = "block", "warn"
DATASET_LEVEL = "(dataset)"


@dataclass(frozen=True)
class Anomaly:
    """One way in which a feature of a split breaks the schema.

    Attributes:
        split: The split.
        feature: The feature, or `(dataset)`.
        kind: Name in TensorFlow Metadata's `AnomalyInfo.Type`.
        policy: `block` or `warn`.
        short: A few words.
        description: A sentence.
    """

    split: str
    feature: str
    kind: str
    policy: str
    short: str
    description: str


@dataclass(frozen=True)
class Anomalies:
    """What the validation of all splits found.

    Attributes:
        found: The anomalies, in the order of splits and features.
    """

    found: tuple[Anomaly, ...]

    @property
    def blocked(self) -> bool:
        """True where an anomaly's policy stops the run."""
        return any(anomaly.policy == BLOCK for anomaly in self.found)

    def reasons(self) -> list[str]:
        """The anomalies in plain words, those that block first."""
        ordered = sorted(self.found, key=lambda a: a.policy != BLOCK)
        return [f"{a.policy}: {a.feature} ({a.split}): {a.description} [{a.kind}]" for a in ordered]


def anomaly_kinds() -> tuple[str, ...]:
    """Every kind of anomaly that TensorFlow Metadata names."""
    from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo

    return tuple(AnomalyInfo.Type.keys())


def check_policy(policy: Mapping[str, str]) -> None:
    """Checks that a policy names existing kinds.

    Raises:
        ConfigError: A kind does not exist; the closest one is offered.
    """
    kinds = anomaly_kinds()
    for kind in policy:
        if kind not in kinds:
            raise ConfigError(
                "Reading `validation.policy` failed",
                received=f"unknown kind of anomaly '{kind}'",
                expected=closest(kind, kinds),
                next_step="mend project.yaml",
            )


def validate_statistics(
    statistics: Iterable[tuple[str, DatasetFeatureStatisticsList]],
    schema: Schema,
    policy: Mapping[str, str],
    default: str,
) -> Anomalies:
    """Validates each split's statistics against the schema, in the environment TRAINING.

    Args:
        statistics: Split name and its statistics.
        schema: The schema.
        policy: Kind of anomaly -> `warn` or `block`.
        default: Policy for other kinds.
    """
    import tensorflow_data_validation as tfdv

    check_policy(policy)
    found: list[Anomaly] = []
    for split, stats in statistics:
        result = tfdv.validate_statistics(stats, schema, environment=TRAINING)
        infos = dict(result.anomaly_info)
        if result.HasField("dataset_anomaly_info"):
            infos[DATASET_LEVEL] = result.dataset_anomaly_info
        for feature, info in sorted(infos.items()):
            for reason in info.reason:
                kind = type(info).Type.Name(reason.type)
                found.append(
                    Anomaly(
                        split=split,
                        feature=feature,
                        kind=kind,
                        policy=policy.get(kind, default),
                        short=reason.short_description,
                        description=_one_line(reason.description),
                    )
                )
    return Anomalies(tuple(found))


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
