"""Same data, code, parameters and seed: the same weights on the same machine."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seeds Python, NumPy, TensorFlow and Keras, and has operations give one result in a block.

    TensorFlow takes no operation whose result depends on timing, such as a sum over threads. Layers
    are named from the start again (`dense`, `dense_1`), however many this process has made.

    Args:
        seed: The seed.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework import config  # what Keras reads, too; no public name

    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    random.seed(seed)
    before = config.is_op_determinism_enabled()
    if not before:
        tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        # Other steps of this process may make random numbers in graphs that have no seed.
        if not before:
            config.disable_op_determinism()
