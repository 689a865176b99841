"""Where the platform keeps things on this machine: read once from the environment, at the edge.

project.yaml holds no host, no path of a machine and no secret; these do.

| variable | meaning | default |
| --- | --- | --- |
| `BENISON_HOME` | folder of everything local | nearest `.benison` upward, else `./.benison` |
| `BENISON_PIPELINE_ROOT` | artifacts of the steps | `<home>/pipeline` |
| `BENISON_SERVING_ROOT` | base paths of exported models | `<home>/serving`, one for each store |
| `MLFLOW_TRACKING_URI` | MLflow's store or server | `sqlite:///<home>/mlflow.db` |
| `MLFLOW_RUN_ID`, `MLFLOW_EXPERIMENT_ID` | set by `mlflow run`: the run to log to | none |
| `PREFECT_API_URL` | Prefect's server | an embedded one, for the length of a run |
| `BENISON_TUNING_STORAGE` | SQLAlchemy URL of the Tuner's studies | see docs/tuning.md |
| `BENISON_DEPLOY_BASE_PATH` | where models lie for servers elsewhere (`gcs`, `kubernetes`) | none |
| `BENISON_DEPLOY_HOST` | address that the target `local` listens on | `127.0.0.1` |
| `BENISON_SERVING_TOKEN` | bearer token of model servers, and of those who ask them | none |
| `BENISON_ENGINE`, `BENISON_BEAM_OPTIONS` | where pipelines run: `engines/settings.py` | `local` |
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlproject.engines.settings import LOCAL, EngineSettings, read_engine_settings
from mlproject.errors import ConfigError

HOME_FOLDER = ".benison"


@dataclass(frozen=True)
class Settings:
    """The platform's settings on this machine.

    Attributes:
        home: Folder of everything local (databases, logs, artifacts).
        pipeline_root: Artifacts of the steps, `<step>/<fingerprint>/`.
        serving_root: Base paths of exported models, `<model>/<version>/`.
        tracking_uri: MLflow's tracking URI.
        artifact_root: Where MLflow keeps artifacts, when the store is a local database.
        prefect_api_url: URL of a running Prefect server, or None for the embedded one.
        mlflow_run_id: Run that `mlflow run` has started for this process, or None.
        mlflow_experiment_id: That run's experiment, or None.
        engine: Where statistics, analysis and applying run.
        tuning_storage: SQLAlchemy URL of the Tuner's studies; empty for the default.
    """

    home: Path
    pipeline_root: Path
    serving_root: Path
    tracking_uri: str
    artifact_root: Path
    prefect_api_url: str | None
    mlflow_run_id: str | None = None
    mlflow_experiment_id: str | None = None
    engine: EngineSettings = LOCAL
    tuning_storage: str = ""

    @property
    def tracking_is_local(self) -> bool:
        """True where MLflow's store is a database file on this machine, with no server."""
        return self.tracking_uri.startswith("sqlite:")


def store_id(tracking_uri: str) -> str:
    """A short hash that tells MLflow's stores apart; users and passwords do not count."""
    address = re.sub(r"(?<=://).*@", "", tracking_uri)
    return hashlib.sha256(address.encode()).hexdigest()[:8]


def find_home(start: Path) -> Path:
    """The nearest `.benison` folder from `start` upward, or a new one in `start`."""
    for folder in (start, *start.parents):
        if (folder / HOME_FOLDER).is_dir():
            return folder / HOME_FOLDER
    return start / HOME_FOLDER


def read_settings(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """Reads the settings from the environment; creates nothing.

    Args:
        environ: Variables to read; the process's by default.
        cwd: Folder that relative paths and the search for a home start from.

    Raises:
        ConfigError: A root is a URI of a scheme that this machine cannot write, or the engine's
            settings contradict themselves.
    """
    env = os.environ if environ is None else environ
    here = (cwd or Path.cwd()).resolve()
    home = _local(env, "BENISON_HOME", here, find_home(here))
    own_store = f"sqlite:///{home / 'mlflow.db'}"
    tracking_uri = env.get("MLFLOW_TRACKING_URI") or own_store
    # Version numbers of another registry must not meet under one base path.
    serving = "serving" if tracking_uri == own_store else f"serving-{store_id(tracking_uri)}"
    pipeline_root = _local(env, "BENISON_PIPELINE_ROOT", here, home / "pipeline")
    return Settings(
        home=home,
        pipeline_root=pipeline_root,
        serving_root=_local(env, "BENISON_SERVING_ROOT", here, home / serving),
        tracking_uri=tracking_uri,
        artifact_root=home / "mlartifacts",
        prefect_api_url=env.get("PREFECT_API_URL") or None,
        mlflow_run_id=env.get("MLFLOW_RUN_ID") or None,
        mlflow_experiment_id=env.get("MLFLOW_EXPERIMENT_ID") or None,
        engine=read_engine_settings(env, str(pipeline_root / "engine-temp")),
        tuning_storage=env.get("BENISON_TUNING_STORAGE") or "",
    )


def _local(env: Mapping[str, str], name: str, here: Path, default: Path) -> Path:
    value = env.get(name)
    if not value:
        return default
    if "://" in value and not value.startswith("file://"):
        raise ConfigError(
            f"Reading the setting {name} failed",
            received=value,
            expected="a folder on this machine, or a file:// URI",
            next_step=f"set {name} to a local folder, or leave it out for {default}",
        )
    return here / value.removeprefix("file://")
