"""Tracking: what MLflow holds afterwards, and what is said when its server is not there."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run

from mlproject.artifacts import ArtifactStore
from mlproject.config import load_project
from mlproject.errors import TrackingError, Transient
from mlproject.execution import start_pipeline_run
from mlproject.plan import make_plan
from mlproject.record import Dataset, Record, figures_folder
from mlproject.registry import Registry
from mlproject.settings import Settings
from mlproject.tracking import (
    ROOT_TAG,
    Tracker,
    code_tags,
    connection,
    first_line,
    git_commit,
    shown_uri,
)
from mlproject.tracking import tracker as tracker_module

TAXI = Path(__file__).parents[2] / "examples" / "taxi"


@pytest.fixture
def tracker(settings: Settings) -> Tracker:
    return Tracker(settings, "taxi")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Failing(BaseHTTPRequestHandler):
    """A server that is healthy, and hangs up on everything else."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self.send_response(200)
            self.end_headers()
        else:
            self.close_connection = True

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def failing_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def logged(tracker: Tracker, folder: Path, record: Record) -> Run:
    folder.mkdir(exist_ok=True)
    record.write(folder)
    run_id = tracker.start_run("step", {})
    tracker.log_record(run_id, folder)
    return tracker.client.get_run(run_id)


def text_of(tracker: Tracker, run: Run, file: str, into: Path) -> str:
    into.mkdir(exist_ok=True)
    path = tracker.client.download_artifacts(run.info.run_id, file, str(into))
    return Path(path).read_text(encoding="utf-8")


def test_the_experiment_is_made_once_with_its_artifacts_under_the_home(
    tracker: Tracker, settings: Settings
) -> None:
    again = Tracker(settings, "taxi")
    assert again.experiment_id == tracker.experiment_id
    experiment = tracker.client.get_experiment(tracker.experiment_id)
    assert experiment.name == "taxi"
    assert experiment.artifact_location == (settings.artifact_root / "taxi").as_uri()
    assert Tracker(settings, "other").experiment_id != tracker.experiment_id


def test_step_runs_nest_under_the_pipelines_run(tracker: Tracker) -> None:
    parent = tracker.start_run("pipeline", {"a": "b"})
    child = tracker.client.get_run(tracker.start_run("train", {"benison.step": "train"}, parent))
    assert child.data.tags["mlflow.parentRunId"] == parent
    assert child.data.tags["benison.step"] == "train"
    assert child.info.run_name == "train"
    top = tracker.client.get_run(parent)
    assert "mlflow.parentRunId" not in top.data.tags
    assert (top.info.status, top.data.tags["a"]) == ("RUNNING", "b")
    assert top.data.tags["mlflow.user"]


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_ends_with_its_status_and_last_tags(status: str, tracker: Tracker) -> None:
    run_id = tracker.start_run("train", {})
    tracker.finish_run(run_id, status, {"benison.error": "x" * 9_000})
    run = tracker.client.get_run(run_id)
    assert run.info.status == status
    assert run.info.end_time
    assert run.data.tags["benison.error"] == "x" * 5_000


def test_params_metrics_tags_and_curves_are_logged(tracker: Tracker, tmp_path: Path) -> None:
    record = Record(
        params={"seed": 42, "hidden_units": [64, 32]},
        metrics={"auc": 0.91},
        curves={"loss": [0.6, 0.5, 0.4], "val_loss": [0.7, 0.6, 0.65]},
        tags={"benison.code": "abc"},
    )
    run = logged(tracker, tmp_path / "artifact", record)
    assert run.data.params == {"seed": "42", "hidden_units": "[64, 32]"}
    assert run.data.metrics == {"auc": 0.91, "loss": 0.4, "val_loss": 0.65}
    assert run.data.tags["benison.code"] == "abc"
    history = tracker.client.get_metric_history(run.info.run_id, "val_loss")
    assert sorted((m.step, m.value) for m in history) == [(0, 0.7), (1, 0.6), (2, 0.65)]


def test_long_records_are_logged_whole(tracker: Tracker, tmp_path: Path) -> None:
    record = Record(
        params={f"p{i}": i for i in range(250)},
        curves={"loss": [float(i) for i in range(1_500)]},
        tags={f"t{i}": "x" for i in range(120)},
    )
    run = logged(tracker, tmp_path / "artifact", record)
    assert len(run.data.params) == 250
    assert len([t for t in run.data.tags if t.startswith("t")]) == 120
    history = tracker.client.get_metric_history(run.info.run_id, "loss")
    assert sorted(m.step for m in history) == list(range(1_500))


