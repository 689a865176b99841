"""The digits example as a user runs it: images to a served model, damaged images among them."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import REPOSITORY, Done, Product, assert_one_clear_error

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DIGITS = REPOSITORY / "examples" / "digits"
BAD = {"0/0000.png", "5/9999.png", "9/0009.png"}


@dataclass(frozen=True)
class Digits(Product):
    """A home of the platform, and a copy of the example with its images."""

    def experiment_runs(self, step: str) -> list[Any]:
        client = self.mlflow()
        experiment = client.get_experiment_by_name("digits")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        return [run for run in runs if not step or run.data.tags.get("benison.step") == step]

    def spoil(self) -> None:
        """Puts three damaged images among the others; two of them stand for good ones."""
        data = self.project / "data"
        whole = (data / "0" / "0000.png").read_bytes()
        (data / "0" / "0000.png").write_bytes(whole[: len(whole) // 2])
        (data / "5" / "9999.png").write_text("not an image", encoding="utf-8")
        (data / "9" / "0009.png").write_bytes(b"")


@pytest.fixture(scope="module")
def make_digits(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Digits]:
    """Makes a home and a copy of the example, and runs its generator there."""

    def make(name: str) -> Digits:
        folder = tmp_path_factory.mktemp(name)
        ignored = shutil.ignore_patterns("data", "__*")
        shutil.copytree(DIGITS, folder / "digits", ignore=ignored)
        script = [sys.executable, str(folder / "digits" / "generate.py")]
        subprocess.run(script, check=True, capture_output=True)
        return Digits(folder / "home", folder / "digits")

    return make


@dataclass(frozen=True)
class Trained:
    """The example after `benison train`."""

    product: Digits
    done: Done

    @cached_property
    def pixels(self) -> list[int]:
        import numpy as np
        from PIL import Image

        with Image.open(self.product.project / "data" / "7" / "0007.png") as image:
            return list(np.asarray(image).ravel().tolist())


@pytest.fixture(scope="module")
def trained(make_digits: Callable[[str], Digits]) -> Trained:
    product = make_digits("digits")
    done = product.train()
    assert done.code == 0, done.err + done.out
    return Trained(product, done)


@pytest.fixture(scope="module")
def url(trained: Trained) -> Iterator[str]:
    """A running `benison serve digits`."""
    with trained.product.start("serve", "digits", "--port", "0", "--grpc-port", "0") as running:
        yield running.line("REST ").removesuffix("/v1/models/digits:predict")
        running.process.terminate()
        assert running.process.wait(20) == 0, "\n".join(running.lines)


def test_the_thresholds_are_met_with_margin(trained: Trained) -> None:
    outcome = trained.done.outcome
    assert (outcome["status"], outcome["version"]) == ("blessed", 1)
    assert outcome["metrics"]["auc"] > 0.995
    assert outcome["metrics"]["accuracy"] > 0.95
    slices = {row["slice"]: row for row in outcome["slices"]}
    assert set(slices) == {"overall", *(f"label={digit}" for digit in range(10))}
    assert sum(slices[f"label={digit}"]["examples"] for digit in range(10)) == 583
    assert min(row["accuracy"] for row in slices.values()) > 0.88
    (ingest,) = trained.product.experiment_runs("ingest")
    assert ingest.data.metrics["rows_train"] + ingest.data.metrics["rows_eval"] == 1_797
    assert ingest.data.metrics["skipped_files"] == 0


def test_the_sample_is_answered_by_the_served_model(trained: Trained) -> None:
    done = trained.product.run("serve", "digits", "--once")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    sample = trained.done.outcome["sample"]
    assert answer["row"] == sample["sample"]
    assert len(answer["row"]["image"]) == 64
    assert answer["prediction"] == pytest.approx(sample["prediction"], abs=1e-6)
    assert len(answer["prediction"]) == 10
    assert answer["prediction"][4] > 0.9


def test_the_command_of_the_readme_makes_a_row_of_an_image(trained: Trained, url: str) -> None:
    readme = (DIGITS / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ROW=(\$\(.*\))$", readme, re.MULTILINE)
    command = command.replace("examples/digits", str(trained.product.project))
    environment = trained.product.environment()
    printed = subprocess.run(
        ["bash", "-c", f'echo "{command}"'],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(printed.stdout) == {"image": trained.pixels}
    done = trained.product.run("predict", "digits", printed.stdout, "--url", url)
    assert done.code == 0, done.err
    assert json.loads(done.out)[7] > 0.9


def test_every_way_to_ask_gives_the_same_prediction(
    trained: Trained, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import numpy as np
    import pandas as pd

    from serving.client import predict_rest

    sample = trained.done.outcome["sample"]["sample"]["image"]
    rows = [{"image": trained.pixels}, {"image": sample}]
    expected = np.array(predict_rest(url, "digits", rows))
    assert expected.argmax(axis=1).tolist() == [7, 4]
    file = tmp_path / "rows.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "label"])  # a column that only training has is passed over
        writer.writerows([[json.dumps(row["image"]), 7] for row in rows])
    done = trained.product.run("predict", "digits", "--file", str(file), "--url", url)
    assert done.code == 0, done.err
    by_file = np.array([json.loads(line) for line in done.out.splitlines()])
    assert by_file == pytest.approx(expected, abs=1e-6)
    arrays = [{"image": np.array(row["image"], "uint8").reshape(-1)} for row in rows]
    assert np.array(predict_rest(url, "digits", arrays)) == pytest.approx(expected, abs=1e-6)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.product.tracking_uri)
    mlflow.set_tracking_uri(trained.product.tracking_uri)
    mlflow.set_registry_uri(trained.product.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/digits@champion")
    assert model.metadata.get_input_schema().input_names() == ["image"]
    predicted = model.predict(pd.DataFrame(arrays))["predictions"]
    assert np.stack(predicted) == pytest.approx(expected, abs=1e-5)
    assert model.input_example["image"].tolist() == [sample]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"image": [0] * 63}, ["'image'", "63 values", "64 values"]),
        ({"image": "0"}, ["'image'", "a list of 64 values"]),
        ({}, ["'image'", "a missing value", "a list of 64 values"]),
        ({"image": [0] * 64, "label": "7"}, ["'label'", "not the label"]),
    ],
)
def test_a_row_that_does_not_fit_is_one_clear_error(
    trained: Trained, url: str, row: dict[str, Any], words: list[str]
) -> None:
    done = trained.product.run("predict", "digits", json.dumps(row), "--url", url)
    assert_one_clear_error(done, 1, *words)


def test_damaged_images_are_skipped_by_name_and_number(
    make_digits: Callable[[str], Digits],
) -> None:
    product = make_digits("skip")
    product.spoil()
    product.configure(data={"images": {"on_bad_file": "skip"}})
    done = product.train()
    assert done.code == 0, done.err
    assert done.outcome["status"] == "blessed"
    (run,) = product.experiment_runs("ingest")
    assert run.data.metrics["skipped_files"] == 3
    assert run.data.metrics["rows_train"] + run.data.metrics["rows_eval"] == 1_795
    file = product.mlflow().download_artifacts(run.info.run_id, "skipped_files.json")
    table = json.loads(Path(file).read_text(encoding="utf-8"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    data = product.project / "data"
    assert {Path(row["file"]).relative_to(data).as_posix() for row in rows} == BAD
    assert all(row["reason"] for row in rows)
    answered = product.run("serve", "digits", "--once")
    assert answered.code == 0, answered.err


def test_a_damaged_image_ends_the_run_by_default(make_digits: Callable[[str], Digits]) -> None:
    product = make_digits("fail")
    product.spoil()
    product.configure(data={"images": {"on_bad_file": "fail"}})
    done = product.run("train", str(product.project))
    assert_one_clear_error(done, 1, "0/0000.png", "on_bad_file")
    assert product.published() == set()
    assert {run.info.status for run in product.experiment_runs("")} <= {"FAILED"}
    assert list(product.mlflow().search_model_versions("name='digits'")) == []
    assert not product.processes()
