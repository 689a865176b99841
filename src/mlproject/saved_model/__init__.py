"""The exported SavedModel: the model with its transform graph inside, so serving cannot skew.

    export.py       writes one from a Keras model and a transform graph
    signatures.py   its signatures, traced
    input_names.py  the names that their inputs can have
    definition.py   a signature's inputs and outputs, read without loading the model
    session.py      loads it as TensorFlow Serving does, and asks it
    origins.py      which raw features each transformed feature comes from

On disk:

    saved_model.pb  variables/  assets/         as TensorFlow writes and serves them
    assets.extra/origins.json                   see origins.py
    assets.extra/tf_serving_warmup_requests     see warmup.py

A SavedModel that `run_fn` wrote by itself has only the signatures that it was written with.
"""

from mlproject.saved_model.export import export_saved_model
from mlproject.saved_model.input_names import check_input_names
from mlproject.saved_model.session import Predict, load_test, open_signature
from mlproject.saved_model.signatures import (
    EVAL_EXAMPLES,
    LABELS,
    OUTPUT,
    PREDICT_TRANSFORMED,
    SERVE_EXAMPLES,
    SIGNATURE,
    TRANSFORM_FEATURES,
)

__all__ = [
    "EVAL_EXAMPLES",
    "LABELS",
    "OUTPUT",
    "PREDICT_TRANSFORMED",
    "SERVE_EXAMPLES",
    "SIGNATURE",
    "TRANSFORM_FEATURES",
    "Predict",
    "check_input_names",
    "export_saved_model",
    "load_test",
    "open_signature",
]
