"""The steps from raw data to a registered model: configuration and inputs to one call each."""

from collections.abc import Mapping

from mlproject.execution import StepFunction
from mlproject.steps.bless import run_bless
from mlproject.steps.checks import run_schema, run_validate
from mlproject.steps.data import run_ingest, run_statistics
from mlproject.steps.evaluate import run_evaluate
from mlproject.steps.register import run_register
from mlproject.steps.train import run_train
from mlproject.steps.transform import run_transform
from mlproject.steps.tune import run_tune

FUNCTIONS: Mapping[str, StepFunction] = {
    "ingest": run_ingest,
    "statistics": run_statistics,
    "schema": run_schema,
    "validate": run_validate,
    "transform": run_transform,
    "tune": run_tune,
    "train": run_train,
    "evaluate": run_evaluate,
    "bless": run_bless,
    "register": run_register,
}
