"""MLflow's client, and what its failures become: a TrackingError, TrackingUnavailable where a retry
can help.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlproject.errors import TrackingError, TrackingUnavailable
from mlproject.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


# MLflow's error codes for what it will refuse again.
_REFUSALS = frozenset(
    {
        "BAD_REQUEST",
        "ENDPOINT_NOT_FOUND",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "NOT_IMPLEMENTED",
        "PERMISSION_DENIED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)
PING_TIMEOUT_S = 4.0


def quiet_environment() -> dict[str, str]:
    """Settings that keep MLflow offline and its failures short; the user's own win."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def connect(settings: Settings) -> MlflowClient:
    """A client of the tracking store that answered.

    Raises:
        TrackingError: The server does not answer, or the store cannot be opened.
    """
    for name, value in quiet_environment().items():
        os.environ.setdefault(name, value)
    if settings.tracking_uri.startswith(("http://", "https://")):
        _ping(settings.tracking_uri)
    elif settings.tracking_is_local:
        settings.home.mkdir(parents=True, exist_ok=True)
    with translate_mlflow_errors("Opening MLflow's store", settings):
        from mlflow import MlflowClient, set_registry_uri, set_tracking_uri

        # Code that MLflow runs by itself (model loading, artifact download) reads the globals.
        set_tracking_uri(settings.tracking_uri)
        set_registry_uri(settings.tracking_uri)
        return MlflowClient(settings.tracking_uri, settings.tracking_uri)


@contextmanager
def translate_mlflow_errors(doing: str, settings: Settings) -> Iterator[None]:
    """Turns what MLflow, its HTTP client and its database raise into one TrackingError."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ModuleNotFoundError) as err:
        shown = shown_uri(settings.tracking_uri)
        received = f"{shown}: {first_line(err, settings)[:300]}"
        if _is_refusal(err):
            raise TrackingError(
                f"{doing} failed: MLflow refused it",
                received=received,
                next_step="see what MLflow says; another try will not help",
            ) from err
        raise TrackingUnavailable(
            f"{doing} failed",
            received=received,
            expected="a tracking server or store that answers",
            next_step="check MLFLOW_TRACKING_URI and the server, then run again: finished steps "
            "are kept",
        ) from err


def _is_refusal(err: Exception) -> bool:
    """True where MLflow answered and said no, so that a retry cannot help."""
    return (
        isinstance(err, ModuleNotFoundError)
        or getattr(err, "error_code", "") in _REFUSALS
        or 400 <= getattr(getattr(err, "response", None), "status_code", 0) < 429
    )


def shown_uri(uri: str) -> str:
    """A URI without the user, password and query that may stand in it."""
    # Up to the last @, since a password may hold any character; `sqlite:///...` has no user.
    return re.sub(r"^([\w+.-]+://)(?!/).*@", r"\1", uri).partition("?")[0]


def first_line(err: Exception, settings: Settings) -> str:
    """The first line of an error's text; MLflow puts whole URLs there, so without their secrets."""
    line = (str(err).strip().splitlines() or [""])[0]
    uri = settings.tracking_uri.rstrip("/")
    line = re.sub(r"(?<=://)[^\s/?#'\"]*@", "", line.replace(uri, shown_uri(uri)))
    return re.sub(r"(\w://[^\s?'\"]*)\?[^\s'\"]*", r"\1", line)


def _ping(uri: str) -> None:
    """Asks a server's health three times within seconds; a client alone would wait for minutes."""
    from urllib.parse import urlsplit

    import requests

    session = requests.Session()
    # No proxy of the environment stands between this machine and itself.
    session.trust_env = urlsplit(uri).hostname not in ("127.0.0.1", "localhost", "::1")
    problem = ""
    for attempt in range(3):
        if attempt:
            time.sleep(attempt)
        try:
            answer = session.get(f"{uri.rstrip('/')}/health", timeout=PING_TIMEOUT_S)
            if answer.ok:
                return
            problem = f"HTTP {answer.status_code}"
        except requests.RequestException as err:
            problem = type(err).__name__
    raise TrackingUnavailable(
        "The MLflow server does not answer",
        received=f"{shown_uri(uri)}: {problem}",
        expected="an MLflow tracking server at MLFLOW_TRACKING_URI",
        next_step="start it (`benison ui` runs one), or unset MLFLOW_TRACKING_URI to use the local "
        "store",
    )
