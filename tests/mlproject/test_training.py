"""Training: what a `run_fn` may give back, what it is given, and equal models for equal seeds."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from mlproject.errors import DataError, ServingError, StorageError, UserModuleError
from mlproject.saved_model import load_test, open_signature
from mlproject.schema import read_schema
from mlproject.training import (
    HISTORY_FILE,
    INPUTS_FILE,
    KERAS_FILE,
    MODEL_FOLDER,
    fit_model,
    train_model,
)
from mlproject.training.progress import Listeners
from mlproject.training_data import DataAccessor

Load = Callable[[str], types.ModuleType]
CODE = """
import random
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

NAMES = ("fare_xf", "trip_miles_xf")
seen = []


def rows(fn_args, split="train"):
    data = fn_args.data_accessor.tf_dataset(split, 256, shuffle=split == "train")
    return data.map(lambda x, y: ({{n: x[n] for n in NAMES}}, y))


def build(loss="binary_crossentropy"):
    inputs = {{n: keras.Input((), name=n) for n in NAMES}}
    hidden = keras.ops.stack([inputs[n] for n in NAMES], axis=1)
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(4, activation="relu")(hidden))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(optimizer="adam", loss=loss)
    return model


def run_fn(fn_args):
    {body}
"""
FIT = "model = build(); model.fit(rows(fn_args), epochs=2, callbacks=fn_args.callbacks, verbose=0)"


class Trainer:
    """Trains with the body of a `run_fn` on the taxi rows."""

    def __init__(self, folder: Path, load: Load, request: Any, schema: Any) -> None:
        self.out = folder / "train"
        self.module = types.ModuleType("none")
        self.notes: list[str] = []
        self._folder, self._load, self._request, self._schema = folder, load, request, schema

    def run(self, body: str, **changes: Any) -> dict[str, list[float]]:
        self.out = self._folder / f"train{len(list(self._folder.iterdir()))}"
        self.out.mkdir()
        self.module = self._load(CODE.format(body=body))
        request = dataclasses.replace(self._request, **changes)
        return train_model(request, self.module, self._schema, self.out, self.notes.append)


@pytest.fixture
def trainer(tmp_path: Path, load_code: Load, train_request: Any, taxi_schema: Any) -> Trainer:
    return Trainer(tmp_path, load_code, train_request, taxi_schema)


def test_the_taxi_model_is_exported_with_its_history(taxi_trained: Any) -> None:
    load_test(taxi_trained.folder / MODEL_FOLDER)
    assert {p.name for p in taxi_trained.folder.iterdir()} == {
        MODEL_FOLDER,
        HISTORY_FILE,
        INPUTS_FILE,
        KERAS_FILE,
        "figures",
        "model_run",
    }
    assert list((taxi_trained.folder / "figures/tensorboard/train").glob("events.out.tfevents.*"))
    inputs = json.loads((taxi_trained.folder / INPUTS_FILE).read_text())
    assert {"fare", "company"} <= set(inputs)
    assert "tips" not in inputs  # needed for the label alone
    history = taxi_trained.history
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(values) == 1 for values in history.values())
    assert json.loads((taxi_trained.folder / HISTORY_FILE).read_text()) == history
    (note,) = taxi_trained.notes
    assert note.startswith("epoch 1/1: ")
    assert f"val_loss {history['val_loss'][0]:.4f}" in note


def test_a_returned_model_is_exported(trainer: Trainer) -> None:
    history = trainer.run(f"{FIT}; return model")
    assert len(history["loss"]) == 2
    keras.models.load_model(trainer.out / KERAS_FILE)
    with open_signature(trainer.out / MODEL_FOLDER) as predict:
        assert "fare" in predict.input_names  # type: ignore[attr-defined]
    assert list((trainer.out / "model_run").iterdir()) == []


def test_a_run_fn_may_write_its_own_saved_model(trainer: Trainer) -> None:
    history = trainer.run(
        "Path(fn_args.model_run_dir, 'notes.txt').write_text('mine'); "
        "build().export(fn_args.serving_model_dir, verbose=False)"
    )
    assert history == {}  # it passed no callbacks to a fit
    assert (trainer.out / "model_run" / "notes.txt").read_text() == "mine"
    with open_signature(trainer.out / MODEL_FOLDER) as predict:
        rows = np.zeros(3, "float32")
        (scores,) = predict({"fare_xf": rows, "trip_miles_xf": rows}).values()
    assert scores.shape == (3, 1)


def test_an_own_saved_model_that_a_session_cannot_run_is_refused(trainer: Trainer) -> None:
    with pytest.raises(ServingError, match="without a value in a Session"):
        trainer.run("tf.saved_model.save(build(), fn_args.serving_model_dir)")


def test_none_without_a_saved_model_is_a_user_module_error(trainer: Trainer) -> None:
    with pytest.raises(UserModuleError, match=r"run_fn of project\.py left no model") as caught:
        trainer.run("return None")
    assert "fn_args.serving_model_dir" in str(caught.value.received)
    assert not (trainer.out / HISTORY_FILE).exists()


@pytest.mark.parametrize(("value", "kind"), [("'a model'", "str"), ("build().layers[-1]", "Dense")])
def test_what_is_no_keras_model_is_a_user_module_error(
    value: str, kind: str, trainer: Trainer
) -> None:
    with pytest.raises(UserModuleError, match="cannot be exported") as caught:
        trainer.run(f"return {value}")
    assert caught.value.received == kind


def test_an_error_of_run_fn_names_file_line_and_error(trainer: Trainer) -> None:
    with pytest.raises(UserModuleError) as caught:
        trainer.run("return fn_args.hyperparameters['depth']")
    assert "run_fn" in caught.value.failed
    received = str(caught.value.received)
    assert "project.py line 28: return fn_args.hyperparameters['depth']" in received
    assert "KeyError: 'depth'" in received


@pytest.mark.parametrize("kind", ["writes", "exports"])
def test_a_full_disk_is_a_storage_error(
    kind: str, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "/data/x; No space left on device")

    if kind == "exports":
        monkeypatch.setattr(tf.saved_model, "save", full)
    write = "with open('/dev/full', 'w') as file: file.write('x')"
    with pytest.raises(StorageError, match="Training the model failed: the disk is full") as caught:
        trainer.run(FIT + "; return model" if kind == "exports" else write)
    assert "No space left on device" in str(caught.value.received)


def test_a_loss_that_is_not_a_number_is_a_user_module_error(trainer: Trainer) -> None:
    with pytest.raises(UserModuleError, match="the loss is not a number") as caught:
        trainer.run(FIT.replace("build()", "build(lambda y, p: p * float('nan'))"))
    assert caught.value.received == "loss nan at epoch 1, step 1"  # at once
    assert not (trainer.out / MODEL_FOLDER).exists()


def test_an_unknown_label_is_found_before_run_fn_is_called(trainer: Trainer) -> None:
    with pytest.raises(DataError) as caught:
        trainer.run("seen.append(1)", label="big_tiper")
    assert caught.value.expected == "did you mean 'big_tipper'?"
    assert trainer.module.seen == []


def test_a_dict_with_more_features_than_the_model_has_inputs_is_refused(trainer: Trainer) -> None:
    """Keras would pair them by the order of their names: another column than is served."""
    with pytest.raises(UserModuleError) as caught:
        trainer.run("build().fit(fn_args.data_accessor.tf_dataset('train', 256), verbose=0)")
    assert "run_fn" in caught.value.failed
    received = str(caught.value.received)
    assert "project.py line 28: build().fit(" in received
    assert "features that are not the model's inputs" in received
    assert "pick the features" in str(caught.value.next_step)


def test_a_warning_of_the_projects_own_is_left_alone(trainer: Trainer) -> None:
    with (
        pytest.warns(UserWarning, match="few rows"),
        pytest.raises(UserModuleError, match="left no model"),
    ):
        trainer.run("import warnings; warnings.warn('few rows')")


def test_run_fn_is_given_what_the_project_asks_for(trainer: Trainer, train_request: Any) -> None:
    with pytest.raises(UserModuleError, match="left no model"):
        trainer.run("seen.append(fn_args)", train_steps=7, eval_steps=3)
    (fn_args,) = trainer.module.seen
    assert fn_args.hyperparameters == train_request.hyperparameters
    assert (fn_args.train_steps, fn_args.eval_steps) == (7, 3)
    assert (fn_args.label, fn_args.seed, fn_args.task) == ("big_tipper", 42, "binary")
    assert fn_args.transform_output == fn_args.transform_graph_path
    assert (fn_args.base_model, fn_args.custom_config) == (None, {})
    assert "tips" in {f.name for f in read_schema(Path(fn_args.schema_path)).feature}
    output = tft.TFTransformOutput(fn_args.transform_graph_path)
    assert "fare_xf" in output.transformed_feature_spec()
    for files, split in ((fn_args.train_files, "train"), (fn_args.eval_files, "eval")):
        assert [Path(f).parent.name for f in files] == [f"Split-{split}"]
        assert all(Path(f).exists() for f in files)


def test_run_fn_may_begin_with_the_champion(trainer: Trainer) -> None:
    trainer.run(f"{FIT}; return model")
    body = "model = keras.models.load_model(fn_args.base_model); seen.append(model.get_weights())"
    trainer.run(f"{body}; return model", base_model=trainer.out)
    (weights,) = trainer.module.seen
    kept = keras.models.load_model(trainer.out / KERAS_FILE).get_weights()
    for again, first in zip(kept, weights, strict=True):
        np.testing.assert_array_equal(again, first)


def test_a_model_that_keras_cannot_save_is_exported_all_the_same(trainer: Trainer) -> None:
    trainer.run(
        "\n    ".join(
            [
                "class Scale(keras.layers.Layer):",
                "    def __init__(self, by): super().__init__(); self.by = by",
                "    def call(self, x): return x * self.by",
                "inner = build()",
                "model = keras.Model(inner.input, Scale(np.array([0.5]))(inner.output))",
                "return model",
            ]
        )
    )
    load_test(trainer.out / MODEL_FOLDER)
    assert not (trainer.out / KERAS_FILE).exists()
    (note,) = trainer.notes
    assert note.startswith("no model.keras, so no warm start from this model: ")


def test_everything_random_follows_the_seed(trainer: Trainer) -> None:
    body = (
        "seen.append((random.random(), np.random.rand(), float(tf.random.uniform(())), "
        "float(keras.random.uniform(()))))"
    )

    def drawn(seed: int) -> tuple[float, ...]:
        with pytest.raises(UserModuleError, match="left no model"):
            trainer.run(body, seed=seed)
        return trainer.module.seen[-1]  # type: ignore[no-any-return]

    first = drawn(1)
    assert drawn(1) == first
    assert not set(drawn(2)) & set(first)


def test_the_same_seed_trains_the_same_weights(trainer: Trainer) -> None:
    def weights(seed: int) -> list[np.ndarray]:
        with pytest.raises(UserModuleError, match="left no model"):
            trainer.run(f"{FIT}; seen.append(model.get_weights())", seed=seed)
        return trainer.module.seen[-1]  # type: ignore[no-any-return]

    first, again, other = weights(1), weights(1), weights(2)
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        assert not np.array_equal(one, three) or not one.any()


def test_the_taxi_model_trains_the_same_weights_again(
    taxi_trained: Any,
    taxi_module: types.ModuleType,
    taxi_schema: Any,
    train_request: Any,
    tmp_path: Path,
) -> None:
    kept: list[Any] = []

    def run_fn(fn_args: Any) -> Any:
        kept.append(taxi_module.run_fn(fn_args))
        return kept[0]

    module = types.ModuleType("again")
    module.__file__ = taxi_module.__file__
    module.run_fn = run_fn  # type: ignore[attr-defined]
    history = train_model(train_request, module, taxi_schema, tmp_path)
    assert history == taxi_trained.history
    assert math.isfinite(history["loss"][-1])
    pairs = zip(kept[0].get_weights(), taxi_trained.model.get_weights(), strict=True)
    for again, first in pairs:
        np.testing.assert_array_equal(again, first)


def test_the_examples_epochs_have_the_steps_that_were_asked_for(
    train_request: Any, taxi_module: types.ModuleType, tmp_path: Path
) -> None:
    """Without a dataset that repeats, Keras ends the second epoch where the rows end."""
    hyperparameters = {**train_request.hyperparameters, "epochs": 2}
    rows = DataAccessor(train_request.transformed_dir, train_request.label, seed=1)
    steps = rows.batches_per_epoch("train", 256) * 2 // 3
    request = dataclasses.replace(
        train_request, hyperparameters=hyperparameters, train_steps=steps, eval_steps=1
    )
    fitted = fit_model(request, taxi_module, tmp_path, Listeners())
    assert int(fitted.model.optimizer.iterations.numpy()) == 2 * steps
