"""The platform's own `fit`, for a module file that has `build_model`.

Imported only where a model is fitted.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from mlproject.errors import ConfigError, DataError, PlatformError
from mlproject.training.fn_args import FnArgs
from mlproject.training.model_checks import (
    check_inputs,
    check_is_compiled,
    check_is_model,
    check_output_precision,
)
from mlproject.training.request import TrainRequest
from mlproject.training.resume import Resume
from mlproject.training.warm_start import load_base_weights
from mlproject.user_module import call_user_function, explain_user_error


@dataclass(frozen=True)
class FitPlan:
    """How long to fit.

    Attributes:
        epochs: Epochs.
        batch_size: Rows a step.
        steps: Steps an epoch.
        eval_batch_size: Rows a step of validation.
    """

    epochs: int
    batch_size: int
    steps: int
    eval_batch_size: int


def build(module: ModuleType, fn_args: FnArgs) -> keras.Model:
    """Calls the project's `build_model` and checks what it gives.

    Raises:
        UserModuleError: It raised, or gave no compiled Keras model of the precision that its task
            needs.
    """
    path = Path(str(module.__file__))
    function = module.build_model
    arguments: tuple[Any, ...] = (dict(fn_args.hyperparameters), fn_args)
    model = call_user_function(function, path, *arguments[: _positional(function)])
    check_is_model(model, "build_model", path.name, "a compiled keras.Model")
    check_is_compiled(model, path.name)
    check_output_precision(model, fn_args.task, path.name)
    return model


def fit(
    model: keras.Model,
    request: TrainRequest,
    module: ModuleType,
    fn_args: FnArgs,
    servable: frozenset[str],
) -> None:
    """Fits a model on the transformed rows.

    Args:
        model: The compiled model.
        request: What to train from.
        module: The module file.
        fn_args: The rows and the callbacks.
        servable: The outputs of `preprocessing_fn` that serving can make, too.

    Raises:
        UserModuleError: The model's inputs are not among the features, or the fit failed.
        DataError: A split has fewer rows than a step needs.
        ConfigError: `epochs` or `batch_size` among the hyperparameters is no whole number.
    """
    path = Path(str(module.__file__))
    accessor = fn_args.data_accessor
    plan = _plan(request, fn_args)
    resume = next((c for c in fn_args.callbacks if isinstance(c, Resume)), None)
    first = 0 if resume is None else resume.first_batch(model)
    train = accessor.tf_dataset(
        "train", plan.batch_size, shuffle=True, repeat=True, first_batch=first
    )
    evaluate = accessor.tf_dataset("eval", plan.eval_batch_size)
    features = {n: spec for n, spec in train.element_spec[0].items() if n in servable}
    names = check_inputs(model, features, path.name)

    def pick(features: dict[str, Any], label: Any) -> Any:
        return {name: features[name] for name in names}, label

    try:
        model.fit(
            train.map(pick),
            epochs=plan.epochs,
            steps_per_epoch=plan.steps,
            validation_data=evaluate.map(pick),
            validation_steps=request.eval_steps,
            callbacks=fn_args.callbacks,
            shuffle=False,  # the dataset shuffles
            verbose=0,
        )
    except PlatformError:
        raise
    except Exception as err:
        raise explain_user_error(err, path, "Training the model of build_model") from err


def warm_start(model: keras.Model, base_model: Path, module: ModuleType, fn_args: FnArgs) -> str:
    """Begins with the weights of an earlier model; says how many."""
    if not model.built:
        features, _ = fn_args.data_accessor.tf_dataset("train", 1).element_spec
        model({name: tf.zeros([1, *spec.shape[1:]], spec.dtype) for name, spec in features.items()})
    return load_base_weights(model, base_model, module)


def _plan(request: TrainRequest, fn_args: FnArgs) -> FitPlan:
    accessor, replicas = fn_args.data_accessor, fn_args.data_accessor.replicas
    epochs = _whole("epochs", fn_args.hyperparameters.get("epochs", request.epochs))
    size = _whole("batch_size", fn_args.hyperparameters.get("batch_size", request.batch_size))
    rows, eval_rows = accessor.row_count("train"), accessor.row_count("eval")
    eval_size = min(size, eval_rows // replicas * replicas) if replicas > 1 else size
    for split, count, steps in (
        ("train", rows, accessor.batches_per_epoch("train", size)),
        ("eval", eval_rows, accessor.batches_per_epoch("eval", eval_size) if eval_size else 0),
    ):
        if not steps:
            raise DataError(
                f"Training on the split '{split}' failed",
                received=f"{count:,} rows, {replicas} replicas and batch_size {size}",
                expected="rows for one step at least",
            )
    if size < replicas:
        raise ConfigError(
            "Sharing a batch among replicas failed",
            received=f"batch_size {size} for {replicas} replicas",
            expected="a row for each at least",
        )
    steps = request.train_steps or accessor.batches_per_epoch("train", size)
    return FitPlan(epochs, size, steps, eval_size)


def _whole(name: str, value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < 1:
        raise ConfigError(
            "Reading the hyperparameters failed",
            received=f"{name}: {value!r}",
            expected="a whole number above 0",
        )
    return int(value)


def _positional(function: Any) -> int:
    """How many of (hyperparameters, fn_args) `build_model` takes."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 2
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(2, sum(p.kind in kinds for p in parameters))
