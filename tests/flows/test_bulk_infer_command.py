"""`benison bulk-infer` on a registered model, in this process."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.flows.trips import trips_home

from flows.cli import main
from mlproject.settings import Settings

TRIPS = "fare;rank;zip;code\n1.5;3;00501;007\nNA;;60601;\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def settings(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with the model `trips`."""
    with trips_home(empty_store, tmp_path_factory.mktemp("trips")) as found:
        yield found


@pytest.fixture
def run(settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `bulk-infer` with `--out out`: the exit code, standard output and error."""

    def call(*words: str, out: Path | None = None) -> tuple[int, str, str]:
        code = main(["bulk-infer", *words, "--out", str(out or tmp_path / "out")])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    path = tmp_path / "trips.csv"
    path.write_text(TRIPS, encoding="utf-8")
    return path


def last_run(settings: Settings) -> object:
    from mlproject.tracking import connect

    client = connect(settings)
    experiment = client.get_experiment_by_name("trips")
    found = client.search_runs([experiment.experiment_id], "attributes.run_name = 'bulk-infer'")
    return found[0]


def test_files_are_read_as_in_training_and_the_run_is_recorded(
    run: Run, settings: Settings, trips: Path, tmp_path: Path
) -> None:
    from mlproject.tracking import connect

    code, out, err = run("trips/1", str(trips), "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["model"], told["rows"], told["written"]) == ("trips/1", 2, 2)
    assert "trips/1: 1 file" in err
    assert pq.read_table(tmp_path / "out" / "part-00000.parquet").to_pylist() == [
        {"fare": 1.5, "rank": 3, "zip": "00501", "code": "007", "label": "00501/3", "score": 1.5},
        {
            **{"fare": None, "rank": None, "zip": "60601", "code": None},
            **{"label": f"60601/{-(2**63)}", "score": -1.0},
        },
    ]
    recorded = last_run(settings)
    assert recorded.info.status == "FINISHED"
    assert recorded.data.params == {
        **{"registered_model": "trips", "model_version": "1", "signature_name": "serving_default"},
        **{"sources": str(trips), "predictions": str(tmp_path / "out")},
    }
    assert recorded.data.metrics["rows"] == 2
    assert recorded.data.metrics["rows_per_s"] > 0
    assert recorded.data.metrics["seconds"] > 0
    artifacts = connect(settings).list_artifacts(recorded.info.run_id)
    assert [artifact.path for artifact in artifacts] == ["manifest.json"]
    code, out, _ = run("trips/1", str(trips))
    assert code == 0
    assert "Kept     1 part that an earlier run wrote" in out


def test_the_command_line_wins_over_the_training(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "trips.txt"
    path.write_text("fare\trank\tzip\nnone\t1\t2\n", encoding="utf-8")
    words = ["--format", "csv", "--delimiter", "\\t", "--null-values", "none,-", "--keep", "none"]
    code, _, err = run("trips/1", str(path), *words)
    assert code == 0, err
    (row,) = pq.read_table(tmp_path / "out" / "part-00000.parquet").to_pylist()
    assert row == {"label": "2/1", "score": -1.0}


def test_a_run_that_fails_is_recorded_as_failed(
    run: Run, settings: Settings, trips: Path, tmp_path: Path
) -> None:
    trips.write_text("rank;zip\n1;2\n", encoding="utf-8")
    code, _, err = run("trips/1", str(trips))
    assert code == 1
    assert "no 'fare'" in err
    recorded = last_run(settings)
    assert recorded.info.status == "FAILED"
    assert "no 'fare'" in recorded.data.tags["benison.error"]
    code, _, _ = run("trips/1", str(trips), "--allow-missing", "--replace")
    assert code == 0


def test_a_killed_run_on_the_same_folder_does_not_stay_running(
    run: Run, settings: Settings, trips: Path, tmp_path: Path
) -> None:
    from mlproject.tracking import ROOT_TAG, Tracker

    tracker = Tracker(settings, "trips")
    killed = tracker.start_run("killed", {ROOT_TAG: str(tmp_path / "out")})
    elsewhere = tracker.start_run("elsewhere", {ROOT_TAG: str(tmp_path / "other")})
    assert run("trips/1", str(trips))[0] == 0
    ends = [tracker.client.get_run(run_id).info.status for run_id in (killed, elsewhere)]
    tracker.finish_run(elsewhere, "FINISHED")
    assert ends == ["KILLED", "RUNNING"]


def test_the_run_that_mlflow_run_began_is_used_and_left_open(
    run: Run, settings: Settings, trips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlproject.tracking import Tracker

    tracker = Tracker(settings, "trips")
    run_id = tracker.start_run("mlflow run", {})
    for name in ("model", "source", "out", "signature", "keep"):
        tracker.client.log_param(run_id, name, "as given")  # to the entry point, in MLproject
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    code, _, err = run("trips/1", str(trips))
    assert code == 0, err
    found = tracker.client.get_run(run_id)
    tracker.finish_run(run_id, "FINISHED")
    assert found.info.status == "RUNNING"
    assert found.data.metrics["rows"] == 2


def test_an_unblessed_version_needs_to_be_asked_for(run: Run, trips: Path, tmp_path: Path) -> None:
    code, _, err = run("trips/2", str(trips))
    assert code == 1
    assert "BLESSED" in err
    assert not (tmp_path / "out").exists()
    assert run("trips/2", str(trips), "--unblessed")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--delimiter", ";;"], "--delimiter"),
        (["--batch-rows", "0"], "--batch-rows"),
    ],
)
def test_wrong_options_are_exit_code_2(run: Run, trips: Path, words: list[str], said: str) -> None:
    code, _, err = run("trips/1", str(trips), *words)
    assert code == 2
    assert said in err


def test_files_in_a_bucket_are_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("gcp_storage_emulator", reason="install gcp-storage-emulator")
    from gcp_storage_emulator.server import create_server
    from google.cloud import storage

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    try:
        bucket = storage.Client().create_bucket("trips")
        for day in (1, 2):
            bucket.blob(f"2026/{day}.csv").upload_from_string(TRIPS)
        code, _, err = run("trips/1", "gs://trips/2026/*.csv")
        assert code == 0, err
        bucket.blob("2026/2.csv").upload_from_string(TRIPS.replace("1.5", "8.5"))
        code, out, err = run("trips/1", "gs://trips/2026/*.csv")
    finally:
        server.stop()
    assert code == 0, err
    assert "Kept     1 part" in out
    parts = sorted((tmp_path / "out").glob("*.parquet"))
    assert [pq.read_table(part)["score"].to_pylist() for part in parts] == [
        [1.5, -1.0],
        [8.5, -1.0],
    ]


def test_predictions_do_not_go_to_a_bucket_by_mistake(settings: Settings, trips: Path) -> None:
    assert main(["bulk-infer", "trips/1", str(trips), "--out", "gs://bucket/out"]) == 2
    assert not Path("gs:").exists()
