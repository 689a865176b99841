"""MLflow tracking: one run for a pipeline, one nested run for each step.

Only the client is used, never MLflow's global active run, so that threads and Prefect's tasks
cannot mix runs up. Every failure leaves here as a TrackingError: TrackingUnavailable where a retry
can help.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import posixpath
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import TrackingError, TrackingUnavailable
from mlproject.record import FIGURES, Record
from mlproject.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Param

# MLflow's error codes for what it will refuse again.
_REFUSALS = frozenset(
    {
        "BAD_REQUEST",
        "ENDPOINT_NOT_FOUND",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "NOT_IMPLEMENTED",
        "PERMISSION_DENIED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)
PING_TIMEOUT_S = 4.0
MAX_KEY_CHARS, MAX_PARAM_CHARS = 250, 6_000  # MLflow's limits
TAG = "benison."
STEP_TAG, FINGERPRINT_TAG = f"{TAG}step", f"{TAG}fingerprint"
ROOT_TAG = f"{TAG}pipeline_root"


def quiet_environment() -> dict[str, str]:
    """Settings that keep MLflow offline and its failures short; the user's own win."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def connect(settings: Settings) -> MlflowClient:
    """A client of the tracking store that answered.

    Raises:
        TrackingError: The server does not answer, or the store cannot be opened.
    """
    for name, value in quiet_environment().items():
        os.environ.setdefault(name, value)
    if settings.tracking_uri.startswith(("http://", "https://")):
        _ping(settings.tracking_uri)
    elif settings.tracking_is_local:
        settings.home.mkdir(parents=True, exist_ok=True)
    with translate_mlflow_errors("Opening MLflow's store", settings):
        from mlflow import MlflowClient, set_registry_uri, set_tracking_uri

        # Code that MLflow runs by itself (model loading, artifact download) reads the globals.
        set_tracking_uri(settings.tracking_uri)
        set_registry_uri(settings.tracking_uri)
        return MlflowClient(settings.tracking_uri, settings.tracking_uri)


@contextmanager
def translate_mlflow_errors(doing: str, settings: Settings) -> Iterator[None]:
    """Turns what MLflow, its HTTP client and its database raise into one TrackingError."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ModuleNotFoundError) as err:
        shown = shown_uri(settings.tracking_uri)
        received = f"{shown}: {first_line(err, settings)[:300]}"
        if _is_refusal(err):
            raise TrackingError(
                f"{doing} failed: MLflow refused it",
                received=received,
                next_step="see what MLflow says; another try will not help",
            ) from err
        raise TrackingUnavailable(
            f"{doing} failed",
            received=received,
            expected="a tracking server or store that answers",
            next_step="check MLFLOW_TRACKING_URI and the server, then run again: finished steps "
            "are kept",
        ) from err


def _is_refusal(err: Exception) -> bool:
    """True where MLflow answered and said no, so that a retry cannot help."""
    return (
        isinstance(err, ModuleNotFoundError)
        or getattr(err, "error_code", "") in _REFUSALS
        or 400 <= getattr(getattr(err, "response", None), "status_code", 0) < 429
    )


def shown_uri(uri: str) -> str:
    """A URI without the user, password and query that may stand in it."""
    # Up to the last @, since a password may hold any character; `sqlite:///...` has no user.
    return re.sub(r"^([\w+.-]+://)(?!/).*@", r"\1", uri).partition("?")[0]


def first_line(err: Exception, settings: Settings) -> str:
    """The first line of an error's text; MLflow puts whole URLs there, so without their secrets."""
    line = (str(err).strip().splitlines() or [""])[0]
    uri = settings.tracking_uri.rstrip("/")
    line = re.sub(r"(?<=://)[^\s/?#'\"]*@", "", line.replace(uri, shown_uri(uri)))
    return re.sub(r"(\w://[^\s?'\"]*)\?[^\s'\"]*", r"\1", line)


