"""Where a model trains: one device, all of this machine's, or the workers of TF_CONFIG."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlproject.errors import ConfigError
from mlproject.training.cluster import is_chief, wait_for_chief


@dataclass(frozen=True)
class Devices:
    """Where a model trains.

    Attributes:
        replicas: Copies of the model that share each batch.
        strategy: The `tf.distribute` strategy, or None.
        device: TensorFlow's name of one device, or empty.
    """

    replicas: int
    strategy: Any
    device: str

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Has the models built and fitted in a block train there."""
        import tensorflow as tf

        with contextlib.ExitStack() as stack:
            if self.strategy is not None:
                stack.enter_context(self.strategy.scope())
                stack.enter_context(_mended_fit())
            elif self.device:
                stack.enter_context(tf.device(self.device))
            yield


@contextmanager
def training_on(distribute: str, device: str, mixed_precision: str) -> Iterator[Devices]:
    """Finds the devices that project.yaml names, and sets Keras's dtype policy for a block.

    Args:
        distribute: `none`, `mirrored` or `multi_worker`.
        device: Such as `cpu` or `gpu:1`; empty for TensorFlow's choice.
        mixed_precision: Keras's dtype policy; empty for float32.

    Raises:
        ConfigError: There is no such device, TF_CONFIG is wrong, its chief does not begin, or
            TensorFlow was used before the workers could be joined.
    """
    import keras

    strategy = _strategy(distribute, device)
    name = _device_name(device) if device else ""
    replicas = 1 if strategy is None else strategy.num_replicas_in_sync
    before = keras.config.dtype_policy()
    if mixed_precision:
        keras.config.set_dtype_policy(mixed_precision)
    try:
        yield Devices(replicas, strategy, name)
    finally:
        keras.config.set_dtype_policy(before)


def _strategy(distribute: str, device: str) -> Any:
    import tensorflow as tf

    if distribute == "none":
        return None
    if device:
        raise ConfigError(
            "Choosing where to train failed",
            received=f"training.device {device} with training.distribute {distribute}",
            expected="one of the two: a strategy takes every device",
        )
    if distribute == "mirrored":
        return tf.distribute.MirroredStrategy()
    if not is_chief(distribute):
        wait_for_chief()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as err:
        raise ConfigError(
            "Joining the workers of TF_CONFIG failed",
            received=" ".join(str(err).split())[:200],
            expected="a process in which TensorFlow was not used before",
            next_step="run the steps before it first, then training by itself: "
            "`benison step train PROJECT`",
        ) from err


def _device_name(device: str) -> str:
    import tensorflow as tf

    found = re.fullmatch(r"/?([A-Za-z]+)(?::(\d+))?", device)
    name = f"{found[1].upper()}:{found[2] or 0}" if found else ""
    present = [d.name.removeprefix("/device:") for d in tf.config.list_logical_devices() if d.name]
    if name not in present:
        raise ConfigError(
            "Choosing where to train failed",
            received=f"training.device {device}",
            expected="one of this machine's devices: " + ", ".join(d.lower() for d in present),
        )
    return f"/{name}"


@contextmanager
def _mended_fit() -> Iterator[None]:
    """Lets Keras's `fit` run with inputs in a dict, and with several workers.

    Keras 3.15 asks the strategy to average a whole batch, which fails for a dict of features, and
    to average metrics, which are scalars, along their first axis. Both are called by these names
    in keras/src/backend/tensorflow/trainer.py.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow import trainer

    build, reduce = trainer.TensorFlowTrainer._maybe_symbolic_build, trainer.reduce_per_replica

    def build_from_one_replica(model: Any, iterator: Any = None, data_batch: Any = None) -> None:
        strategy = model.distribute_strategy
        if iterator is not None:
            _, _, batches = next(iter(iterator))
            data_batch = next(batches)
        one = tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], data_batch
        )
        with strategy.scope():
            model._symbolic_build(data_batch=one)

    def reduce_scalars_too(values: Any, strategy: Any, reduction: str) -> Any:
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if not several or reduction not in ("auto", "mean"):
            return reduce(values, strategy, reduction)
        return tf.nest.map_structure(
            lambda value: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None), values
        )

    trainer.TensorFlowTrainer._maybe_symbolic_build = build_from_one_replica
    trainer.reduce_per_replica = reduce_scalars_too
    try:
        yield
    finally:
        trainer.TensorFlowTrainer._maybe_symbolic_build = build
        trainer.reduce_per_replica = reduce
