"""Arrays of several requests as one batch, and its outputs as theirs again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serving.model_server.signature import Array
from serving.model_server.status import Code, StatusError, invalid

_MAX_PADDED_RANK = 6  # TensorFlow's Pad takes no more


def row_count(feeds: Sequence[Array]) -> int:
    """The number of rows that all inputs of a request have.

    Raises:
        StatusError: There is no input, one is a scalar, or they differ in their first dimension.
    """
    if not feeds:
        raise invalid("Batching Run() must have at least one input tensor")
    if any(feed.ndim == 0 for feed in feeds):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    rows = feeds[0].shape[0]
    if any(feed.shape[0] != rows for feed in feeds):
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return int(rows)


def allowed_size(rows: int, allowed_sizes: Sequence[int]) -> int:
    """The smallest allowed size that holds the rows; the rows themselves where all are allowed."""
    return next((size for size in allowed_sizes if size >= rows), rows)


def merge(
    requests: Sequence[Sequence[Array]], names: Sequence[str], padding: int, *, pad_inner: bool
) -> list[Array]:
    """Join the inputs of several requests along their first dimension.

    Args:
        requests: For each request, an array for each input.
        names: The inputs' names, for errors.
        padding: How many rows to add; they repeat a row that was sent.
        pad_inner: Whether arrays of unequal shape are padded to the largest one.

    Returns:
        An array for each input.

    Raises:
        StatusError: The requests do not fit together.
    """
    if len(requests) == 1 and not padding:
        return list(requests[0])
    return [
        _merge_input(name, [request[index] for request in requests], padding, pad_inner)
        for index, name in enumerate(names)
    ]


def _merge_input(name: str, parts: list[Array], padding: int, pad_inner: bool) -> Array:
    if any(part.dtype != parts[0].dtype for part in parts):
        raise StatusError(Code.INTERNAL, f"Tensor concat operation failed: unequal types of {name}")
    if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
        if not pad_inner or any(part.ndim != parts[0].ndim for part in parts):
            raise StatusError(
                Code.FAILED_PRECONDITION,
                f"Tensors with name '{name}' from different tasks have different shapes and "
                "padding is turned off. Set pad_variable_length_inputs to true, or ensure that "
                "all tensors with the same name have equal dimensions starting with the first "
                "dim.",
            )
        inner = np.max([part.shape[1:] for part in parts], axis=0)
        parts = [_pad_inner(part, tuple(int(size) for size in inner)) for part in parts]
    if padding:
        row = next((part[:1] for part in reversed(parts) if len(part)), None)
        parts = parts if row is None else [*parts, np.repeat(row, padding, axis=0)]
    return np.concatenate(parts)


def _pad_inner(part: Array, inner: tuple[int, ...]) -> Array:
    """Pad all dimensions but the first, after what is there, with the array's first element."""
    if part.shape[1:] == inner:
        return part
    if part.ndim > _MAX_PADDED_RANK:
        raise invalid("Only tensors with rank from 1 to 6 can be padded.")
    if not part.size:
        raise invalid("Got empty tensor in batch of non-empty tensors.")
    padded = np.empty((len(part), *inner), part.dtype)
    padded.fill(part.flat[0])
    padded[tuple(slice(size) for size in part.shape)] = part
    return padded


def split(outputs: Sequence[Array], sizes: Sequence[int], rows: int) -> list[list[Array]]:
    """Cut the outputs of a batch into those of its requests.

    Args:
        outputs: An array for each output.
        sizes: The rows of each request.
        rows: The rows of the batch, with those that were added.

    Returns:
        For each request, an array for each output.

    Raises:
        StatusError: An output does not have one row for each row of the batch.
    """
    for output in outputs:
        if np.ndim(output) == 0:
            raise StatusError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
        if len(output) != rows:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
                "sizes of the input tensors",
            )
    if len(sizes) == 1 and sizes[0] == rows:
        return [list(outputs)]
    ends = np.cumsum(sizes).tolist()
    return [
        [output[end - size : end] for output in outputs]
        for size, end in zip(sizes, ends, strict=True)
    ]
