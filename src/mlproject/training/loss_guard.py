"""Ends a training at once when its loss is no number. Imported only where a model is fitted."""

from __future__ import annotations

import math
from typing import Any

import keras

from mlproject.errors import UserModuleError


class LossGuard(keras.callbacks.Callback):
    """Raises as soon as the loss is NaN or infinite, or the loss of a validation NaN.

    The weights that an epoch's last step made show in its validation alone.

    Args:
        module_name: The module file, for the message.
    """

    def __init__(self, module_name: str) -> None:
        super().__init__()
        self._module_name = module_name
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._check((logs or {}).get("loss"), f"epoch {self._epoch + 1}, step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._check((logs or {}).get("loss"), f"epoch {epoch + 1}")
        validated = (logs or {}).get("val_loss")
        if validated is not None and math.isnan(validated):
            self._check(validated, f"the validation of epoch {epoch + 1}")

    def _check(self, loss: float | None, where: str) -> None:
        if loss is not None and not math.isfinite(loss):
            raise UserModuleError(
                f"Training with {self._module_name} failed: the loss is not a number",
                received=f"loss {loss} at {where}",
                expected="a finite loss",
                next_step="lower the learning rate, or look for values that are NaN or infinite "
                "in the outputs of preprocessing_fn",
            )
