"""A training that is really killed goes on from its last checkpoint, to the very same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a process for each kill

MODEL = """
import keras

NAMES = ("fare_xf", "trip_miles_xf", "trip_start_hour_xf")


def preprocessing_fn(inputs):
    return inputs


def model(rate):
    inputs = {n: keras.Input((), name=n) for n in NAMES}
    hidden = keras.ops.stack([inputs[n] for n in NAMES], axis=1)
    hidden = keras.layers.Dropout(0.3)(keras.layers.Dense(8, activation="relu")(hidden))
    hidden = keras.layers.BatchNormalization()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model
"""
BUILD = f"{MODEL}\n\ndef build_model(hyperparameters):\n    return model(hyperparameters['rate'])\n"
RUN = f"""{MODEL}

def run_fn(fn_args):
    data = fn_args.data_accessor
    pick = lambda x, y: ({{n: x[n] for n in NAMES}}, y)
    first = model(fn_args.hyperparameters["rate"])
    evaluate = data.tf_dataset("eval", 200).map(pick)
    train = data.tf_dataset("train", 32, shuffle=True).map(pick)
    first.fit(train, epochs=2, validation_data=evaluate, callbacks=fn_args.callbacks, verbose=0)
    small = data.tf_dataset("train", 16, shuffle=True, repeat=True).map(pick)
    first.fit(small, epochs=3, steps_per_epoch=30, validation_data=evaluate,
              callbacks=fn_args.callbacks, verbose=0)
    return first
"""
# Trains as often as it is told, one after another, and writes the weights and history of each.
SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import keras
import numpy as np
from mlproject.sections.training import EarlyStoppingSection
from mlproject.training import TrainRequest, fit_model
from mlproject.training.progress import Listeners
from mlproject.user_module import load_module, read_module


class Killer(keras.callbacks.Callback):
    def __init__(self, fit, epoch, step):
        super().__init__()
        self.at, self.fit, self.epoch = (fit, epoch, step), -1, 0

    def on_train_begin(self, logs=None):
        self.fit += 1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.fit, self.epoch, batch) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_test_begin(self, logs=None):
        if (self.fit, self.epoch, "validation") == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


for job in json.loads(sys.argv[1]):
    request = TrainRequest(
        transformed_dir=Path(job["transformed"]), schema_file=Path(job["schema"]),
        label="big_tipper", hyperparameters={"rate": 0.01}, seed=7,
        train_steps=job.get("train_steps"), eval_steps=None, epochs=4, batch_size=32,
        early_stopping=EarlyStoppingSection(monitor="val_accuracy", direction="maximize",
                                            patience=1),
        checkpoint_steps=job.get("every"), state_dir=Path(job["state"]),
    )
    notes = []
    killers = [Killer(*job["kill"])] if "kill" in job else []
    module = load_module(read_module(Path(job["module"])))
    fitted = fit_model(request, module, Path(job["out"]), Listeners(notes.append), killers)
    np.savez(Path(job["out"]) / "weights.npz", *fitted.model.get_weights())
    told = {"history": fitted.history, "notes": notes}
    (Path(job["out"]) / "told.json").write_text(json.dumps(told))
"""


class Bench:
    """Trains in processes of their own."""

    def __init__(self, folder: Path, transformed: Path, schema: Path) -> None:
        self._folder, self._transformed, self._schema = folder, transformed, schema
        (folder / "script.py").write_text(SCRIPT)
        for name, code in (("build", BUILD), ("run", RUN)):
            (folder / name).mkdir()
            (folder / name / "project.py").write_text(code)

    def job(self, code: str, out: str, state: str, **more: Any) -> dict[str, Any]:
        return {
            "module": str(self._folder / code / "project.py"),
            "transformed": str(self._transformed),
            "schema": str(self._schema),
            "out": str(self._folder / out),
            "state": str(self._folder / state),
            **more,
        }

    def train(self, *jobs: dict[str, Any]) -> int:
        """Returns the process's exit code."""
        done = subprocess.run(
            [sys.executable, str(self._folder / "script.py"), json.dumps(jobs)],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
        return done.returncode

    def weights(self, out: str) -> list[np.ndarray]:
        with np.load(self._folder / out / "weights.npz") as stored:
            return [stored[name] for name in stored.files]

    def told(self, out: str) -> dict[str, Any]:
        return dict(json.loads((self._folder / out / "told.json").read_text()))


@dataclass(frozen=True)
class Kill:
    """Where a training is killed: after a step, or in the validation, of an epoch of its n-th
    `fit`, all from 0."""

    code: str
    whole: str
    at: tuple[int, int, int | str]
    every: int | None
    goes_on_at: str
    train_steps: int | None = None


KILLS = {
    "between checkpoints": Kill("build", "build-whole", (0, 1, 17), 7, "epoch 2, step 15"),
    "with train_steps": Kill("build", "steps-whole", (0, 1, 20), 10, "epoch 2, step 16", 25),
    "in a validation": Kill(
        "build", "steps-whole", (0, 1, "validation"), 25, "epoch 2, step 26", 25
    ),
    "a checkpoint an epoch": Kill("build", "build-whole", (0, 1, 17), None, "epoch 2, step 1"),
    "in run_fn": Kill("run", "run-whole", (0, 1, 20), 9, "epoch 2, step 13"),
    "in a second fit": Kill("run", "run-whole", (1, 1, 20), 9, "epoch 2, step 16"),
}


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, taxi_transformed: Path, train_request: Any
) -> Bench:
    """A bench on which each training ran once whole, was killed once, and went on."""
    made = Bench(tmp_path_factory.mktemp("bench"), taxi_transformed, train_request.schema_file)
    whole = [made.job("build", "build-whole", "s1"), made.job("run", "run-whole", "s2")]
    assert made.train(*whole, made.job("build", "steps-whole", "s3", train_steps=25)) == 0
    resumed = [made.job("build", "build-again", "s4")]
    for name, kill in KILLS.items():
        more: dict[str, Any] = {"every": kill.every, "train_steps": kill.train_steps}
        killed = made.job(kill.code, f"{name}-killed", name, kill=kill.at, **more)
        assert made.train(killed) == -signal.SIGKILL
        resumed.append(made.job(kill.code, name, name, **more))
    assert made.train(*resumed) == 0
    return made


def assert_same(bench: Bench, out: str, whole: str) -> None:
    pairs = zip(bench.weights(out), bench.weights(whole), strict=True)
    for number, (again, first) in enumerate(pairs):
        np.testing.assert_array_equal(again, first, err_msg=f"weight {number}")
    assert bench.told(out)["history"] == bench.told(whole)["history"]


def test_the_same_seed_trains_the_same_weights_in_another_process(bench: Bench) -> None:
    assert_same(bench, "build-again", "build-whole")
    assert not any("checkpoint" in note for note in bench.told("build-again")["notes"])


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_training_ends_with_the_weights_of_a_whole_one(name: str, bench: Bench) -> None:
    assert_same(bench, name, KILLS[name].whole)
    (said,) = [note for note in bench.told(name)["notes"] if "checkpoint" in note]
    assert said == f"goes on from a checkpoint: {KILLS[name].goes_on_at}"
