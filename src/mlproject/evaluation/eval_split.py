"""Whether an eval split can be evaluated at all: asked before a model is trained for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.evaluation.labels import read_labels
from mlproject.evaluation.slicing import plan_slices
from mlproject.transformed import open_transformed

if TYPE_CHECKING:
    from mlproject.sections import ProjectConfig


def check_eval_split(split_dir: Path, transformed_dir: Path, config: ProjectConfig) -> None:
    """Checks the labels of the eval split and the columns that it is sliced by.

    Args:
        split_dir: The eval split of the Examples (raw rows).
        transformed_dir: The transform artifact. Where its rows are made on the fly, the labels are
            left to the evaluation: looking at them would transform the whole split.
        config: The project.

    Raises:
        DataError: A column of `evaluation.slices` is missing, cannot be sliced or bucketed, or has
            too many values; or a label is missing, unfit for the task, or of one class only.
    """
    plan_slices(split_dir, config.evaluation.slices, config.evaluation.buckets)
    if open_transformed(transformed_dir, "eval").files:
        read_labels(transformed_dir, config.training.label, config.training.task)
