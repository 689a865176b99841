"""What a `ModelServer` says when a model cannot be served as asked."""

from __future__ import annotations

from collections.abc import Iterable

from mlproject.errors import ServingError, closest
from serving.model_server.served_model import ServedModel


def unknown_model(name: str, models: Iterable[str]) -> ServingError:
    """There is no such model.

    Args:
        name: The name that was asked for.
        models: Those that are served.
    """
    return ServingError(
        "Finding a served model failed", received=f"'{name}'", expected=closest(name, models)
    )


def not_moved(model: ServedModel, version: int | None, reason: str) -> ServingError:
    """A version could not be made the one that answers.

    Args:
        model: The model.
        version: The version that was asked for; None for the newest.
        reason: Why it did not load.
    """
    now = model.available_version
    return ServingError(
        f"Serving version {version} of model '{model.name}' failed",
        received=reason,
        expected=f"a SavedModel that loads in {model.base_path / str(version)}",
        next_step=f"version {now} goes on answering" if now else "nothing is served yet",
    )


def not_available(model: ServedModel, timeout_s: float) -> ServingError:
    """A model does not answer.

    Args:
        model: The model.
        timeout_s: How long was waited for it.
    """
    failure = model.wanted_failure()
    if failure:
        return ServingError(
            f"Version {failure.version} of model '{model.name}' did not load",
            received=failure.message,
            expected="a SavedModel that loads in a TensorFlow session",
            next_step="export it again; a version whose files change is tried again",
        )
    return ServingError(
        f"Model '{model.name}' is not available after {timeout_s:g} s",
        received=", ".join(f"version {s.version}: {s.state.name}" for s in model.statuses())
        or f"no version in {model.base_path}",
        expected="a numeric folder with a SavedModel, such as 1/saved_model.pb",
        next_step=f"export a version to {model.base_path}, or wait longer",
    )
