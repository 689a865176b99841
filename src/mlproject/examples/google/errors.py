"""What Google's libraries raise: which of it another try may heal, and what it says."""

from __future__ import annotations

from mlproject.errors import ConfigError

_HEALING_REASONS = ("rateLimitExceeded", "backendError", "internalError")
_LASTING_REASONS = ("quotaExceeded", "accessDenied")


def is_transient(err: BaseException) -> bool:
    """Whether another try may heal it."""
    import requests
    import urllib3
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    reason = reason_of(err)
    if reason in _LASTING_REASONS or isinstance(err, api.ResourceExhausted):
        return False
    lost = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    cut = (urllib3.exceptions.HTTPError, ConnectionError, auth.TransportError)
    busy = (api.TooManyRequests, api.ServerError, api.RetryError)
    is_busy = isinstance(err, (*lost, *cut, *busy)) or getattr(err, "code", None) == 408
    return is_busy or reason in _HEALING_REASONS


def reason_of(err: BaseException) -> str:
    """The service's own word for a refusal, where it gives one."""
    errors = getattr(err, "errors", None) or [{}]
    first = errors[0]
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def first_line(err: BaseException) -> str:
    """What it says, in one line; of many tries what the last one said."""
    cause = getattr(err, "cause", None) or err
    return (str(cause).splitlines() or [type(cause).__name__])[0][:300]


def no_credentials(failed: str, err: BaseException) -> ConfigError:
    """The error for credentials that are missing, or that Google does not take.

    Args:
        failed: What failed, as a sentence.
        err: What was raised.
    """
    return ConfigError(
        f"{failed}: there are no usable credentials",
        received=first_line(err),
        expected="application default credentials of Google Cloud",
        next_step="run `gcloud auth application-default login`, or set "
        "GOOGLE_APPLICATION_CREDENTIALS to a key file",
    )
