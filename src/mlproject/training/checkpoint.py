"""One checkpoint of a training: arrays and what they belong to, in one file, whole or not at all.

<state_dir>/fit-0.npz     the first `fit` of the training; fit-1.npz the second, ...
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_ABOUT = "about"


@dataclass(frozen=True)
class Place:
    """How far a `fit` has come.

    Attributes:
        epoch: The epoch that goes on, from 0.
        steps: Steps done of it (calls of the train function).
        steps_total: Steps done since the `fit` began.
        iterator_steps: Steps done since the data's iterator began.
        data_epochs: `DataAccessor.epochs_begun` when that iterator began.
        replicas: Copies of the model that share each batch, and so decide what a step is.
        finished: The `fit` is done.
        history: Metric -> value of each epoch that is done.
        logs: Metrics of the running epoch so far.
    """

    epoch: int = 0
    steps: int = 0
    steps_total: int = 0
    iterator_steps: int = 0
    data_epochs: list[int] = field(default_factory=list)
    replicas: int = 1
    finished: bool = False
    history: dict[str, list[float]] = field(default_factory=dict)
    logs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A place, and the values of every variable there.

    Attributes:
        place: How far the `fit` has come.
        groups: Group (`model`, `optimizer`, ...) -> arrays in a fixed order.
        callbacks: Callback -> its state, plain values.
    """

    place: Place
    groups: Mapping[str, list[np.ndarray]]
    callbacks: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def checkpoint_file(state_dir: Path, fit: int) -> Path:
    """The file for the checkpoints of the n-th `fit` of a training, from 0."""
    return state_dir / f"fit-{fit}.npz"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; the one before stands until this one is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"place": asdict(checkpoint.place), "callbacks": checkpoint.callbacks}
    arrays = {
        f"{group}/{number}": array
        for group, values in checkpoint.groups.items()
        for number, array in enumerate(values)
    }
    arrays[_ABOUT] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    aside = path.with_suffix(f".{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Reads a checkpoint; None where there is none, or where the file is no checkpoint."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about = json.loads(stored[_ABOUT].tobytes())
            groups: dict[str, dict[int, np.ndarray]] = {}
            for name in stored.files:
                if name != _ABOUT:
                    group, _, number = name.partition("/")
                    groups.setdefault(group, {})[int(number)] = stored[name]
        return Checkpoint(
            Place(**about["place"]),
            {group: [arrays[n] for n in sorted(arrays)] for group, arrays in groups.items()},
            about["callbacks"],
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