def test_a_tag_that_is_too_long_is_cut(tracker: Tracker, tmp_path: Path) -> None:
    run = logged(tracker, tmp_path, Record(tags={"benison.reasons": "why " * 2_000}))
    assert run.data.tags["benison.reasons"] == "why " * 1_250
    tracker.set_tags(run.info.run_id, {"benison.error": "x" * 6_000})
    assert len(tracker.client.get_run(run.info.run_id).data.tags["benison.error"]) == 5_000


def test_names_that_mlflow_does_not_take_are_bent(tracker: Tracker, tmp_path: Path) -> None:
    record = Record(
        params={"rate (base)": 0.1, "a.b/c-d:e f": 1},
        metrics={"precision@0.5": 0.5},
        curves={"auc[micro]": [0.7]},
    )
    run = logged(tracker, tmp_path / "artifact", record)
    assert run.data.params == {"rate _base_": "0.1", "a.b/c-d:e f": "1"}
    assert run.data.metrics == {"precision_0.5": 0.5, "auc_micro_": 0.7}


def test_the_overview_bends_names_and_keeps_every_parameter(
    tracker: Tracker, tmp_path: Path
) -> None:
    many = {f"p{i}": i for i in range(230)}
    odd = {"lr@start": 1, "lr#start": 2, "a//b": 3, "x" * 300: 4, "long": "y" * 9_000}
    for step, params in (("train", odd), ("evaluate", many)):
        (tmp_path / step).mkdir()
        Record(params=params).write(tmp_path / step)
    run_id = tracker.start_run("pipeline", {})
    tracker.log_overview(run_id, {s: tmp_path / s for s in ("train", "evaluate")})
    params = tracker.client.get_run(run_id).data.params
    assert len(params) == 235
    assert params["train.lr_start"] == "1"
    assert params["train.lr_start_2"] == "2"
    assert params["train.a__b"] == "3"
    assert params["train.long"] == "y" * 6_000
    assert params["evaluate.p229"] == "229"
    tracker.log_record(run_id, tmp_path / "train")


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/a", "a//b", "a/", "a/../b", "é@", "./a"])
def test_mlflow_takes_every_name(name: str, tracker: Tracker) -> None:
    run_id = tracker.start_run("step", {})
    tracker.log_metrics(run_id, {name: 1.0})
    assert list(tracker.client.get_run(run_id).data.metrics.values()) == [1.0]


def test_a_deleted_experiment_says_how_to_restore_it(tracker: Tracker, settings: Settings) -> None:
    tracker.client.delete_experiment(tracker.experiment_id)
    with pytest.raises(TrackingError, match="'taxi' is deleted") as caught:
        Tracker(settings, "taxi")
    command = f"mlflow experiments restore --experiment-id {tracker.experiment_id}"
    assert command in str(caught.value.next_step)
    tracker.client.restore_experiment(tracker.experiment_id)
    assert Tracker(settings, "taxi").experiment_id == tracker.experiment_id


