"""Early stopping by `training.early_stopping`. Imported only where a model is fitted."""

from __future__ import annotations

from typing import Any

import keras

from mlproject.errors import ConfigError, closest
from mlproject.sections.training import EarlyStoppingSection


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's, which takes a metric that is never measured for an error and not for a warning.

    Args:
        section: What project.yaml says.
    """

    def __init__(self, section: EarlyStoppingSection) -> None:
        super().__init__(
            monitor=section.monitor,
            min_delta=section.min_delta,
            patience=section.patience,
            mode="min" if section.direction == "minimize" else "max",
            restore_best_weights=section.restore_best,
        )

    def get_monitor_value(self, logs: Any) -> float:
        """The metric's value of an epoch.

        Raises:
            ConfigError: It is not measured.
        """
        if self.monitor not in (logs or {}):
            raise ConfigError(
                "Early stopping failed",
                received=f"training.early_stopping.monitor {self.monitor}",
                expected=closest(self.monitor, logs or {}),
                next_step="name a metric that the model is compiled with; `val_...` needs "
                "validation data in `fit`",
            )
        return float(logs[self.monitor])