class Tracker:
    """Writes runs to MLflow.

    Args:
        settings: The platform's settings.
        experiment: The experiment's name; made if it does not exist.

    Raises:
        TrackingError: MLflow does not answer, or the experiment is deleted.
    """

    def __init__(self, settings: Settings, experiment: str) -> None:
        self._settings = settings
        self.client = connect(settings)
        if settings.mlflow_experiment_id:
            self.experiment_id = settings.mlflow_experiment_id
            return
        with self._translate("Opening the MLflow experiment"):
            found = self.client.get_experiment_by_name(experiment)
            if found is not None and found.lifecycle_stage == "deleted":
                raise TrackingError(
                    f"The MLflow experiment '{experiment}' is deleted",
                    received=f"experiment {found.experiment_id}, deleted and not yet gone",
                    expected="an active experiment, or none of that name",
                    next_step="`mlflow experiments restore --experiment-id "
                    f"{found.experiment_id}` with MLFLOW_TRACKING_URI="
                    f"{shown_uri(settings.tracking_uri)}",
                )
            if found is not None:
                self.experiment_id = found.experiment_id
            else:
                location = (
                    settings.artifact_root / experiment if settings.tracking_is_local else None
                )
                self.experiment_id = self.client.create_experiment(
                    experiment, artifact_location=location.as_uri() if location else None
                )

    def start_run(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        """Starts a run.

        Args:
            name: The run's name.
            tags: Tags of the run.
            parent: The parent's run id; None for a run at the top.

        Returns:
            The run's id.
        """
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_USER

        every = {MLFLOW_RUN_NAME: name, MLFLOW_USER: _user(), **tags}
        if parent:
            every[MLFLOW_PARENT_RUN_ID] = parent
        with self._translate("Starting an MLflow run"):
            run = self.client.create_run(self.experiment_id, tags=every)
            return str(run.info.run_id)

    def finish_run(self, run_id: str, status: str, tags: Mapping[str, str] | None = None) -> None:
        """Ends a run as `FINISHED`, `FAILED` or `KILLED`, with last tags."""
        with self._translate("Ending an MLflow run"):
            if tags:
                self.set_tags(run_id, tags)
            self.client.set_terminated(run_id, status)

    def fail_run(self, run_id: str, err: BaseException) -> None:
        """Ends a run as `FAILED`, or `KILLED` where a person or a signal ended it.

        MLflow that is gone, too, must not hide the error that is on its way up.
        """
        status = "FAILED" if isinstance(err, Exception) else "KILLED"
        with contextlib.suppress(TrackingError):
            self.finish_run(run_id, status, {f"{TAG}error": f"{type(err).__name__}: {err}"})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of a run."""
        from mlflow.entities import RunTag

        with self._translate("Tagging an MLflow run"):
            values = [RunTag(name, str(value)[:5000]) for name, value in tags.items()]
            self.client.log_batch(run_id, tags=values)

    def log_record(self, run_id: str, folder: Path) -> None:
        """Logs an artifact's record and figures to a run.

        Args:
            run_id: The run.
            folder: The artifact's folder.
        """
        from mlflow.entities import Metric, RunTag

        record = Record.read(folder)
        now = int(time.time() * 1000)
        metrics = [Metric(_key(name), value, now, 0) for name, value in record.metrics.items()]
        metrics += [
            Metric(_key(name), value, now, step)
            for name, values in record.curves.items()
            for step, value in enumerate(values)
        ]
        with self._translate("Logging to MLflow"):
            self.client.log_batch(
                run_id,
                metrics=metrics,
                params=_params(record.params),
                tags=[RunTag(n, str(v)[:5000]) for n, v in record.tags.items()],
            )
            self._log_datasets(run_id, record)
            for name, rows in record.tables.items():
                if rows:
                    columns = {c: [row[c] for row in rows] for c in rows[0]}
                    self.client.log_table(run_id, columns, artifact_file=name)
            if (folder / FIGURES).is_dir():
                self.client.log_artifacts(run_id, str(folder / FIGURES))

    def log_overview(self, run_id: str, folders: Mapping[str, Path]) -> None:
        """Logs to a pipeline's run what its steps say: datasets, and parameters by step.

        Args:
            run_id: The pipeline's run.
            folders: Step -> its artifact's folder, also where the step was cached.
        """
        params: dict[str, Any] = {}
        with self._translate("Logging to MLflow"):
            for step, folder in folders.items():
                record = Record.read(folder)
                self._log_datasets(run_id, record)
                params |= {f"{step}.{n}": v for n, v in record.params.items()}
            self.client.log_batch(run_id, params=_params(params))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Logs last values of metrics to a run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self._translate("Logging to MLflow"):
            values = [Metric(_key(name), value, now, 0) for name, value in metrics.items()]
            self.client.log_batch(run_id, metrics=values)

    def log_text(self, run_id: str, text: str, file: str) -> None:
        """Logs a text as an artifact of a run."""
        with self._translate("Logging to MLflow"):
            self.client.log_text(run_id, text, file)

    def close_orphans(self, pipeline_root: Path) -> None:
        """Ends the runs that a killed process left `RUNNING` on this pipeline root.

        Call it while the pipeline root is locked: then no live run can be among them.
        """
        with self._translate("Looking for runs of a killed process"):
            running = self.client.search_runs(
                [self.experiment_id], "attributes.status = 'RUNNING'", max_results=10_000
            )
            for run in running:  # compared here: MLflow's filters cannot hold a path with a quote
                own = run.info.run_id == self._settings.mlflow_run_id
                if run.data.tags.get(ROOT_TAG) == str(pipeline_root) and not own:
                    self.client.set_terminated(run.info.run_id, "KILLED")

    def run_link(self, run_id: str) -> str:
        """Where to look at a run: a URL of the server, or of `benison ui` for a local store."""
        base = shown_uri(self._settings.tracking_uri)
        if not base.startswith("http"):
            base = "http://127.0.0.1:5000"
        path = f"#/experiments/{self.experiment_id}/runs/{run_id}?workflowType=machine_learning"
        return f"{base.rstrip('/')}/{path}"

    def _log_datasets(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        inputs = [
            DatasetInput(
                Dataset(
                    name=item.name,
                    digest=item.digest[:36],
                    source_type=_source_type(item.uri),
                    source=json.dumps({"uri": item.uri}),
                    schema=json.dumps(
                        {
                            "mlflow_colspec": [
                                {"name": n, "required": False, **_mlflow_type(t)}
                                for n, t in item.columns.items()
                            ]
                        }
                    ),
                    profile=json.dumps({"num_rows": item.rows}),
                ),
                [InputTag(MLFLOW_DATASET_CONTEXT, item.context)],
            )
            for item in record.datasets
        ]
        if inputs:
            self.client.log_inputs(run_id, inputs)

    def _translate(self, doing: str) -> Any:
        return translate_mlflow_errors(doing, self._settings)


_MLFLOW_TYPES = {"int": "long", "float": "double", "string": "string", "bytes": "binary"}


def _mlflow_type(column_type: str) -> dict[str, Any]:
    """A column's type as MLflow writes it in a data set's schema."""
    scalar = _MLFLOW_TYPES[column_type.removesuffix(" list")]
    if column_type.endswith(" list"):
        return {"type": "array", "items": {"type": scalar}}
    return {"type": scalar}


def _source_type(uri: str) -> str:
    """Where a data set lies, in MLflow's words: `local`, `gs`, or the kind of the database."""
    scheme = uri.partition("://")[0]
    return "local" if scheme == "file" else scheme.partition("+")[0]


def code_tags(folder: Path) -> dict[str, str]:
    """Tags that say which code ran: the platform's version, and the project's git commit."""
    from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE

    tags = {
        f"{TAG}version": version("benison"),
        MLFLOW_SOURCE_NAME: str(folder),
        MLFLOW_SOURCE_TYPE: "PROJECT",
    }
    commit = git_commit(folder)
    if commit:
        tags[MLFLOW_GIT_COMMIT] = commit
    return tags


def git_commit(folder: Path) -> str | None:
    """The git commit of a folder, with `-dirty` if it has changes; None outside git."""

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-dirty" if git("status", "--porcelain", "--", ".") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _key(name: str) -> str:
    """A name of a user's metric or hyperparameter, bent to what MLflow takes."""
    key = re.sub(r"[^\w\-. :/]", "_", name)[:MAX_KEY_CHARS] or "_"
    # MLflow makes file names of them: no `a//b`, `../a` or `/a`.
    odd = posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == "."
    return re.sub(r"^\.+", "_", key.replace("/", "_")) if odd else key


def _params(values: Mapping[str, Any]) -> list[Param]:
    """Parameters as MLflow takes them; names that are bent to the same one get a number."""
    from mlflow.entities import Param

    params: dict[str, Param] = {}
    for name, value in values.items():
        key, number = _key(name), 1
        while key in params:
            number += 1
            key = f"{_key(name)[: MAX_KEY_CHARS - 9]}_{number}"
        params[key] = Param(key, str(value)[:MAX_PARAM_CHARS])
    return list(params.values())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _ping(uri: str) -> None:
    """Asks a server's health three times within seconds; a client alone would wait for minutes."""
    from urllib.parse import urlsplit

    import requests

    session = requests.Session()
    # No proxy of the environment stands between this machine and itself.
    session.trust_env = urlsplit(uri).hostname not in ("127.0.0.1", "localhost", "::1")
    problem = ""
    for attempt in range(3):
        if attempt:
            time.sleep(attempt)
        try:
            answer = session.get(f"{uri.rstrip('/')}/health", timeout=PING_TIMEOUT_S)
            if answer.ok:
                return
            problem = f"HTTP {answer.status_code}"
        except requests.RequestException as err:
            problem = type(err).__name__
    raise TrackingUnavailable(
        "The MLflow server does not answer",
        received=f"{shown_uri(uri)}: {problem}",
        expected="an MLflow tracking server at MLFLOW_TRACKING_URI",
        next_step="start it (`benison ui` runs one), or unset MLFLOW_TRACKING_URI to use the local "
        "store",
    )
