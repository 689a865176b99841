"""From raw rows to a served champion, and what a worse and a better model do to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.e2e.conftest import STEPS, Pipeline, Product, Running, Trained, wait_until

pytestmark = pytest.mark.e2e

ROW = {"payment_type": "Credit Card", "trip_miles": 2.5, "fare": 10.25, "trip_start_hour": 18}


def scalar(value: Any) -> float:
    """The number in `[[0.5]]`."""
    while isinstance(value, list):
        value = value[0]
    return float(value)


class Served:
    """A running `benison serve taxi`."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.rest = running.line("REST ").removesuffix("/v1/models/taxi:predict")
        self.grpc = running.line("gRPC ")

    def version(self) -> int:
        """The version that answers."""
        states = httpx.get(f"{self.rest}/v1/models/taxi").json()["model_version_status"]
        return max(int(s["version"]) for s in states if s["state"] == "AVAILABLE")


@pytest.fixture(scope="module")
def served(trained: Trained) -> Iterator[Served]:
    ports = ("--port", "0", "--grpc-port", "0", "--poll-s", "0.2")
    with trained.product.start("serve", "taxi", *ports) as running:
        yield Served(running)
        running.process.terminate()
        assert running.process.wait(20) == 0, "\n".join(running.lines)


def test_the_first_run_is_blessed(trained: Trained) -> None:
    outcome = trained.done.outcome
    assert (outcome["status"], outcome["exit_code"]) == ("blessed", 0)
    assert (outcome["model"], outcome["version"]) == ("taxi", 1)
    assert [step["name"] for step in outcome["steps"]] == list(STEPS)
    assert trained.done.ran() == list(STEPS)
    assert outcome["metrics"]["auc"] > 0.75
    assert {"auc", "accuracy", "log_loss"} <= set(outcome["metrics"])
    assert any(reason.startswith("auc overall is") for reason in outcome["reasons"])
    assert 0 < scalar(outcome["sample"]["prediction"]) < 1
    assert {row["slice"] for row in outcome["slices"]} > {"overall"}
    assert "Traceback" not in trained.done.err
    for step in outcome["steps"]:
        assert json.loads((Path(step["uri"]) / "artifact.json").read_text())["step"] == step["name"]


def test_a_run_leaves_no_process_behind(trained: Trained) -> None:
    commands = trained.product.processes()
    assert [command for command in commands if "prefect" in command] == []


def test_a_run_leaves_no_temporary_file_behind(trained: Trained) -> None:
    left = {p.name for p in Path(trained.product.environment()["TMPDIR"]).iterdir()}
    assert left <= {"__pycache__"}, "more than the bytecode of TensorFlow's AutoGraph"


def test_the_model_is_registered_as_champion(trained: Trained) -> None:
    assert trained.champion == 1
    version = trained.product.mlflow().get_model_version("taxi", "1")
    assert version.tags["blessing"] == "BLESSED"
    steps = {step["name"]: step for step in trained.done.outcome["steps"]}
    assert version.tags["benison.fingerprint"].startswith(steps["register"]["fingerprint"])
    assert version.tags["benison.train_fingerprint"] == steps["train"]["fingerprint"]
    assert version.run_id == trained.done.outcome["mlflow_run_id"]


def test_each_step_is_a_nested_mlflow_run(trained: Trained) -> None:
    parent = trained.done.outcome["mlflow_run_id"]
    runs = {run.data.tags["benison.step"]: run for run in trained.product.runs(parent=parent)}
    assert set(runs) == set(STEPS)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {run.info.run_name for run in runs.values()} == set(STEPS)
    for step in trained.done.outcome["steps"]:
        assert runs[step["name"]].data.tags["benison.fingerprint"] == step["fingerprint"]
        assert "seconds" in runs[step["name"]].data.metrics
    assert float(runs["train"].data.params["learning_rate"]) == 0.01
    assert runs["bless"].data.tags["blessing"] == "BLESSED"
    assert runs["evaluate"].data.metrics["auc"] == trained.done.outcome["metrics"]["auc"]
    whole = trained.product.mlflow().get_run(parent)
    assert whole.info.status == "FINISHED"
    assert whole.data.tags["benison.status"] == "blessed"
    assert whole.data.tags["benison.model"] == "taxi/1"
    assert whole.data.tags["benison.module_digest"]
    assert whole.data.tags["benison.version"]


