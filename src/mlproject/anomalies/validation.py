"""Statistics against the schema, and against other statistics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlproject.anomalies.drift import (
    DRIFT,
    SKEW,
    Distance,
    compare,
    compares_rows,
    thresholds_of,
)
from mlproject.anomalies.histograms import default_dataset, feature_name
from mlproject.anomalies.severity import (
    BLOCK,
    DATASET_LEVEL,
    DRIFT_NOT_JUDGED,
    IGNORE,
    NOTE,
    SKEW_NOT_JUDGED,
    WARN,
    Features,
    Policy,
)
from mlproject.schema import SERVING, TRAINING

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

SERVING_SPLIT = "serving"
FEATURES_NAMED = 5  # in one note
_LAST = (BLOCK, WARN, NOTE, IGNORE)


@dataclass(frozen=True)
class Anomaly:
    """One way in which a feature of a split breaks the schema.

    Attributes:
        split: The split, or `serving`.
        feature: The feature, or `(dataset)`.
        kind: Name in TensorFlow Metadata's `AnomalyInfo.Type`, or what could not be judged:
            `DRIFT_NOT_JUDGED`, `SKEW_NOT_JUDGED`.
        policy: `block`, `warn`, `note` (of what could not be judged) or `ignore`.
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
        found: The anomalies that block or warn, in the order of splits and features.
        notes: What could not be judged, where no policy asks for more.
        ignored: The anomalies that the policy ignores.
        distances: Drift and skew, measured wherever the schema has a threshold.
    """

    found: tuple[Anomaly, ...]
    notes: tuple[Anomaly, ...] = ()
    ignored: tuple[Anomaly, ...] = ()
    distances: tuple[Distance, ...] = ()

    @property
    def blocked(self) -> bool:
        """True where an anomaly's policy stops the run."""
        return any(anomaly.policy == BLOCK for anomaly in self.found)

    def reasons(self) -> list[str]:
        """The anomalies in plain words, those that block first, what was not judged last."""
        ordered = sorted(self.found, key=lambda a: _LAST.index(a.policy))
        reasons = [
            f"{a.policy}: {a.feature} ({a.split}): {a.description} [{a.kind}]" for a in ordered
        ]
        return [*reasons, *_grouped(self.notes)]


def check_policy(
    policy: Mapping[str, str],
    features: Features | None = None,
    known_features: Iterable[str] | None = None,
) -> None:
    """Checks that a policy names existing kinds and features.

    Args:
        policy: Kind of anomaly -> severity.
        features: Feature -> severity, or kind -> severity.
        known_features: The features there are; None where they are not known yet.

    Raises:
        ConfigError: A kind, feature or severity does not exist; the closest one is offered.
    """
    Policy(kinds=policy, features=features or {}).check(known_features)


def validate_statistics(
    statistics: Iterable[tuple[str, DatasetFeatureStatisticsList]],
    schema: Schema,
    policy: Mapping[str, str],
    default: str,
    *,
    features: Features | None = None,
    previous: DatasetFeatureStatisticsList | None = None,
    previous_name: str = "the previous span",
    newest: DatasetFeatureStatisticsList | None = None,
    serving: DatasetFeatureStatisticsList | None = None,
) -> Anomalies:
    """Validates statistics against the schema, and against other statistics where it asks for it.

    Every split in the environment TRAINING; drift of the newest statistics from the previous ones
    by the schema's `drift_comparator`s; the serving statistics in the environment SERVING, and the
    skew of the first split from them by the `skew_comparator`s.

    Args:
        statistics: Split name and its statistics, the train split first.
        schema: The schema, with its environments.
        policy: Kind of anomaly -> `ignore`, `warn` or `block`.
        default: Severity of other kinds.
        features: Feature -> severity, or kind -> severity; wins over `policy`.
        previous: Statistics of the span before, or of an earlier run; None where there are none.
        previous_name: What to call them.
        newest: Statistics of the newest span, which drift is judged by; None: the first split's.
        serving: Statistics of what is asked at serving; None where there are none.

    Raises:
        ConfigError: The policy names a kind or a feature that does not exist.
    """
    splits = list(statistics)
    rules = Policy(default, policy, features or {})
    rules.check(_known_features(splits, schema, serving))
    first, train = splits[0]
    all_found: list[Anomaly] = []
    for split, stats in splits:
        all_found += _breaches(split, stats, schema, TRAINING)
    if serving is not None:
        all_found += _breaches(SERVING_SPLIT, serving, schema, SERVING)
    distances: list[Distance] = []
    for comparison, judged, control, against in (
        (DRIFT, newest or train, previous, previous_name),
        (SKEW, train, serving, SERVING_SPLIT),
    ):
        anomalies, measured = _compared(first, judged, schema, comparison, control, against)
        all_found += anomalies
        distances += measured
    decided = [replace(a, policy=rules.severity(a.feature, a.kind)) for a in all_found]
    return Anomalies(
        found=tuple(a for a in decided if a.policy in (BLOCK, WARN)),
        notes=tuple(a for a in decided if a.policy == NOTE),
        ignored=tuple(a for a in decided if a.policy == IGNORE),
        distances=tuple(distances),
    )