def test_tables_and_figures_become_artifacts(tracker: Tracker, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    folder.mkdir()
    (figures_folder(folder) / "verdict.md").write_text("BLESSED", encoding="utf-8")
    rows = [{"slice": "overall", "auc": 0.9}, {"slice": "hour=3", "auc": None}]
    record = Record(tables={"metrics.json": rows, "empty.json": []})
    run = logged(tracker, folder, record)
    files = {f.path for f in tracker.client.list_artifacts(run.info.run_id)}
    assert files == {"metrics.json", "verdict.md"}
    assert text_of(tracker, run, "verdict.md", tmp_path / "got") == "BLESSED"
    table = json.loads(text_of(tracker, run, "metrics.json", tmp_path / "got"))
    assert table == {"columns": ["slice", "auc"], "data": [["overall", 0.9], ["hour=3", None]]}


def test_datasets_are_logged_with_digest_context_and_columns(
    tracker: Tracker, tmp_path: Path
) -> None:
    digest = "0123456789abcdef" * 4
    columns = {"fare": "float", "hour": "int", "company": "string"}
    datasets = (
        Dataset("taxi-train", "file:///data/trips.csv", digest, 1_351, "train", columns),
        Dataset("taxi-eval", "file:///data/trips.csv", "f" * 64, 649, "eval"),
    )
    run = logged(tracker, tmp_path / "artifact", Record(datasets=datasets))
    inputs = {i.dataset.name: i for i in run.inputs.dataset_inputs}
    assert set(inputs) == {"taxi-train", "taxi-eval"}
    train = inputs["taxi-train"].dataset
    assert train.digest == digest[:36]
    assert json.loads(train.source) == {"uri": "file:///data/trips.csv"}
    assert json.loads(train.profile) == {"num_rows": 1_351}
    types = {c["name"]: c["type"] for c in json.loads(train.schema)["mlflow_colspec"]}
    assert types == {"fare": "double", "hour": "long", "company": "string"}
    assert [(t.key, t.value) for t in inputs["taxi-eval"].tags] == [("mlflow.data.context", "eval")]


def test_a_metric_that_is_not_a_number_is_logged(tracker: Tracker, tmp_path: Path) -> None:
    run = logged(tracker, tmp_path / "artifact", Record(metrics={"auc": float("nan"), "rows": 3.0}))
    assert run.data.metrics["rows"] == 3.0
    assert run.data.metrics["auc"] != run.data.metrics["auc"]


def test_runs_of_threads_do_not_mix(tracker: Tracker, tmp_path: Path) -> None:
    def work(index: int) -> tuple[str, Run]:
        parent = tracker.start_run(f"pipeline {index}", {})
        (tmp_path / str(index)).mkdir()
        Record(params={"index": index}).write(tmp_path / str(index))
        child = tracker.start_run("train", {}, parent)
        tracker.log_record(child, tmp_path / str(index))
        return parent, tracker.client.get_run(child)

    with ThreadPoolExecutor(4) as pool:
        for index, (parent, child) in enumerate(pool.map(work, range(4))):
            assert child.data.tags["mlflow.parentRunId"] == parent
            assert child.data.params == {"index": str(index)}


@pytest.mark.parametrize("root", ["pipeline", "o'brien's \"root\""])
def test_runs_of_a_killed_process_are_ended_as_killed(
    root: str, tracker: Tracker, tmp_path: Path
) -> None:
    mine = {ROOT_TAG: str(tmp_path / root)}
    orphan, child = tracker.start_run("pipeline", mine), tracker.start_run("train", mine)
    done = tracker.start_run("done", mine)
    tracker.finish_run(done, "FAILED")
    elsewhere = tracker.start_run("elsewhere", {ROOT_TAG: str(tmp_path / "other")})
    untagged = tracker.start_run("a notebook", {})
    tracker.close_orphans(tmp_path / root)
    runs = (orphan, child, done, elsewhere, untagged)
    statuses = [tracker.client.get_run(run).info.status for run in runs]
    assert statuses == ["KILLED", "KILLED", "FAILED", "RUNNING", "RUNNING"]


def test_runs_of_another_experiment_are_not_ended(settings: Settings, tmp_path: Path) -> None:
    other = Tracker(settings, "other")
    run = other.start_run("pipeline", {ROOT_TAG: str(tmp_path)})
    Tracker(settings, "taxi").close_orphans(tmp_path)
    assert other.client.get_run(run).info.status == "RUNNING"


def test_the_run_of_mlflow_run_is_used(settings: Settings, taxi_examples: Path) -> None:
    outside = Tracker(settings, "of mlflow run")
    given = outside.start_run("main", {})
    settings = replace(settings, mlflow_run_id=given, mlflow_experiment_id=outside.experiment_id)
    tracker = Tracker(settings, "taxi")
    assert tracker.experiment_id == outside.experiment_id
    assert outside.client.get_experiment_by_name("taxi") is None
    project = load_project(TAXI, (str(taxi_examples / "trips.csv"),))
    store = ArtifactStore(settings.pipeline_root)
    plan = make_plan(project, store, Registry(settings), settings.serving_root)
    assert start_pipeline_run(tracker, plan, settings, store.root) == given
    tracker.close_orphans(store.root)
    run = tracker.client.get_run(given)
    assert run.info.status == "RUNNING"
    assert run.data.tags["benison.project"] == "taxi"
    assert run.data.tags[ROOT_TAG] == str(store.root)
    assert "config.json" in {f.path for f in tracker.client.list_artifacts(given)}


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("sqlite:////home/me/mlflow.db", "http://127.0.0.1:5000"),
        ("https://me:secret@mlflow.example/base/?k=v", "https://mlflow.example/base"),
    ],
)
def test_a_link_leads_to_the_run(
    uri: str, base: str, tracker: Tracker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "_settings", replace(settings, tracking_uri=uri))
    link = tracker.run_link("abc").partition("?")[0]
    assert link == f"{base}/#/experiments/{tracker.experiment_id}/runs/abc"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://me:secret@localhost:5000/base", "http://localhost:5000/base"),
        ("https://localhost/base?token=secret", "https://localhost/base"),
        ("https://token-secret@localhost", "https://localhost"),
        ("http://me:s/ec?re#t@here@localhost:5000", "http://localhost:5000"),
        ("postgresql+psycopg2://me:secret@db/mlflow?sslmode=on", "postgresql+psycopg2://db/mlflow"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
    ],
)
def test_a_shown_uri_holds_no_secret(uri: str, shown: str) -> None:
    assert shown_uri(uri) == shown


