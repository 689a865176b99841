"""Why a change of the configuration is refused, or fails: TensorFlow Serving's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from serving.model_config import ModelConfig
from serving.model_server.options import ManagerOptions
from serving.model_server.served_model import ServedModel
from serving.model_server.status import Code, StatusError


def check_labels(
    configs: Iterable[ModelConfig],
    models: Mapping[str, ServedModel],
    options: ManagerOptions,
) -> None:
    """Checks that each label names a version that is loaded, or may name one that is not.

    Args:
        configs: The models to serve.
        models: Those that are served now, by name.
        options: Whether labels may be ahead of their versions.

    Raises:
        StatusError: FAILED_PRECONDITION: a label is, and may not.
    """
    if options.any_labels_for_unavailable:
        return
    for config in configs:
        model = models.get(config.name)
        for label, version in config.labels.items():
            now = model.labels.get(label, version) if model else version
            if options.labels_for_unavailable and now == version:
                continue
            if model is None or model.live(version) is None:
                raise StatusError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {config.name}, "
                    "which is not currently available for inference",
                )


def not_available(models: Sequence[ServedModel]) -> StatusError:
    """UNKNOWN, with each model that was awaited and does not answer.

    Args:
        models: These models.
    """
    shown = []
    for model in models:
        status = model.wanted_failure()
        if status is None:
            shown.append(f"{{name: {model.name}}}")
            continue
        shown.append(
            f"{{{{name: {model.name} version: {status.version}}} due to error: "
            f"{status.code.name}: {status.message}}}"
        )
    texts = "".join(f"{text}, " for text in shown)
    return StatusError(
        Code.UNKNOWN, f"{len(models)} model(s) did not become available: {{{texts}}}"
    )
