"""The parameters of dynamic batching, TensorFlow Serving's `BatchingParameters`.

max_batch_size { value: 128 }
batch_timeout_micros { value: 1000 }
num_batch_threads { value: 4 }
allowed_batch_sizes: 32
allowed_batch_sizes: 128
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from mlproject.errors import ConfigError
from serving.model_server.config_messages import read_message

_LOOKS_LIKE = "max_batch_size { value: 128 } batch_timeout_micros { value: 1000 }"


@dataclass(frozen=True)
class BatchingParameters:
    """How requests are gathered into batches; the defaults are TensorFlow Serving's.

    Attributes:
        max_batch_size: The most rows of a batch, and of a request.
        batch_timeout_micros: How long the first request of a batch waits for others at most.
        max_enqueued_batches: How many batches may wait, per signature; more are UNAVAILABLE.
        num_batch_threads: How many batches run at once, over all models of a server.
        thread_pool_name: The label of the batching metrics.
        allowed_batch_sizes: Sizes that a batch is padded up to; the last is the largest size of a
            batch. Empty allows every size.
        pad_variable_length_inputs: Whether inputs of unequal shape are padded to the largest one;
            otherwise their batch is refused.
        enable_large_batch_splitting: Whether a request may spread over several batches.
        max_execution_batch_size: The most rows of a batch where requests are split; None is
            `max_batch_size`, which then limits the request only.

    Raises:
        ConfigError: A value makes no sense.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None

    def __post_init__(self) -> None:
        for failed, wrong in (
            (
                f"max_batch_size must be positive; was {self.max_batch_size}",
                self.max_batch_size < 1,
            ),
            (
                f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}",
                self.batch_timeout_micros < 0,
            ),
            (
                f"max_enqueued_batches must be non-negative; was {self.max_enqueued_batches}",
                self.max_enqueued_batches < 0,
            ),
            (
                f"num_batch_threads must be positive; was {self.num_batch_threads}",
                self.num_batch_threads < 1,
            ),
            (
                f"max_execution_batch_size must be positive and at most max_batch_size; was "
                f"{self.max_execution_batch_size}",
                not 1 <= self.batch_limit <= self.max_batch_size,
            ),
        ):
            if wrong:
                raise ConfigError(failed, next_step="correct the batching parameters file")
        self._check_allowed_sizes()

    @property
    def batch_limit(self) -> int:
        """The most rows that run at once."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size

    def _check_allowed_sizes(self) -> None:
        sizes = self.allowed_batch_sizes
        if any(size < 1 or size >= after for size, after in pairwise((*sizes, 2**63))):
            raise ConfigError(
                "allowed_batch_sizes entries must be monotonically increasing",
                received=", ".join(map(str, sizes)),
                expected="positive sizes, each larger than the one before",
            )
        if sizes and sizes[-1] != self.batch_limit:
            limit = "max_batch_size"
            if self.enable_large_batch_splitting:
                limit = "max_execution_batch_size"
            raise ConfigError(
                f"Last entry in allowed_batch_sizes must match {limit}; last entry was "
                f"{sizes[-1]}; expected {self.batch_limit}",
                next_step=f"end allowed_batch_sizes with {self.batch_limit}",
            )


def read_batching_parameters(path: Path) -> BatchingParameters:
    """Reads `BatchingParameters` in text form, as `--batching_parameters_file` takes them.

    Args:
        path: The file.

    Returns:
        The parameters; a default for each that the file does not set.

    Raises:
        ConfigError: The file cannot be read, is no `BatchingParameters`, or a value is wrong.
    """
    message = read_message("BatchingParameters", path, _LOOKS_LIKE)
    wrapped = {
        name: getattr(message, name).value
        for name in (
            "max_batch_size",
            "batch_timeout_micros",
            "max_enqueued_batches",
            "num_batch_threads",
            "thread_pool_name",
            "enable_large_batch_splitting",
            "max_execution_batch_size",
        )
        if message.HasField(name)
    }
    return BatchingParameters(
        **wrapped,
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
    )
