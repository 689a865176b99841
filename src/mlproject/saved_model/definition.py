"""A signature's inputs and outputs, read from `saved_model.pb` without loading the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlproject.errors import ServingError, closest
from mlproject.saved_model_layout import MODEL_FILE, SERVING_TAG


def signature_definition(saved_model_dir: Path, signature: str) -> Any:
    """The `SignatureDef` of a signature.

    Args:
        saved_model_dir: The SavedModel.
        signature: Its signature.

    Raises:
        ServingError: The folder is no SavedModel, or the signature is not among its own.
    """
    definitions = _definitions(saved_model_dir)
    if signature not in definitions:
        names = signature_names(saved_model_dir)
        raise ServingError(
            f"The SavedModel {saved_model_dir} has no signature '{signature}'",
            received=", ".join(names) or "none at all",
            expected=closest(signature, names),
        )
    return definitions[signature]


def signature_names(saved_model_dir: Path) -> tuple[str, ...]:
    """The names of a SavedModel's signatures.

    Raises:
        ServingError: The folder is no SavedModel.
    """
    found = _definitions(saved_model_dir)
    return tuple(sorted(name for name in found if not name.startswith("__")))


def input_shape(info: Any) -> tuple[int | None, ...] | None:
    """The shape of a `TensorInfo`: None for a dimension of any size, or for a shape of any rank."""
    if info.tensor_shape.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim)


def _definitions(saved_model_dir: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = saved_model_dir / MODEL_FILE
    try:
        saved = SavedModel.FromString(file.read_bytes())
    except (OSError, DecodeError) as err:
        raise ServingError(
            f"Reading the SavedModel {saved_model_dir} failed",
            received=str(err)[:300],
            expected=f"a folder with a whole {MODEL_FILE}",
        ) from err
    for graph in saved.meta_graphs:
        if SERVING_TAG in graph.meta_info_def.tags:
            return graph.signature_def
    raise ServingError(
        f"The SavedModel {saved_model_dir} cannot be served",
        received=f"no graph with the tag '{SERVING_TAG}'",
    )
