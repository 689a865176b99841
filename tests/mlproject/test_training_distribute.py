"""`tf.distribute` by configuration: devices of one machine, and two worker processes on it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlproject.errors import ConfigError
from mlproject.training.strategy import training_on

CODE = """
import keras

NAMES = ("fare_xf", "trip_miles_xf")


def model():
    inputs = {n: keras.Input((), name=n) for n in NAMES}
    hidden = keras.layers.Dense(8, activation="relu")(
        keras.ops.stack([inputs[n] for n in NAMES], axis=1))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
    return model
"""
BUILD = f"{CODE}\n\ndef build_model(hyperparameters):\n    return model()\n"
RUN = f"""{CODE}

def run_fn(fn_args):
    pick = lambda x, y: ({{n: x[n] for n in NAMES}}, y)
    trained = model()
    train = fn_args.data_accessor.tf_dataset("train", 64, shuffle=True).map(pick)
    evaluate = fn_args.data_accessor.tf_dataset("eval", 64).map(pick)
    trained.fit(train, epochs=2, validation_data=evaluate, callbacks=fn_args.callbacks, verbose=0)
    return trained
"""
SCRIPT = """
import json, os, sys
from pathlib import Path
import numpy as np
import tensorflow as tf

job = json.loads(sys.argv[1])
if job["devices"] > 1:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * job["devices"])
from mlproject.schema import read_schema
from mlproject.training import TrainRequest, is_chief, train_model
from mlproject.training import trainer
from mlproject.user_module import load_module, read_module

kept = []
fit_model = trainer.fit_model
trainer.fit_model = lambda *a, **k: kept.append(fit_model(*a, **k)) or kept[0]
schema_file = Path(job["schema"])
request = TrainRequest(
    transformed_dir=Path(job["transformed"]), schema_file=schema_file, label="big_tipper",
    hyperparameters={}, seed=7, train_steps=None, eval_steps=None, epochs=2, batch_size=64,
    distribute=job["distribute"], state_dir=Path(job["out"] + "-state"), checkpoint_steps=5,
)
out = Path(job["out"])
out.mkdir()
history = train_model(request, load_module(read_module(Path(job["module"]))),
                      read_schema(schema_file), out)
np.savez(job["out"] + ".npz", *kept[0].model.get_weights())
Path(job["out"] + ".json").write_text(json.dumps(history))
"""


class Bench:
    """Trains in processes of their own."""

    def __init__(self, folder: Path, transformed: Path, schema: Path) -> None:
        self.folder, self._transformed, self._schema = folder, transformed, schema
        (folder / "script.py").write_text(SCRIPT)
        for name, code in (("build", BUILD), ("run", RUN)):
            (folder / name).mkdir()
            (folder / name / "project.py").write_text(code)

    def start(
        self, code: str, out: str, distribute: str, devices: int = 1, tf_config: str = ""
    ) -> subprocess.Popen[str]:
        job = {
            "module": str(self.folder / code / "project.py"),
            "transformed": str(self._transformed),
            "schema": str(self._schema),
            "out": str(self.folder / out),
            "distribute": distribute,
            "devices": devices,
        }
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CONFIG": tf_config}
        if not tf_config:
            del environment["TF_CONFIG"]
        return subprocess.Popen(
            [sys.executable, str(self.folder / "script.py"), json.dumps(job)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def weights(self, out: str) -> list[np.ndarray]:
        with np.load(self.folder / f"{out}.npz") as stored:
            return [stored[name] for name in stored.files]

    def history(self, out: str) -> dict[str, list[float]]:
        return dict(json.loads((self.folder / f"{out}.json").read_text()))


def finish(*processes: subprocess.Popen[str]) -> None:
    try:
        for process in processes:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors[-4000:]
    finally:
        for process in processes:
            process.kill()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, taxi_transformed: Path, train_request: Any
) -> Bench:
    made = Bench(tmp_path_factory.mktemp("bench"), taxi_transformed, train_request.schema_file)
    finish(made.start("build", "alone", "none"))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("code", ["build", "run"])
def test_two_workers_train_together_to_the_same_weights(code: str, bench: Bench) -> None:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    configs = [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]
    finish(
        *(
            bench.start(code, f"{code}-worker{index}", "multi_worker", tf_config=config)
            for index, config in enumerate(configs)
        )
    )
    chief, other = (bench.weights(f"{code}-worker{index}") for index in range(2))
    for one, two in zip(chief, other, strict=True):
        np.testing.assert_array_equal(one, two)
    written = {path.name for path in (bench.folder / f"{code}-worker0").iterdir()}
    assert {"saved_model", "model.keras", "inputs.json"} <= written
    assert {p.name for p in (bench.folder / f"{code}-worker1").iterdir()} == {"model_run"}
    assert (bench.folder / f"{code}-worker0-state" / "fit-0.npz").exists()
    assert not (bench.folder / f"{code}-worker1-state").exists()


@pytest.mark.slow
def test_two_devices_learn_what_one_does(bench: Bench) -> None:
    finish(bench.start("build", "mirrored", "mirrored", devices=2))
    first, alone = bench.history("mirrored"), bench.history("alone")
    # The same batches, but for the last of an epoch where it is not whole.
    np.testing.assert_allclose(first["loss"], alone["loss"], rtol=0.05)
    assert first["loss"][1] < first["loss"][0]
    assert (bench.folder / "mirrored" / "saved_model" / "saved_model.pb").exists()


def test_a_device_and_a_strategy_are_one_too_many() -> None:
    with (
        pytest.raises(ConfigError, match="one of the two"),
        training_on("mirrored", "cpu", ""),
    ):
        pass


@pytest.mark.parametrize("device", ["gpu:99", "cpu:9", "tpu", "cpu 0", "nonsense", ":0"])
def test_a_device_that_is_not_there_names_those_that_are(device: str) -> None:
    with pytest.raises(ConfigError, match="cpu:0"), training_on("none", device, ""):
        pass
