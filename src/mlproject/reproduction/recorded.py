"""What a model version was made of, read back from its tags, its evidence and its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlproject.errors import RegistryError
from mlproject.examples.spans import Span
from mlproject.registry import (
    BASE_TAG,
    CODE,
    CONFIG_FILE,
    GIT_COMMIT_TAG,
    MODULE_DIGEST_TAG,
    RUN_TAG,
    SOURCE_DIGEST_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
    TRAIN_RUN_TAG,
    Registry,
    VersionInfo,
)
from mlproject.registry.evidence import fetch_evidence
from mlproject.reproduction.environment import read_environment
from mlproject.reproduction.hyperparameters import recorded_hyperparameters
from mlproject.settings import Settings
from mlproject.tracking import FINGERPRINT_TAG
from mlproject.tracking.past_run import PastRun, read_run
from mlproject.user_module import read_module

STEPS = ("ingest", "statistics", "schema", "validate", "transform", "train", "evaluate")
NEEDED_TAGS = (SOURCE_DIGEST_TAG, MODULE_DIGEST_TAG, TRAIN_RUN_TAG)
METRICS = "metrics.parquet"
# Steps whose fingerprint has nothing of a champion or an earlier run in it; what was tuned is one.
_JUDGED_STEPS = ("ingest", "statistics", "schema", "transform", "train")


@dataclass(frozen=True)
class Recorded:
    """What a version was made of.

    Attributes:
        version: The version.
        base: The version that its training began with, or None.
        config: The whole configuration of its run, as JSON values.
        evidence: The folder of its evidence, fetched.
        source_uri: Where its rows were, in words.
        folder: The project's folder at the time; empty where that is not recorded.
        hyperparameters: Those it was trained with, the Tuner's among them.
        environment: Of its training; empty where that is not recorded.
        fingerprints: Step -> the fingerprint of its artifact; of the steps that say one.
    """

    version: VersionInfo
    base: VersionInfo | None
    config: Mapping[str, Any]
    evidence: Path
    source_uri: str
    folder: str
    hyperparameters: Mapping[str, Any]
    environment: Mapping[str, str]
    fingerprints: Mapping[str, str]

    @property
    def source_digest(self) -> str:
        """Digest of the raw data."""
        return self.version.tags[SOURCE_DIGEST_TAG]

    @property
    def commit(self) -> str:
        """The git commit, `-dirty` behind it where there were changes; empty outside git."""
        return self.version.tags.get(GIT_COMMIT_TAG, "")

    @property
    def code(self) -> Path:
        """The project's files that are kept with the version, by their path in its folder."""
        return self.evidence / CODE

    @property
    def span(self) -> str:
        """The newest span of the data, as `data.span` takes it; empty where it has none."""
        spans = _json(self.version.tags.get(SPANS_TAG, ""), [])
        try:
            number, _, dated = spans[-1]
            return str(Span(int(number), dated=bool(dated)))
        except (IndexError, KeyError, TypeError, ValueError):
            return ""


