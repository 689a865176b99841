"""Trains as the Trainer does, without exporting the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mlproject.training import TrainRequest, fit_model
from mlproject.training.progress import Listeners
from mlproject.user_module import translate_full_disk


@translate_full_disk("Training a trial")
def fit_trial(
    request: TrainRequest,
    module: ModuleType,
    watch: Any,
    folder: Path,
    live: Callable[[str], None],
) -> dict[str, list[float]]:
    """Trains with one trial's hyperparameters.

    Args:
        request: What to train from.
        module: The loaded module file.
        watch: Keras callback that reports to the study and may end the trial.
        folder: Empty folder for what a `run_fn` writes; not kept.
        live: Told a line twice a second at most, within epochs.

    Returns:
        Keras's history: metric -> value by epoch.

    Raises:
        PlatformError: As `train_model` does.
    """
    return fit_model(request, module, folder, Listeners(on_progress=live), [watch]).history
