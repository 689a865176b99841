"""Steps one by one: `benison step`, `mlflow run . -e STEP`, and what they import."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import pytest
from tests.e2e.conftest import REPOSITORY, STEPS, Done, Pipeline, Product, Recorder

from flows.cli import main

pytestmark = pytest.mark.e2e

WITHOUT_TENSORFLOW = ("ingest", "bless", "register", "export")
HEAVY = {"tensorflow", "keras", "tensorflow_data_validation", "tensorflow_transform", "prefect"}


@pytest.fixture(scope="module")
def stepped(make_product: Callable[..., Product]) -> Product:
    return make_product("steps")


@pytest.mark.parametrize("step", STEPS)
def test_steps_run_one_by_one(
    stepped: Product,
    step: str,
    recorder: Recorder,
    in_process: Callable[[Product], Pipeline],
) -> None:
    """In order; each on the artifacts of those before it, and light where it can be."""
    if step not in WITHOUT_TENSORFLOW:
        in_process(stepped)
        assert main(["step", step, str(stepped.project)]) == 0
        return
    done = stepped.run("step", step, str(stepped.project), **recorder.variables)
    assert done.code == 0, done.err
    assert recorder.imported() & HEAVY == set()


def test_each_step_run_by_itself_is_recorded(stepped: Product) -> None:
    runs = stepped.runs()
    if not runs:
        pytest.skip("the steps before were not run")
    assert sorted(run.data.tags["benison.step"] for run in runs) == sorted(STEPS)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert stepped.champion() == 1


def test_a_step_before_its_turn_says_what_to_run_first(
    product: Product,
    in_process: Callable[[Product], Pipeline],
    capfd: pytest.CaptureFixture[str],
) -> None:
    in_process(product)
    assert main(["step", "train", str(product.project)]) == 1
    shown = capfd.readouterr().err
    assert "`benison step validate PROJECT`" in shown
    assert "Traceback" not in shown
    assert not product.published()


def mlflow_run(product: Product, entry_point: str, **parameters: str) -> Done:
    """`mlflow run . -e ENTRY_POINT --env-manager=local` over the product's own store."""
    environment = product.environment(MLFLOW_TRACKING_URI=product.tracking_uri)
    del environment["PYTHONPATH"]  # MLproject sees to it
    command = ["mlflow", "run", str(REPOSITORY), "-e", entry_point, "--env-manager=local"]
    command += ["--experiment-name", "taxi"]
    for name, value in {"project": str(product.project), **parameters}.items():
        command += ["-P", f"{name}={value}"]
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=product.home.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_step_is_an_entry_point_of_mlflow_run(product: Product) -> None:
    product.home.mkdir()
    for step in ("check", *STEPS):
        done = mlflow_run(product, step)
        assert done.code == 0, f"{step}: {done.err}"
    runs = [run for run in product.runs() if "benison.step" in run.data.tags]
    assert {run.info.status for run in product.runs()} == {"FINISHED"}
    assert sorted(run.data.tags["benison.step"] for run in runs) == sorted(STEPS)
    # The run that `mlflow run` started is the step's own: none is nested in it, none is beside it.
    assert len(product.runs()) == len(STEPS) + 1
    assert all("mlflow.project.entryPoint" in run.data.tags for run in product.runs())
    (train,) = (run for run in runs if run.data.tags["benison.step"] == "train")
    assert "loss" in train.data.metrics
    assert product.champion() == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_main_of_mlflow_run_is_the_whole_pipeline(product: Product) -> None:
    product.home.mkdir()
    done = mlflow_run(product, "main")
    assert done.code == 0, done.err
    assert product.champion() == 1
    (parent,) = (run for run in product.runs() if "mlflow.project.entryPoint" in run.data.tags)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["benison.status"] == "blessed"
    nested = product.runs(parent=parent.info.run_id)
    assert {run.data.tags["benison.step"] for run in nested} == set(STEPS)
    again = mlflow_run(product, "main")
    assert again.code == 0, again.err
    assert product.champion() == 1
    assert len(product.versions()) == 1

    product.configure(training={"hyperparameters": {"learning_rate": 0.0}, "train_steps": 1})
    worse = mlflow_run(product, "main", force="false", **{"from": "train"})
    assert worse.code != 0, "mlflow run passes a refused blessing on as a failure"
    assert product.champion() == 1
    assert product.train().code == 3


@pytest.mark.slow
def test_mlflow_run_takes_the_data_from_a_parameter(product: Product) -> None:
    product.home.mkdir()
    moved = product.home.parent / "elsewhere.csv"
    (product.project / "data" / "trips.csv").rename(moved)
    assert mlflow_run(product, "ingest").code != 0
    done = mlflow_run(product, "ingest", data=str(moved))
    assert done.code == 0, done.err
    (run,) = (run for run in product.runs(step="ingest", status="FINISHED"))
    assert json.loads(run.inputs.dataset_inputs[0].dataset.source)["uri"] == moved.as_uri()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_by_mlflow_run_takes_what_tuning_by_mlflow_run_found(product: Product) -> None:
    product.configure(tuning={"trials": 2})
    product.home.mkdir()
    for step in ("ingest", "statistics", "schema", "validate", "transform", "tune", "train"):
        done = mlflow_run(product, step)
        assert done.code == 0, f"{step}: {done.err}"
    runs = {run.data.tags.get("benison.step"): run for run in product.runs()}
    best = {n: v for n, v in runs["tune"].data.params.items() if n.startswith("best.")}
    assert set(best) == {"best.learning_rate", "best.embedding_size", "best.hidden_units"}
    trained = runs["train"].data.params
    assert {n: trained[n.removeprefix("best.")] for n in best} == best
    trials = product.runs(parent=runs["tune"].info.run_id)
    assert len(trials) == 2
    assert all("val_loss" in trial.data.metrics for trial in trials)