def test_mlflow_holds_the_datasets_with_digests(trained: Trained) -> None:
    (ingest,) = trained.product.runs(step="ingest", parent=trained.done.outcome["mlflow_run_id"])
    datasets = {item.tags[0].value: item.dataset for item in ingest.inputs.dataset_inputs}
    assert set(datasets) == {"train", "eval"}
    assert len({data.digest for data in datasets.values()}) == 2
    assert all(data.digest for data in datasets.values())
    assert sum(json.loads(d.profile)["num_rows"] for d in datasets.values()) == 1_500
    source = json.loads(datasets["train"].source)["uri"]
    assert source == (trained.product.project / "data" / "trips.csv").as_uri()


@pytest.mark.parametrize(
    ("step", "artifacts"),
    [
        ("statistics", {"feature_histograms.png", "statistics.json"}),
        ("schema", {"schema.pbtxt"}),
        ("validate", {"anomalies.txt"}),
        ("train", {"learning_curves.png"}),
        ("evaluate", {"roc_and_pr.png", "auc_by_slice.png", "metrics_by_slice.json"}),
        ("bless", {"blessing.md"}),
        ("serve", {"prediction.json"}),
    ],
)
def test_mlflow_holds_the_figures(trained: Trained, step: str, artifacts: set[str]) -> None:
    parent = trained.done.outcome["mlflow_run_id"]
    (run,) = trained.product.runs(step=step, parent=parent)
    listed = trained.product.mlflow().list_artifacts(run.info.run_id)
    assert artifacts <= {item.path for item in listed}
    assert all(item.file_size > 0 for item in listed if not item.is_dir)


