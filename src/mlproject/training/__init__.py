"""The Trainer: transformed rows and the project's module file to a SavedModel.

The artifact:

    saved_model/          what is registered and served (see saved_model.py)
    model.keras           the Keras model itself, for a warm start and for notebooks
    model_run/            the project's own files (`fn_args.model_run_dir`)
    history.json          Keras's history: metric -> value by epoch
    inputs.json           the raw features that the served model takes
    figures/tensorboard/  TensorBoard's logs (`benison tensorboard`)
"""

from mlproject.training.cluster import is_chief
from mlproject.training.export import KERAS_FILE, MODEL_FOLDER
from mlproject.training.fn_args import FnArgs
from mlproject.training.request import TrainRequest
from mlproject.training.trainer import (
    HISTORY_FILE,
    INPUTS_FILE,
    Fitted,
    fit_model,
    train_model,
)

__all__ = [
    "HISTORY_FILE",
    "INPUTS_FILE",
    "KERAS_FILE",
    "MODEL_FOLDER",
    "Fitted",
    "FnArgs",
    "TrainRequest",
    "fit_model",
    "is_chief",
    "train_model",
]
