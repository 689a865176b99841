"""Everything that a process needs to run trials; it is pickled to the workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mlproject.errors import DataError
from mlproject.reach import reach_digest
from mlproject.sections import TuningSection
from mlproject.settings import Settings
from mlproject.training import TrainRequest
from mlproject.user_module import load_module, read_module


@dataclass(frozen=True)
class Listener:
    """Who is told how a tuning goes.

    Attributes:
        note: Told a line to keep, such as a trial's end.
        live: Told a line that the next one replaces.
    """

    note: Callable[[str], None]
    live: Callable[[str], None]


@dataclass(frozen=True)
class TuneJob:
    """A tuning.

    Attributes:
        study: The study's name; the same name goes on with the same study.
        new: Begin a new study of that name, and leave the earlier one as it is.
        section: `tuning` of project.yaml.
        request: What to train from; a trial's hyperparameters are merged over its own.
        module_path: The module file.
        code: Function of the module file -> hash of the code it reaches, as planned.
        settings: The platform's settings.
        experiment: The MLflow experiment.
        run_id: The step's MLflow run, the parent of the trials'.
        tags: Tags of every trial's MLflow run.
        work_dir: Folder for what a trial writes; emptied after each.
    """

    study: str
    new: bool
    section: TuningSection
    request: TrainRequest
    module_path: Path
    code: Mapping[str, str]
    settings: Settings
    experiment: str
    run_id: str
    tags: Mapping[str, str]
    work_dir: Path

    def load_module(self) -> ModuleType:
        """The module file, as it was planned.

        Raises:
            DataError: It changed since.
        """
        source = read_module(self.module_path)
        for name, planned in self.code.items():
            if reach_digest(source, (name,)) != planned:
                raise DataError(
                    "The module file changed while the tuning was going on",
                    received=f"{name} of {self.module_path.name} is not what was planned",
                    next_step="run again: trials of unchanged code are kept",
                )
        return load_module(source)


def cpu_count() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