def test_mlflow_loads_the_registered_model(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import pandas as pd

    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.product.tracking_uri)
    mlflow.set_tracking_uri(trained.product.tracking_uri)
    mlflow.set_registry_uri(trained.product.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/taxi/1")
    assert {"trip_miles", "fare"} <= set(model.metadata.get_input_schema().input_names())
    assert "tips" not in model.metadata.get_input_schema().input_names()
    sample = trained.done.outcome["sample"]
    predicted = model.predict(pd.DataFrame([sample["sample"]]))
    assert float(pd.DataFrame(predicted).iloc[0, 0]) == pytest.approx(
        scalar(sample["prediction"]), abs=1e-5
    )


def test_the_model_is_exported_under_its_version(trained: Trained) -> None:
    exported = trained.product.home / "serving" / "taxi" / "1"
    assert (exported / "saved_model.pb").is_file()
    assert [p.name for p in exported.parent.iterdir() if p.name.startswith(".")] == []


def test_every_way_to_ask_gives_the_same_prediction(
    trained: Trained, served: Served, tmp_path: Path
) -> None:
    product = trained.product
    by_row = product.run("predict", "taxi", json.dumps(ROW), "--url", served.rest)
    assert by_row.code == 0, by_row.err
    expected = scalar(json.loads(by_row.out))
    assert 0 < expected < 1

    file = tmp_path / "rows.csv"
    file.write_text(
        ",".join(ROW) + "\n" + ",".join(str(v) for v in ROW.values()) + "\nCash,1.0,5.0,\n"
    )
    by_file = product.run("predict", "taxi", "--file", str(file), "--url", served.rest)
    assert by_file.code == 0, by_file.err
    first, second = (scalar(json.loads(line)) for line in by_file.out.splitlines())
    assert first == pytest.approx(expected, abs=1e-6)
    assert second != pytest.approx(expected, abs=1e-3)

    from serving.client import complete_row, input_specs

    metadata = httpx.get(f"{served.rest}/v1/models/taxi/metadata").json()
    row = complete_row(ROW, input_specs(metadata, "serving_default"))
    url = f"{served.rest}/v1/models/taxi:predict"
    rows = httpx.post(url, content=json.dumps({"instances": [row, row]})).json()["predictions"]
    assert [scalar(p) for p in rows] == pytest.approx([expected] * 2, abs=1e-6)
    columns = {name: [value] for name, value in row.items()}
    answer = httpx.post(url, content=json.dumps({"inputs": columns})).json()["outputs"]
    assert scalar(answer) == pytest.approx(expected, abs=1e-6)
    assert _ask_grpc(served.grpc, metadata, row) == pytest.approx(expected, abs=1e-6)


def _ask_grpc(address: str, metadata: Any, row: dict[str, Any]) -> float:
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    inputs = signatures["serving_default"]["inputs"]
    kinds = {"DT_FLOAT": np.float32, "DT_INT64": np.int64, "DT_STRING": object}
    request = PredictRequest()
    request.model_spec.name = "taxi"
    for name, value in row.items():
        raw = value.encode() if isinstance(value, str) else value
        array = np.array([raw], kinds[inputs[name]["dtype"]])
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    with grpc.insecure_channel(address) as channel:
        response = PredictionServiceStub(channel).Predict(request, timeout=20)
    assert response.model_spec.version.value >= 1
    (output,) = response.outputs.values()
    return float(tf.make_ndarray(output).reshape(-1)[0])


def test_asking_with_a_mistyped_feature_names_the_right_one(
    trained: Trained, served: Served
) -> None:
    done = trained.product.run("predict", "taxi", '{"trip_mile": 2.5}', "--url", served.rest)
    assert done.code == 1
    assert "trip_miles" in done.err
    assert "Traceback" not in done.err


def test_a_worse_model_is_not_blessed_and_the_champion_stays(
    trained: Trained, served: Served, in_process: Callable[[Product], Pipeline]
) -> None:
    product = trained.product
    champion, exported = product.champion(), _exported(product)
    before = (product.project / "project.yaml").read_text()
    crippled = {"learning_rate": 0.0, "hidden_units": [1], "embedding_size": 1}
    product.configure(training={"hyperparameters": crippled, "train_steps": 1})
    try:
        ran = in_process(product).run()
        done = product.train()  # all is cached, and told as it was
    finally:
        (product.project / "project.yaml").write_text(before)
    found = [step.name for step in ran.steps if not step.cached]
    assert found == ["train", "evaluate", "infra_validate", "bless"]
    assert (done.code, done.ran()) == (3, []), done.err
    assert done.outcome["status"] == "not_blessed"
    assert done.outcome["version"] is None
    reasons = "; ".join(done.outcome["reasons"])
    assert "below the least allowed" in reasons
    assert "auc overall fell" in reasons
    assert done.outcome["metrics"]["champion_auc"] > done.outcome["metrics"]["auc"]
    assert product.champion() == champion
    assert _exported(product) == exported
    assert served.version() == champion
    assert "Traceback" not in done.err


def test_a_better_model_is_swapped_in_without_a_failed_request(
    trained: Trained, served: Served
) -> None:
    product = trained.product
    before = product.champion()
    assert before == served.version()
    product.configure(training={"hyperparameters": {"epochs": 2}})
    url = f"{served.rest}/v1/models/taxi:predict"
    metadata = httpx.get(f"{served.rest}/v1/models/taxi/metadata").json()

    from serving.client import complete_row, input_specs

    body = json.dumps({"instances": [complete_row(ROW, input_specs(metadata, "serving_default"))]})
    stop, failures, answers = threading.Event(), [], []

    def ask() -> None:
        with httpx.Client(timeout=30) as http:
            while not stop.wait(0.01):
                response = http.post(url, content=body)
                if response.status_code != 200:
                    failures.append(response.text)
                else:
                    answers.append(scalar(response.json()["predictions"]))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        done = product.train()
        assert done.code == 0, done.err + done.out
        wait_until(lambda: served.version() == product.champion(), 30, "the swap")
        asked = len(answers)
        wait_until(lambda: len(answers) > asked + 20, 10, "answers of the new version")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert product.champion() == done.outcome["version"] != before
    assert done.outcome["metrics"]["champion_auc"] > 0.5
    aliases = product.mlflow().get_registered_model("taxi").aliases
    assert {name: int(version) for name, version in aliases.items()} == {
        "champion": done.outcome["version"],
        "previous": before,
    }
    assert failures == []
    assert len(answers) > 100
    assert len(set(answers)) == 2, "one prediction of each version"
    assert answers[0] != answers[-1]
    assert served.running.line(f"taxi: {before} -> ") == str(product.champion())


def _exported(product: Product) -> set[str]:
    return {path.name for path in (product.home / "serving" / "taxi").iterdir()}


def test_the_old_version_is_asked_by_number_after_being_served_again(
    trained: Trained, make_product: Callable[..., Product]
) -> None:
    """`--once` answers the sample of any registered version, then stops."""
    done = trained.product.run("serve", "taxi/1", "--once", "--port", "0", "--grpc-port", "0")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["version"] == 1
    sample = trained.done.outcome["sample"]
    assert scalar(answer["prediction"]) == pytest.approx(scalar(sample["prediction"]), abs=1e-6)
