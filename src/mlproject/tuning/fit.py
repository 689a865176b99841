"""Trains as the Trainer does, without exporting the model."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from mlproject.training import (
    FnArgs,
    TrainRequest,
    _check_history,
    _features_must_match_inputs,
    _history_callback,
)
from mlproject.training_data import DataAccessor
from mlproject.transform import GRAPH_FOLDER
from mlproject.user_module import call_user_function, translate_full_disk


@translate_full_disk("Training a trial")
def fit_trial(
    request: TrainRequest, module: ModuleType, watch: Any, folder: Path
) -> dict[str, list[float]]:
    keras.utils.set_random_seed(request.seed)
    random.seed(request.seed)
    accessor = DataAccessor(request.transformed_dir, request.label, request.seed)
    accessor.check_label()
    history, callback = _history_callback(None)
    (folder / "model_run").mkdir()
    module_path = Path(str(module.__file__))
    fn_args = FnArgs(
        data_accessor=accessor,
        train_files=accessor.files("train"),
        eval_files=accessor.files("eval"),
        train_steps=request.train_steps,
        eval_steps=request.eval_steps,
        hyperparameters=dict(request.hyperparameters),
        schema_path=str(request.schema_file),
        transform_graph_path=str(request.transformed_dir / GRAPH_FOLDER),
        serving_model_dir=str(folder / "model"),
        model_run_dir=str(folder / "model_run"),
        label=request.label,
        seed=request.seed,
        callbacks=[callback, watch],
    )
    with _features_must_match_inputs():
        call_user_function(module.run_fn, module_path, fn_args)
    _check_history(history, module_path)
    return history
