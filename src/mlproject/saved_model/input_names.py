"""Which names the inputs of a signature can have: TensorFlow takes some, and no two alike. Pure.

An input is a node of a graph, so `trip miles` and `_x` cannot be one; and an argument in Python, so
`class` cannot. The nodes `a` and `A`, and the arguments made of `a.b` and `a_b`, are the same.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from mlproject.errors import ConfigError

_NODE = re.compile(r"[A-Za-z0-9.]([\w.>/-]*[\w.>-])?", re.ASCII)
_TAKEN = "self"  # TensorFlow's own argument


def argument_name(name: str) -> str:
    """What an input is called where `tf.saved_model.load` loads the model: `trip-miles` becomes
    `trip_miles`; in a Session, and so for TensorFlow Serving, it keeps its name.

    Args:
        name: A name that is not refused.
    """
    plain = re.sub(r"[^A-Za-z0-9]", "_", name)
    return plain if plain[:1].isalpha() else f"arg_{plain}"


def refused_names(names: Iterable[str]) -> dict[str, str]:
    """The names that the inputs of one signature cannot have.

    Args:
        names: All inputs of the signature.

    Returns:
        Name -> why, in words; empty where all can be inputs together.
    """
    refused: dict[str, str] = {}
    nodes: dict[str, str] = {}
    arguments: dict[str, str] = {}
    for name in names:
        argument = argument_name(name)
        other = nodes.setdefault(name.lower(), name), arguments.setdefault(argument, name)
        if not _NODE.fullmatch(name):
            refused[name] = "it is no name of letters, digits and '_' that begins with a letter"
        elif keyword.iskeyword(argument) or argument == _TAKEN:
            refused[name] = "it is a word of Python"
        elif other != (name, name):
            refused[name] = f"it is the same as '{next(o for o in other if o != name)}'"
    return refused


def check_input_names(names: Iterable[str]) -> None:
    """Checks that raw features can be inputs of a model, before it is trained.

    Args:
        names: The features that the model needs at serving.

    Raises:
        ConfigError: One of them cannot.
    """
    refused = refused_names(names)
    if refused:
        raise ConfigError(
            "The model could not be served: TensorFlow takes no input of that name",
            received="; ".join(f"'{name}': {why}" for name, why in refused.items()),
            expected="names of columns such as trip_miles, different in more than their case",
            next_step="rename the columns in the data, or leave them out of preprocessing_fn",
        )
