"""A module file with `build_model`: the platform fits; what is wrong is said before it begins."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mlproject.errors import ConfigError, DataError, UserModuleError
from mlproject.saved_model import open_signature
from mlproject.sections.training import EarlyStoppingSection
from mlproject.training import KERAS_FILE, MODEL_FOLDER, Fitted, fit_model, train_model
from mlproject.training.checkpoint import checkpoint_file, read_checkpoint, write_checkpoint
from mlproject.training.progress import Listeners

Load = Callable[[str], types.ModuleType]
CODE = """
import keras

calls = []


def model(names=("fare_xf", "trip_miles_xf"), dtype="float32", shape=(), units=4):
    inputs = {{n: keras.Input(shape, name=n, dtype=dtype) for n in names}}
    values = [keras.ops.reshape(keras.ops.cast(inputs[n], "float32"), (-1, 1)) for n in names]
    hidden = keras.layers.Dense(units, activation="relu")(keras.ops.concatenate(values, axis=1))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))


def compiled(model, loss="binary_crossentropy", rate=0.01, traced=False):
    # Eager: tracing a graph costs more than these few steps.
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], run_eagerly=not traced)
    return model


class Picks(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = keras.layers.Dense(1, activation="sigmoid")

    def call(self, features):
        return self.out(keras.ops.stack([features["fare_xf"], features["trip_miles_xf"]], 1))


def build_model({arguments}):
    {body}
"""


class Trainer:
    """Trains with the body of a `build_model` on the taxi rows."""

    def __init__(self, folder: Path, load: Load, request: Any, schema: Any) -> None:
        self.out = folder / "none"
        self.notes: list[str] = []
        self.module = types.ModuleType("none")
        self._folder, self._load, self._schema = folder, load, schema
        self._request = dataclasses.replace(request, hyperparameters={}, epochs=2)

    def fit(
        self,
        body: str,
        arguments: str = "hyperparameters",
        callbacks: Sequence[Any] = (),
        **changes: Any,
    ) -> Fitted:
        request = self._prepare(body, arguments, changes)
        return fit_model(request, self.module, self.out, Listeners(self.notes.append), callbacks)

    def train(self, body: str, **changes: Any) -> dict[str, list[float]]:
        request = self._prepare(body, "hyperparameters", changes)
        self.out.mkdir()
        return train_model(request, self.module, self._schema, self.out, self.notes.append)

    def _prepare(self, body: str, arguments: str, changes: dict[str, Any]) -> Any:
        self.out = self._folder / f"train{len(list(self._folder.iterdir()))}"
        self.module = self._load(CODE.format(arguments=arguments, body=body))
        self.notes.clear()
        return dataclasses.replace(self._request, **changes)


@pytest.fixture
def trainer(tmp_path: Path, load_code: Load, train_request: Any, taxi_schema: Any) -> Trainer:
    return Trainer(tmp_path, load_code, train_request, taxi_schema)


def test_the_platform_fits_and_exports_what_build_model_gives(trainer: Trainer) -> None:
    history = trainer.train("return compiled(model(), traced=True)")
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert [len(values) for values in history.values()] == [2] * 4
    assert history["loss"][1] < history["loss"][0]
    with open_signature(trainer.out / MODEL_FOLDER) as predict:
        names = set(predict.input_names)  # type: ignore[attr-defined]
    assert {"fare", "trip_miles"} <= names
    assert "tips" not in names
    assert keras.models.load_model(trainer.out / KERAS_FILE).count_params() == 17
    assert list((trainer.out / "figures/tensorboard/validation").iterdir())


def test_epochs_and_batch_size_are_project_yamls_or_a_hyperparameters(trainer: Trainer) -> None:
    body = "calls.append(hyperparameters); return compiled(model())"
    asked = trainer.fit(body, epochs=1, batch_size=100, eval_steps=1)
    assert len(asked.history["loss"]) == 1
    steps = int(asked.model.optimizer.iterations.numpy())
    won = trainer.fit(body, hyperparameters={"epochs": 3, "batch_size": 200})
    assert len(won.history["loss"]) == 3
    assert int(won.model.optimizer.iterations.numpy()) == 3 * -(-steps * 100 // 200)
    assert trainer.module.calls == [{}, {"epochs": 3, "batch_size": 200}]
    few = trainer.fit(body, train_steps=3)
    assert int(few.model.optimizer.iterations.numpy()) == 2 * 3


def test_each_epoch_is_validated_on_the_same_rows(trainer: Trainer) -> None:
    body = "return compiled(model(), rate=0.0)"
    asked = trainer.fit(body, epochs=4, batch_size=100, train_steps=1, eval_steps=2)
    assert len(set(asked.history["val_loss"])) == 1
    whole = trainer.fit(body, epochs=1, batch_size=100, train_steps=1)
    assert whole.history["val_loss"][0] != asked.history["val_loss"][0]
    more = trainer.fit(body, epochs=2, batch_size=100, train_steps=1, eval_steps=100_000)
    assert more.history["val_loss"] == whole.history["val_loss"] * 2


def test_build_model_may_ask_for_fn_args(trainer: Trainer) -> None:
    body = "calls.append(fn_args); return compiled(model(), rate=hyperparameters['rate'])"
    trainer.fit(
        body, "hyperparameters, fn_args", hyperparameters={"rate": 0.1}, custom_config={"a": [1]}
    )
    (fn_args,) = trainer.module.calls
    assert (fn_args.label, fn_args.task, fn_args.custom_config) == (
        "big_tipper",
        "binary",
        {"a": [1]},
    )


def test_a_subclassed_model_picks_its_features(trainer: Trainer) -> None:
    assert trainer.train("return compiled(Picks(), traced=True)")["val_loss"]
    with open_signature(trainer.out / MODEL_FOLDER) as predict:
        assert "fare" in predict.input_names  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [0, -1, 2.5, math.inf, math.nan, "many", True, None])
def test_a_hyperparameter_that_is_no_number_of_epochs(value: Any, trainer: Trainer) -> None:
    with pytest.raises(ConfigError, match="epochs: "):
        trainer.fit("return compiled(model())", hyperparameters={"epochs": value})


@pytest.mark.parametrize(
    ("body", "failed", "received"),
    [
        ("return None", "cannot be exported", "NoneType"),
        ("return [model()]", "cannot be exported", "list"),
        ("return model()", "cannot be trained", "not compiled"),
        ("m = model(); m.compile('adam'); return m", "cannot be trained", "without a loss"),
        (
            "return compiled(model(names=('fare_xf', 'trip_mile_xf')))",
            "does not take what preprocessing_fn gives",
            "'trip_mile_xf', which is no feature (did you mean 'trip_miles_xf'?)",
        ),
        (
            "return compiled(model(names=('fare_xf', 'big_tipper')))",
            "does not take",
            "'big_tipper', which is no feature",
        ),
        (
            "return compiled(model(shape=(3,)))",
            "does not take",
            "'fare_xf' of shape [batch, 3], not [batch]",
        ),
        (
            "return compiled(model(dtype='int64'))",
            "does not take",
            "'fare_xf' of type int64, not float32",
        ),
        (
            "i = keras.Input((), name='fare_xf', dtype='string'); "
            "o = keras.layers.TextVectorization(output_sequence_length=3, vocabulary=['a'])(i); "
            "return compiled(keras.Model({'fare_xf': i}, o))",
            "does not take",
            "'fare_xf' of type string, not float32",
        ),
        (
            "raise KeyError('rate')",
            "The project's function 'build_model' failed",
            "line 30: raise KeyError",
        ),
    ],
)
def test_what_cannot_be_fitted_is_said_before_the_first_step(
    body: str, failed: str, received: str, trainer: Trainer
) -> None:
    with pytest.raises(UserModuleError) as caught:
        trainer.fit(body)
    assert failed in caught.value.failed
    assert received in str(caught.value.received)
    assert not trainer.notes


def test_classes_in_half_precision_are_refused_before_the_first_step(trainer: Trainer) -> None:
    asked: dict[str, Any] = {"mixed_precision": "mixed_bfloat16", "task": "multiclass"}
    with pytest.raises(UserModuleError, match="cannot be evaluated as multiclass") as caught:
        trainer.fit("return compiled(model())", **asked)
    assert "a last layer of bfloat16" in str(caught.value.received)
    body = "m = model(); p = keras.layers.Activation('linear', dtype='float32')(m.output); "
    assert trainer.fit(f"{body}return compiled(keras.Model(m.input, p))", **asked).history


def test_a_fit_that_fails_says_so(trainer: Trainer) -> None:
    with pytest.raises(UserModuleError, match="Training the model of build_model failed"):
        trainer.fit("return compiled(model(), loss='sparse_categorical_crossentropi')")


def test_an_input_of_one_more_dimension_is_what_keras_makes_of_it(trainer: Trainer) -> None:
    assert trainer.fit("return compiled(model(shape=(1,)))").history["loss"]


def test_a_loss_that_is_infinite_ends_training_at_once(trainer: Trainer) -> None:
    body = "return compiled(model(), loss=lambda y, p: keras.ops.mean(p) / 0.0)"
    with pytest.raises(UserModuleError, match="the loss is not a number") as caught:
        trainer.fit(body)
    assert caught.value.received == "loss inf at epoch 1, step 1"


def test_weights_that_the_last_step_made_no_numbers_end_training(trainer: Trainer) -> None:
    body = "m = compiled(model()); m.compile(keras.optimizers.SGD(float('nan')), m.loss); return m"
    with pytest.raises(UserModuleError, match="the loss is not a number") as caught:
        trainer.fit(body, epochs=1, train_steps=1)
    assert caught.value.received == "loss nan at the validation of epoch 1"


def test_early_stopping_takes_the_best_epoch(trainer: Trainer) -> None:
    section = EarlyStoppingSection(monitor="val_loss", patience=1, direction="maximize")
    fitted = trainer.fit("return compiled(model())", epochs=5, early_stopping=section)
    assert len(fitted.history["val_loss"]) == 2  # the loss falls at once, and that is worse here
    once = trainer.fit("return compiled(model())", epochs=1)
    for stopped, first in zip(fitted.model.get_weights(), once.model.get_weights(), strict=True):
        np.testing.assert_array_equal(stopped, first)


def test_early_stopping_on_what_is_not_measured_is_an_error(trainer: Trainer) -> None:
    section = EarlyStoppingSection(monitor="val_acuracy")
    with pytest.raises(ConfigError, match="did you mean 'val_accuracy'"):
        trainer.fit("return compiled(model())", early_stopping=section)


def test_a_split_of_too_few_rows_is_an_error(trainer: Trainer) -> None:
    empty = trainer.fit("return compiled(model())", batch_size=100_000)  # one small batch
    assert empty.history["loss"]
    with pytest.raises(DataError, match="no column 'tip'"):
        trainer.fit("return compiled(model())", label="tip")


def test_a_warm_start_takes_the_weights_that_fit(trainer: Trainer) -> None:
    trainer.train("return compiled(model())")
    base = trainer.out
    champion = keras.models.load_model(base / KERAS_FILE)
    same = trainer.fit("return compiled(model(), rate=0.0)", base_model=base, epochs=1)
    for warm, first in zip(same.model.get_weights(), champion.get_weights(), strict=True):
        np.testing.assert_array_equal(warm, first)
    assert "warm start: 4 of 4 weights are the champion's" in trainer.notes
    trainer.fit("return compiled(model(units=5))", base_model=base)
    assert "warm start: 1 of 4 weights are the champion's" in trainer.notes


@pytest.mark.parametrize("content", [None, b"no zip file"])
def test_a_champion_that_cannot_be_read_is_no_failure(
    content: bytes | None, trainer: Trainer, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    if content is not None:
        (base / KERAS_FILE).write_bytes(content)
    assert trainer.fit("return compiled(model())", base_model=base).history
    assert any("begins with new weights" in note for note in trainer.notes)


def test_training_is_the_same_whatever_the_process_has_trained_before(trainer: Trainer) -> None:
    body = "return compiled(model(), traced=True)"
    first = trainer.fit(body)
    keras.random.uniform(())
    again = trainer.fit(body)
    assert [v.path for v in first.model.weights] == [v.path for v in again.model.weights]
    assert first.history == again.history
    assert trainer.fit(body, seed=8).history != first.history


def test_progress_and_metrics_are_told_while_it_trains(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlproject.training.progress.SECONDS_BETWEEN", 0.0)
    live: list[str] = []
    epochs: list[tuple[int, list[str]]] = []
    request = trainer._prepare("return compiled(model())", "hyperparameters", {})
    listeners = Listeners(
        trainer.notes.append, live.append, lambda m, epoch: epochs.append((epoch, sorted(m)))
    )
    fit_model(request, trainer.module, trainer.out, listeners)
    names = ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert epochs == [(0, names), (1, names)]
    assert live[-1].startswith("epoch 2/2 100%: accuracy 0.")
    assert live[-1].endswith("0 s left")
    assert [note.partition(":")[0] for note in trainer.notes] == ["epoch 1/2", "epoch 2/2"]
    assert len({line.partition(":")[0] for line in live}) == len(live)


def test_the_device_and_the_precision_are_configuration(trainer: Trainer) -> None:
    fitted = trainer.fit("return compiled(model())", device="cpu", mixed_precision="mixed_bfloat16")
    assert fitted.model.layers[-1].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(ConfigError, match=r"training\.device gpu:7") as caught:
        trainer.fit("return compiled(model())", device="gpu:7")
    assert "cpu:0" in str(caught.value.expected)


class BreakOff(keras.callbacks.Callback):
    """Ends the process's training at a step, counted from 1 over all epochs."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture
def broken_off(trainer: Trainer, tmp_path: Path) -> dict[str, Any]:
    """A training that was broken off in its second epoch; how to ask for it again."""
    again: dict[str, Any] = {
        "batch_size": 100,
        "checkpoint_steps": 5,
        "state_dir": tmp_path / "state",
    }
    with pytest.raises(KeyboardInterrupt):
        trainer.fit("return compiled(model())", callbacks=[BreakOff(18)], **again)
    return again


def assert_trains_as_a_new_one(body: str, trainer: Trainer, again: dict[str, Any]) -> None:
    """Trains again; the weights and the history are those of a training without checkpoints."""
    new = trainer.fit(body, batch_size=100)
    fitted = trainer.fit(body, **again)
    assert fitted.history == new.history
    for one, other in zip(fitted.model.get_weights(), new.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_was_broken_off_goes_on_from_its_checkpoint(
    trainer: Trainer, broken_off: dict[str, Any]
) -> None:
    assert_trains_as_a_new_one("return compiled(model())", trainer, broken_off)
    assert "goes on from a checkpoint: epoch 2, step 2" in trainer.notes


def test_with_a_checkpoint_of_another_model_training_begins_anew_with_the_first_row(
    trainer: Trainer, broken_off: dict[str, Any]
) -> None:
    assert_trains_as_a_new_one("return compiled(model(units=5))", trainer, broken_off)
    assert "the checkpoint is of another model: training begins anew" in trainer.notes


def test_with_a_checkpoint_of_other_replicas_training_begins_anew(
    trainer: Trainer, broken_off: dict[str, Any]
) -> None:
    """Each then had another part of a batch, and the rows behind it were others."""
    file = checkpoint_file(broken_off["state_dir"], 0)
    found = read_checkpoint(file)
    assert found is not None
    assert found.place.replicas == 1
    place = dataclasses.replace(found.place, replicas=2)
    write_checkpoint(file, dataclasses.replace(found, place=place))
    assert_trains_as_a_new_one("return compiled(model())", trainer, broken_off)
    assert "the checkpoint is of 2 replicas, not 1: training begins anew" in trainer.notes


def test_a_model_that_its_first_step_builds_tells_a_foreign_checkpoint(
    trainer: Trainer, broken_off: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match="broken off") as caught:
        trainer.fit("return compiled(Picks())", **broken_off)
    assert "fit-0.npz, a checkpoint of another model" in str(caught.value.received)
