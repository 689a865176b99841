"""What serving has: the raw features that a model is asked with, and what the graph makes of them.

It loads the transform graph, so with workers it is asked once they have joined.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError
from mlproject.saved_model import check_input_names
from mlproject.schema import read_schema, serving_features
from mlproject.training.request import TrainRequest
from mlproject.transform import GRAPH_FOLDER, TransformGraph

if TYPE_CHECKING:
    from mlproject.training.progress import Listeners


@dataclass(frozen=True)
class AtServing:
    """What there is at serving.

    Attributes:
        inputs: The raw features that the transform graph needs there, in the schema's order.
        outputs: The outputs of `preprocessing_fn` that it can make of them, without the label.
    """

    inputs: tuple[str, ...]
    outputs: frozenset[str]


def at_serving(request: TrainRequest) -> AtServing:
    """What there is at serving of the features that a training has."""
    return _read(request.transformed_dir, request.schema_file, request.label)


@functools.lru_cache(maxsize=1)  # the trials of a tuning ask again and again
def _read(transformed_dir: Path, schema_file: Path, label: str) -> AtServing:
    graph = TransformGraph(transformed_dir / GRAPH_FOLDER)
    available = serving_features(read_schema(schema_file))
    there = set(available)
    outputs = (name for name, raw in graph.sources().items() if there.issuperset(raw))
    return AtServing(graph.needed_features(available, label), frozenset(outputs) - {label})


def check_inputs_have_names(
    request: TrainRequest, module: ModuleType, listeners: Listeners
) -> None:
    """Refuses raw features that no signature of a model can take, before the training.

    A `run_fn` may export a model of its own, with other inputs: it is told, and goes on.

    Args:
        request: What to train from.
        module: The loaded module file.
        listeners: Who is told.

    Raises:
        ConfigError: A feature cannot be an input, and `build_model` makes the model.
    """
    may_export = hasattr(module, "run_fn")
    if may_export and listeners.on_note is None:
        return  # nobody to tell: a trial of a tuning
    try:
        check_input_names(at_serving(request).inputs)
    except ConfigError as err:
        if not may_export or listeners.on_note is None:
            raise
        name = Path(str(module.__file__)).name
        listeners.on_note(f"unless {name} exports a model of its own: {err}")
