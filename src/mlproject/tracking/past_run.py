"""Reads back a run that MLflow keeps; imports MLflow when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlproject.settings import Settings
from mlproject.tracking.connection import connect, translate_mlflow_errors


@dataclass(frozen=True)
class PastRun:
    """What a run was logged with.

    Attributes:
        params: Parameter -> text, cut at MLflow's limit.
        tags: Tag -> text.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def read_run(settings: Settings, run_id: str | None) -> PastRun | None:
    """A run's parameters and tags.

    Args:
        settings: The platform's settings.
        run_id: The run; None for none.

    Returns:
        The run, or None where there is none of that id, or no longer.

    Raises:
        TrackingError: MLflow does not answer.
    """
    if not run_id:
        return None
    from mlflow.exceptions import MlflowException

    client = connect(settings)
    with translate_mlflow_errors("Reading an MLflow run", settings):
        try:
            found = client.get_run(run_id)
        except MlflowException as err:
            if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
    return PastRun(dict(found.data.params), dict(found.data.tags))
