"""MLflow tracking: one run for a pipeline, one nested run for each step."""

from mlproject.tracking.code import code_tags, git_commit
from mlproject.tracking.connection import (
    connect,
    first_line,
    quiet_environment,
    shown_uri,
    translate_mlflow_errors,
)
from mlproject.tracking.names import FINGERPRINT_TAG, ROOT_TAG, STEP_TAG, TAG
from mlproject.tracking.tracker import Tracker

__all__ = [
    "FINGERPRINT_TAG",
    "ROOT_TAG",
    "STEP_TAG",
    "TAG",
    "Tracker",
    "code_tags",
    "connect",
    "first_line",
    "git_commit",
    "quiet_environment",
    "shown_uri",
    "translate_mlflow_errors",
]
