"""What an anomaly does to the run: by kind, by feature, or by both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlproject.errors import ConfigError, closest

BLOCK, WARN, IGNORE = "block", "warn", "ignore"
SEVERITIES = (IGNORE, WARN, BLOCK)
NOTE = "note"
"""What could not be judged, where no policy says what that does."""

DRIFT_NOT_JUDGED, SKEW_NOT_JUDGED = "DRIFT_NOT_JUDGED", "SKEW_NOT_JUDGED"
NOT_JUDGED = (DRIFT_NOT_JUDGED, SKEW_NOT_JUDGED)
DATASET_LEVEL = "(dataset)"

Features = Mapping[str, str | Mapping[str, str]]
"""Feature -> a severity for all its anomalies, or kind -> severity."""


@dataclass(frozen=True)
class Policy:
    """Severities; the most special one wins: feature and kind, feature, kind, default.

    What could not be judged is a note, unless a severity names its kind: a severity for the whole
    feature speaks of its anomalies, and a first run has nothing to compare with. `ignore` for the
    whole feature does silence it.

    Attributes:
        default: For what nothing else names.
        kinds: Kind of anomaly -> severity.
        features: Feature -> severity, or kind -> severity.
    """

    default: str = BLOCK
    kinds: Mapping[str, str] = field(default_factory=dict)
    features: Features = field(default_factory=dict)

    def severity(self, feature: str, kind: str) -> str:
        """`block`, `warn`, `ignore` or `note`."""
        own = self.features.get(feature)
        if isinstance(own, Mapping):
            own = own.get(kind)
        elif kind in NOT_JUDGED and own != IGNORE:
            own = None
        return own or self.kinds.get(kind) or (NOTE if kind in NOT_JUDGED else self.default)

    def check(self, known_features: Iterable[str] | None = None) -> None:
        """Checks that it names what exists.

        Args:
            known_features: The features of schema and data; None where they are not known yet.

        Raises:
            ConfigError: A kind, a feature or a severity does not exist; the closest is offered.
        """
        _check_severities("validation", {"default": self.default}, kinds=None)
        kinds = anomaly_kinds()
        _check_severities("validation.policy", self.kinds, kinds)
        known = None if known_features is None else {*known_features, DATASET_LEVEL}
        for name, own in self.features.items():
            if known is not None and name not in known:
                raise _wrong("validation.features", f"unknown feature '{name}'", name, known)
            if isinstance(own, Mapping):
                _check_severities(f"validation.features.{name}", own, kinds)
            else:
                _check_severities("validation.features", {name: own}, kinds=None)


def anomaly_kinds() -> tuple[str, ...]:
    """Every kind of anomaly: those of TensorFlow Metadata, and what could not be judged."""
    from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo

    return (*AnomalyInfo.Type.keys(), *NOT_JUDGED)


def _check_severities(where: str, given: Mapping[str, str], kinds: tuple[str, ...] | None) -> None:
    for name, severity in given.items():
        if kinds is not None and name not in kinds:
            raise _wrong(where, f"unknown kind of anomaly '{name}'", name, kinds)
        if severity not in SEVERITIES:
            raise _wrong(where, f"{name}: {severity}", str(severity), SEVERITIES)


def _wrong(where: str, received: str, name: str, valid: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"Reading `{where}` failed",
        received=received,
        expected=closest(name, valid),
        next_step="mend project.yaml",
    )