def read_recorded(
    settings: Settings, registry: Registry, version: VersionInfo, into: Path
) -> Recorded:
    """Reads everything that a reproduction needs.

    Args:
        settings: The platform's settings.
        registry: The registry of the version.
        version: The version.
        into: An existing folder, for the evidence.

    Raises:
        RegistryError: Something that is needed is not there; all of it is named.
        TrackingError: MLflow does not answer.
    """
    missing = [f"the tag {tag}" for tag in NEEDED_TAGS if not version.tags.get(tag)]
    evidence = fetch_evidence(settings, registry, version, into)
    config: Mapping[str, Any] = {}
    if evidence is None:
        missing.append("the folder evidence/")
    else:
        config = _config(evidence / CONFIG_FILE)
        missing += _missing_files(evidence, config)
    base_name = version.tags.get(BASE_TAG, "")
    base = registry.version(version.name, int(base_name)) if base_name.isdecimal() else None
    if base_name and base is None:
        missing.append(f"version {base_name}, whose weights its training began with")
    training = read_run(settings, version.tags.get(TRAIN_RUN_TAG))
    if config.get("tuning") and training is None:
        missing.append("the run of its training in MLflow, which holds what was tuned")
    if missing or evidence is None:
        raise _irreproducible(version, missing)
    if _module_digest(evidence, config) != version.tags[MODULE_DIGEST_TAG]:
        raise RegistryError(
            f"Reproducing version {version.version} of '{version.name}' failed",
            received="a module file among its evidence that is not the one it was made with",
            expected=f"digest {version.tags[MODULE_DIGEST_TAG]}",
            next_step="restore MLflow's artifact store",
        )
    training = training or PastRun()
    made = read_run(settings, version.run_id) or PastRun()
    return Recorded(
        version=version,
        base=base,
        config=config,
        evidence=evidence,
        source_uri=_uris(version.tags.get(SOURCE_URI_TAG, "")),
        folder=made.tags.get("mlflow.source.name", ""),
        hyperparameters=recorded_hyperparameters(config, training.params),
        environment=read_environment(training.tags),
        fingerprints=_fingerprints(settings, version, config),
    )


def code_name(config: Mapping[str, Any], name: str) -> str:
    """Where a file that project.yaml names lies below `evidence/code/`.

    Args:
        config: The configuration.
        name: The file, relative to the project's folder or absolute. One outside of the folder
            was kept under its name alone.
    """
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts
    return path.name if outside else str(path)


def _config(file: Path) -> Mapping[str, Any]:
    try:
        found = _json(file.read_text(encoding="utf-8"), {})
    except (OSError, UnicodeDecodeError):
        return {}
    complete = isinstance(found, dict) and isinstance(found.get("training"), dict)
    return found if complete and isinstance(found.get("module"), str) else {}


def _missing_files(evidence: Path, config: Mapping[str, Any]) -> list[str]:
    if not config:
        return [f"evidence/{CONFIG_FILE}, or a configuration in it"]
    needed = [
        METRICS,
        *(f"{CODE}/{code_name(config, name)}" for name in files_named(config)),
    ]
    return [f"evidence/{name}" for name in needed if not (evidence / name).is_file()]


def files_named(config: Mapping[str, Any]) -> list[str]:
    """The files of the project that its configuration names and its evidence holds."""
    schema = (config.get("schema") or {}).get("path")
    cases = (config.get("evaluation") or {}).get("cases")
    return [config["module"], *(name for name in (schema, cases) if name)]


def _module_digest(evidence: Path, config: Mapping[str, Any]) -> str:
    return read_module(evidence / CODE / code_name(config, config["module"])).digest


def _fingerprints(
    settings: Settings, version: VersionInfo, config: Mapping[str, Any]
) -> dict[str, str]:
    found = {}
    judged = (step for step in _JUDGED_STEPS if step != "train" or not config.get("tuning"))
    for step in judged:
        run = read_run(settings, version.tags.get(f"{RUN_TAG}{step}"))
        if run is not None and run.tags.get(FINGERPRINT_TAG):
            found[step] = run.tags[FINGERPRINT_TAG]
    return found


def _irreproducible(version: VersionInfo, missing: list[str]) -> RegistryError:
    return RegistryError(
        f"Version {version.version} of '{version.name}' cannot be reproduced: what it was made of "
        "is not recorded, or no longer there",
        received="without " + "; ".join(missing),
        expected="a version registered by this platform, with its evidence and the runs it names",
        next_step="train a new version with `benison train PROJECT`, or restore MLflow's store",
    )


def _uris(text: str) -> str:
    found = _json(text, {})
    uris = found.values() if isinstance(found, dict) else ()
    return ", ".join(dict.fromkeys(map(str, uris))) or "not recorded"


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
