"""What a project's function gave back: a Keras model, compiled, with inputs that are there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlproject.errors import UserModuleError, closest

if TYPE_CHECKING:
    import tensorflow as tf


def check_is_model(model: object, function: str, module_name: str, expected: str) -> None:
    """Checks that a function gave a Keras model.

    Raises:
        UserModuleError: It gave something else.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise UserModuleError(
            f"{function} of {module_name} returned what cannot be exported",
            received=type(model).__name__,
            expected=expected,
        )


def check_is_compiled(model: Any, module_name: str) -> None:
    """Checks that `fit` can be called.

    Raises:
        UserModuleError: The model has no loss and no optimizer.
    """
    if not model.compiled or model._compile_loss is None or model.optimizer is None:
        raise UserModuleError(
            f"The model that build_model of {module_name} returned cannot be trained",
            received="a keras.Model without a loss"
            if model.compiled
            else "a keras.Model that is not compiled",
            expected="a compiled one",
            next_step='end build_model with `model.compile(optimizer="adam", loss=...)`',
        )


def check_output_precision(model: Any, task: str, module_name: str) -> None:
    """Checks that the probabilities of the classes can sum to 1: in half precision they do not.

    Raises:
        UserModuleError: A multiclass model ends in a layer of half precision.
    """
    outputs = getattr(model, "outputs", None) or ()
    narrow = [t.dtype for t in outputs if t.dtype in ("float16", "bfloat16")]
    if task == "multiclass" and narrow:
        raise UserModuleError(
            f"The model of {module_name} cannot be evaluated as multiclass",
            received=f"a last layer of {narrow[0]}, whose probabilities do not sum to 1",
            expected="float32 probabilities",
            next_step='give the last layer `dtype="float32"`, or drop `training.mixed_precision`',
        )


def check_inputs(model: Any, features: Mapping[str, tf.TensorSpec], module_name: str) -> list[str]:
    """Checks a model's inputs against the features that it will be given.

    Args:
        model: The model.
        features: Transformed feature -> its type, `[batch, ...]`; without those that serving
            cannot make.
        module_name: The module file, for the message.

    Returns:
        The features that it takes; all of them for a subclassed model, which picks by itself.

    Raises:
        UserModuleError: An input is no feature, or has another shape or type.
    """
    inputs = _inputs(model)
    if inputs is None:
        return list(features)
    problems = []
    for name, tensor in inputs.items():
        if name not in features:
            problems.append(f"'{name}', which is no feature ({closest(name, features)})")
            continue
        spec = features[name]
        if not _shapes_fit(tensor.shape, spec.shape):
            problems.append(f"'{name}' of shape {_dims(tensor.shape)}, not {_dims(spec.shape)}")
        elif not _types_fit(tensor.dtype, spec.dtype.name):
            problems.append(f"'{name}' of type {tensor.dtype}, not {spec.dtype.name}")
    if problems:
        raise UserModuleError(
            f"The model of {module_name} does not take what preprocessing_fn gives",
            received=f"inputs {'; '.join(problems)}",
            expected=f"inputs among {', '.join(sorted(features))}",
            next_step="name each keras.Input like an output of preprocessing_fn that needs neither "
            "the label nor a training-only column",
        )
    return list(inputs)


def _inputs(model: Any) -> dict[str, Any] | None:
    """Name -> input of a model; None for a subclassed model."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return dict(structure)
    inputs = getattr(model, "inputs", None)
    return None if inputs is None else {tensor.name: tensor for tensor in inputs}


def _shapes_fit(wanted: Any, given: Any) -> bool:
    """Keras adds or takes away a last dimension of 1; else ranks and known dimensions agree."""
    ours, theirs = list(wanted)[1:], list(given)[1:]
    if len(ours) == len(theirs) + 1 and ours[-1] == 1:
        ours = ours[:-1]
    elif len(theirs) == len(ours) + 1 and theirs[-1] == 1:
        theirs = theirs[:-1]
    return len(ours) == len(theirs) and all(
        a is None or b is None or a == b for a, b in zip(ours, theirs, strict=True)
    )


def _types_fit(wanted: str, given: str) -> bool:
    """Keras casts; numbers to wider numbers is fine, fractions to whole numbers is a mistake."""
    if "string" in (wanted, given):
        return wanted == given
    return not (wanted.startswith(("int", "uint", "bool")) and "float" in given)


def _dims(shape: Any) -> str:
    return "[" + ", ".join("batch" if n is None else str(n) for n in shape) + "]"


@contextmanager
def features_must_match_inputs() -> Iterator[None]:
    """Makes an error of Keras's warning about a dict with other keys than the model's inputs.

    Keras 3 then pairs values and inputs by the sorted order of the keys: a model with inputs for
    some of the features would learn from the wrong columns, and be served the right ones.
    """
    with warnings.catch_warnings():
        message = r"(?s)The structure of `inputs` doesn't match.*Received: inputs=\{"
        warnings.filterwarnings("error", message, UserWarning)
        try:
            yield
        except UserModuleError as err:
            if not isinstance(err.__cause__, UserWarning):
                raise
            raise UserModuleError(
                err.failed,
                received=str(err.received).partition(";")[0] + ", called with features that are not"
                " the model's inputs",
                expected="a dict that has the model's inputs, and no other key",
                next_step="pick the features: "
                "`dataset.map(lambda x, y: ({n: x[n] for n in NAMES}, y))`",
            ) from err
