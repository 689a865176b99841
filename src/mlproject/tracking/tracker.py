"""Writes runs to MLflow.

Only the client is used, never MLflow's global active run, so that threads and Prefect's tasks
cannot mix runs up.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlproject.errors import TrackingError
from mlproject.record import FIGURES, Record
from mlproject.settings import Settings
from mlproject.tracking.connection import connect, shown_uri, translate_mlflow_errors
from mlproject.tracking.datasets import dataset_inputs
from mlproject.tracking.evaluation_results import log_evaluation, validate_evaluation
from mlproject.tracking.names import ROOT_TAG, TAG, mlflow_key, mlflow_params, mlflow_tags
from mlproject.user import user_name

SYSTEM_METRICS_S = 2.0


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
        self._live: set[tuple[str, str, int]] = set()  # run, metric and step, logged already
        self._live_lost: set[str] = set()  # runs that MLflow took no live metric of
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

        every = {MLFLOW_RUN_NAME: name, MLFLOW_USER: user_name(), **tags}
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
            values = [RunTag(name, value) for name, value in mlflow_tags(tags).items()]
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
        plain = {} if record.predictions else record.metrics  # else MLflow's evaluation logs them
        metrics = [Metric(mlflow_key(name), value, now, 0) for name, value in plain.items()]
        metrics += [
            Metric(mlflow_key(name), value, now, step)
            for name, values in record.curves.items()
            for step, value in enumerate(values)
            if (run_id, mlflow_key(name), step) not in self._live
        ]
        with self._translate("Logging to MLflow"):
            self.client.log_batch(
                run_id,
                metrics=metrics,
                params=mlflow_params(record.params),
                tags=[RunTag(n, v) for n, v in mlflow_tags(record.tags).items()],
            )
            self._log_inputs(run_id, record)
            self._log_evaluation(run_id, folder, record)
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
                self._log_inputs(run_id, record)
                params |= {f"{step}.{n}": v for n, v in record.params.items()}
            self.client.log_batch(run_id, params=mlflow_params(params))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Logs last values of metrics to a run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self._translate("Logging to MLflow"):
            values = [Metric(mlflow_key(name), value, now, 0) for name, value in metrics.items()]
            self.client.log_batch(run_id, metrics=values)

    def log_live(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        """Logs metrics while a step runs; training does not wait for MLflow that is away.

        Args:
            run_id: The run.
            metrics: Metric -> value; what a record repeats at its step is not logged twice.
            step: The epoch, from 0.
        """
        from mlflow.entities import Metric

        if run_id in self._live_lost:
            return
        now = int(time.time() * 1000)
        values = [Metric(mlflow_key(name), value, now, step) for name, value in metrics.items()]
        try:
            with self._translate("Logging to MLflow"):
                self.client.log_batch(run_id, metrics=values)
        except TrackingError:
            self._live_lost.add(run_id)
        else:
            self._live |= {(run_id, metric.key, step) for metric in values}

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Logs parameters of a run."""
        with self._translate("Logging to MLflow"):
            self.client.log_batch(run_id, params=mlflow_params(params))

    @contextlib.contextmanager
    def system_metrics(self, run_id: str) -> Iterator[None]:
        """Logs CPU, memory, disk, network and GPU of this machine to a run, every 2 s."""
        with self._translate("Starting MLflow's system metrics"):
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            monitor = SystemMetricsMonitor(
                run_id,
                sampling_interval=SYSTEM_METRICS_S,
                tracking_uri=self._settings.tracking_uri,
            )
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

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

    def _log_evaluation(self, run_id: str, folder: Path, record: Record) -> None:
        if record.predictions:
            file = folder / record.predictions
            log_evaluation(run_id, record.metrics, file, "eval predictions")
        if record.evaluation:
            tags = validate_evaluation(record.evaluation)
            self.set_tags(run_id, {f"{TAG}{name}": said for name, said in tags.items()})

    def _log_inputs(self, run_id: str, record: Record) -> None:
        inputs = dataset_inputs(record)
        if inputs:
            self.client.log_inputs(run_id, inputs)

    def _translate(self, doing: str) -> Any:
        return translate_mlflow_errors(doing, self._settings)