def _breaches(
    split: str, stats: DatasetFeatureStatisticsList, schema: Schema, environment: str
) -> Iterator[Anomaly]:
    import tensorflow_data_validation as tfdv

    result = tfdv.validate_statistics(stats, schema, environment=environment)
    infos = dict(result.anomaly_info)
    if result.HasField("dataset_anomaly_info"):
        infos[DATASET_LEVEL] = result.dataset_anomaly_info
    yield from _anomalies(split, infos)


def _compared(
    split: str,
    newest: DatasetFeatureStatisticsList,
    schema: Schema,
    comparison: str,
    control: DatasetFeatureStatisticsList | None,
    against: str,
) -> tuple[list[Anomaly], list[Distance]]:
    """The anomalies of drift or skew, what could not be judged among them, and the distances."""
    kind = DRIFT_NOT_JUDGED if comparison == DRIFT else SKEW_NOT_JUDGED
    short = f"{comparison} not judged"

    def unjudged(feature: str, why: str) -> Anomaly:
        return Anomaly(split, feature, kind, "", short, f"{comparison} was not judged: {why}")

    if control is None:
        lacking = "earlier" if comparison == DRIFT else "serving"
        asked = list(thresholds_of(schema, comparison))
        asked += [DATASET_LEVEL] if compares_rows(schema, comparison) else []
        return [unjudged(name, f"there are no {lacking} statistics") for name in asked], []
    infos, distances, left = compare(newest, schema, comparison, control, against)
    found = [
        replace(a, description=f"{a.description} Compared with {against}.")
        if comparison == DRIFT
        else a
        for a in _anomalies(split, infos)
    ]
    return [*found, *(unjudged(u.feature, u.reason) for u in left)], distances


def _anomalies(split: str, infos: Mapping[str, Any]) -> Iterator[Anomaly]:
    """TFDV's anomalies, their policy still open."""
    for feature, info in sorted(infos.items()):
        for reason in info.reason:
            kind = type(info).Type.Name(reason.type)
            text = _one_line(reason.description or reason.short_description)
            yield Anomaly(split, feature, kind, "", reason.short_description, text)


def _known_features(
    splits: Iterable[tuple[str, DatasetFeatureStatisticsList]],
    schema: Schema,
    serving: DatasetFeatureStatisticsList | None,
) -> set[str]:
    known = {feature.name for feature in schema.feature}
    for stats in [*(stats for _, stats in splits), *([serving] if serving else [])]:
        known |= {feature_name(feature) for feature in default_dataset(stats).features}
    return known


def _grouped(notes: Iterable[Anomaly]) -> list[str]:
    """One line for all features that were not judged for the same reason."""
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for note in notes:
        by_reason.setdefault((note.split, note.description, note.kind), []).append(note.feature)
    lines = []
    for (split, description, kind), names in by_reason.items():
        more = len(names) - FEATURES_NAMED
        shown = ", ".join(names[:FEATURES_NAMED]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"{NOTE}: {shown} ({split}): {description} [{kind}]")
    return lines


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
