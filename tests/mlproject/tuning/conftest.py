"""A small training that a study runs many times: 512 rows, two features, a model of one layer."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.sections import TuningSection
from mlproject.settings import Settings

CODE = """
import os
import time
from pathlib import Path

import keras
import numpy as np
import optuna


def preprocessing_fn(inputs):
    return inputs


def run_fn(fn_args):
    hyperparameters = fn_args.hyperparameters
    {before}
    inputs = {{name: keras.Input((1,), name=name) for name in ("a", "b")}}
    x = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    for units in hyperparameters.get("hidden_units", []):
        x = keras.layers.Dense(units, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    # Eager: tracing a graph costs more than these few steps.
    rate = hyperparameters["learning_rate"]
    model.compile(keras.optimizers.Adam(rate), "mse", run_eagerly=True)
    model.fit(
        fn_args.data_accessor.tf_dataset("train", 256, shuffle=True),
        validation_data=fn_args.data_accessor.tf_dataset("eval", 256),
        epochs=hyperparameters.get("epochs", 2),
        callbacks=fn_args.callbacks,
        verbose=0,
    )
    return model
"""
NUMBERS = itertools.count()
SPACE = {"learning_rate": {"low": 1e-4, "high": 0.3, "log": True}}


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Transformed rows: y = 2a - b."""
    folder = tmp_path_factory.mktemp("transformed")
    rng = np.random.default_rng(5)
    for split, count in (("train", 384), ("eval", 128)):
        a, b = rng.normal(size=(2, count)).astype("float32")
        (folder / f"Split-{split}").mkdir()
        table = pa.table({"a": a, "b": b, "y": 2 * a - b})
        pq.write_table(table, folder / f"Split-{split}" / "part-0.parquet")
    return folder


@pytest.fixture
def make_job(rows: Path, settings: Settings, tmp_path: Path) -> Callable[..., Any]:
    """Makes a tuning of that training.

    Args of the function:
        before: Python that `run_fn` begins with, one line.
        more: Python at the end of the module file.
        job: Changes of the job itself, as a dict.
        The others are keys of `tuning`.
    """
    from mlproject.reach import reach_digest
    from mlproject.training import TrainRequest
    from mlproject.tuning.job import TuneJob
    from mlproject.user_module import functions_of, read_module

    def make(
        before: str = "pass", more: str = "", job: dict[str, Any] | None = None, **section: Any
    ) -> TuneJob:
        module = tmp_path / "project.py"
        module.write_text(CODE.format(before=before) + more, encoding="utf-8")
        source = read_module(module)
        names = functions_of(source, ("run_fn", "tuner_fn"))
        own = {} if "def tuner_fn" in more else {"space": SPACE}
        made = TuneJob(
            study="tiny",
            new=False,
            section=TuningSection.model_validate({"trials": 3, **own, **section}),
            request=TrainRequest(
                transformed_dir=rows,
                schema_file=rows / "schema.pbtxt",
                label="y",
                hyperparameters={"epochs": 2},
                seed=7,
                train_steps=None,
                eval_steps=None,
            ),
            module_path=module,
            code={name: reach_digest(source, (name,)) for name in names},
            settings=settings,
            experiment="tiny",
            run_id="",
            tags={},
            work_dir=tmp_path / "trials",
        )
        return dataclasses.replace(made, **(job or {}))

    return make


@pytest.fixture
def database(postgres: Any) -> Iterator[str]:
    """URL of a fresh PostgreSQL database, of a name that no MLflow client of this process knows."""
    postgres.start()
    name = f"tuning_{next(NUMBERS)}"
    postgres.execute(f"CREATE DATABASE {name}")
    yield postgres.url.removesuffix("postgres") + name
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