@pytest.mark.parametrize("password", ["secret", "se/cret", "s?ec@ret"])
def test_an_error_is_told_in_one_line_without_secrets(password: str, settings: Settings) -> None:
    uri = f"http://me:{password}@localhost:5000/"
    err = OSError(f"\nAPI request to {uri}api?token=hush failed\nsecond line")
    told = first_line(err, replace(settings, tracking_uri=uri))
    assert told == "API request to http://localhost:5000/api failed"


def test_a_server_that_is_down_is_told_within_seconds_without_its_credentials(
    closed_port: int, settings: Settings
) -> None:
    address = f"127.0.0.1:{closed_port}"
    settings = replace(settings, tracking_uri=f"http://me:secret@{address}/base?token=hush")
    began = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        Tracker(settings, "taxi")
    assert time.monotonic() - began < 15
    message = str(caught.value)
    assert f"http://{address}/base" in message
    assert "ConnectionError" in message
    assert not [part for part in ("me:", "secret", "token", "hush") if part in message]
    assert isinstance(caught.value, Transient)


def test_a_server_that_never_answers_is_told_within_seconds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 3 * connection.PING_TIMEOUT_S + 1 + 2 <= 15  # three tries, and the waits between them
    monkeypatch.setattr(connection, "PING_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(TrackingError, match="ReadTimeout"):
            Tracker(replace(settings, tracking_uri=f"http://127.0.0.1:{port}"), "taxi")
    assert time.monotonic() - began < 6


def test_a_server_that_fails_later_is_one_error_without_credentials(
    failing_port: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://me:secret@127.0.0.1:{failing_port}"
    with pytest.raises(TrackingError) as caught:
        Tracker(replace(settings, tracking_uri=uri), "taxi")
    assert isinstance(caught.value, Transient)
    message = str(caught.value)
    assert "Opening the MLflow experiment failed" in message
    assert f"http://127.0.0.1:{failing_port}/api/2.0/mlflow" in message
    assert "secret" not in message
    assert "me:" not in message


@pytest.mark.parametrize("problem", ["no database", "a folder in the way", "no driver"])
def test_a_store_that_cannot_be_opened_is_a_tracking_error(
    problem: str, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("this is no database, and it is long enough to tell\n" * 9)
    uris = {
        "no database": f"sqlite:///{tmp_path / 'file'}",
        "a folder in the way": f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}",
        "no driver": "mysql+nothing://me:secret@127.0.0.1/mlflow",
    }
    with pytest.raises(TrackingError, match="Opening MLflow's store failed") as caught:
        Tracker(replace(settings, tracking_uri=uris[problem]), "taxi")
    assert "secret" not in str(caught.value)


def test_the_git_commit_of_a_folder_is_told(tmp_path: Path) -> None:
    def git(*args: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        command = ["git", *identity, "-C", str(tmp_path), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert git_commit(tmp_path) is None
    assert "mlflow.source.git.commit" not in code_tags(tmp_path)
    git("init")
    (tmp_path / "taxi.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    assert code_tags(tmp_path)["mlflow.source.git.commit"] == commit
    (tmp_path / "taxi.py").write_text("2")
    assert git_commit(tmp_path) == f"{commit}-dirty"


def test_live_metrics_are_logged_at_once_and_not_again_with_the_record(
    settings: Settings, tmp_path: Path
) -> None:
    tracker = Tracker(settings, "live")
    run_id = tracker.start_run("train", {})
    tracker.log_live(run_id, {"loss": 0.5}, 0)
    assert [m.value for m in tracker.client.get_metric_history(run_id, "loss")] == [0.5]
    Record(curves={"loss": [0.5, 0.25]}).write(tmp_path)
    tracker.log_record(run_id, tmp_path)
    history = tracker.client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 0.5), (1, 0.25)]


def test_live_metrics_that_mlflow_does_not_take_come_with_the_record(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker(settings, "live")
    run_id = tracker.start_run("train", {})

    def gone(*_: object, **__: object) -> None:
        raise OSError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(tracker.client, "log_batch", gone)
        tracker.log_live(run_id, {"loss": 0.5}, 0)
    tracker.log_live(run_id, {"loss": 0.25}, 1)  # no second try: training does not wait for it
    assert tracker.client.get_metric_history(run_id, "loss") == []
    Record(curves={"loss": [0.5, 0.25]}).write(tmp_path)
    tracker.log_record(run_id, tmp_path)
    assert len(tracker.client.get_metric_history(run_id, "loss")) == 2


def test_the_machine_s_metrics_are_logged_to_the_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "SYSTEM_METRICS_S", 0.2)
    tracker = Tracker(settings, "system")
    run_id = tracker.start_run("train", {})
    with tracker.system_metrics(run_id):
        time.sleep(1.5)
    metrics = tracker.client.get_run(run_id).data.metrics
    assert metrics["system/cpu_utilization_percentage"] >= 0
    assert metrics["system/system_memory_usage_megabytes"] > 0


def write_predictions(folder: Path, candidate: pa.Array) -> None:
    labels = pa.array([0, 1, 1, 0], pa.int8())
    pq.write_table(pa.table({"label": labels, "candidate": candidate}), folder / "p.parquet")


@pytest.mark.parametrize(
    "candidate",
    [
        pa.array([0.1, 0.9, 0.8, 0.3], pa.float32()),
        pa.FixedSizeListArray.from_arrays(pa.array([0.9, 0.1] * 4, pa.float32()), 2),
    ],
    ids=["binary", "multiclass"],
)
def test_metrics_are_logged_by_mlflow_s_evaluation_with_the_predictions_as_dataset(
    settings: Settings, tmp_path: Path, candidate: pa.Array
) -> None:
    write_predictions(tmp_path, candidate)
    Record(metrics={"auc": 0.75, "auc_low": 0.5}, predictions="p.parquet").write(tmp_path)
    tracker = Tracker(settings, "evaluation")
    run_id = tracker.start_run("evaluate", {})
    tracker.log_record(run_id, tmp_path)
    tracker.finish_run(run_id, "FINISHED")
    run = tracker.client.get_run(run_id)
    assert run.data.metrics == {"auc": 0.75, "auc_low": 0.5}
    assert len(tracker.client.get_metric_history(run_id, "auc")) == 1
    assert [i.dataset.name for i in run.inputs.dataset_inputs] == ["eval predictions"]
    assert mlflow.active_run() is None


@pytest.mark.parametrize(
    ("auc", "said"), [(0.95, "passed (auc)"), (0.85, "failed: Metric auc"), (None, "no threshold")]
)
def test_mlflow_validates_the_thresholds_that_it_can_state(
    settings: Settings, tmp_path: Path, auc: float | None, said: str
) -> None:
    bound = {"auc": {"threshold": 0.9, "greater_is_better": True}} if auc else {}
    evaluation = {
        "candidate": {"auc": auc} if auc else {},
        "baseline": None,
        "thresholds": bound,
        "not_mapped": ["auc max_loss 0.003 on overall: MLflow allows no loss"],
    }
    Record(evaluation=evaluation).write(tmp_path)
    tracker = Tracker(settings, "evaluation")
    run_id = tracker.start_run("bless", {})
    tracker.log_record(run_id, tmp_path)
    tags = tracker.client.get_run(run_id).data.tags
    assert tags["benison.mlflow_validation"].startswith(said)
    assert "MLflow allows no loss" in tags["benison.not_stated_to_mlflow"]
