"""Whether an eval split can be evaluated at all: asked before a model is trained for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.cases.columns import check_cases_fit
from mlproject.evaluation.labels import read_labels
from mlproject.evaluation.slicing import plan_slices
from mlproject.examples.reader import read_batches
from mlproject.transformed import open_transformed

if TYPE_CHECKING:
    from mlproject.cases import Cases
    from mlproject.sections import ProjectConfig


def check_eval_split(
    split_dir: Path, transformed_dir: Path, config: ProjectConfig, cases: Cases | None = None
) -> None:
    """Checks the labels of the eval split, the columns that it is sliced by, and those of cases.

    Args:
        split_dir: The eval split of the Examples (raw rows).
        transformed_dir: The transform artifact. Where its rows are made on the fly, the labels are
            left to the evaluation: looking at them would transform the whole split.
        config: The project.
        cases: Its behavioural cases, if it has any.

    Raises:
        ConfigError: A case names a column that the split does not have, or that is training-only,
            or a value of it is not of the column's type.
        DataError: A column of `evaluation.slices` is missing, cannot be sliced or bucketed, or has
            too many values; or a label is missing, unfit for the task, or of one class only.
    """
    if cases is not None:
        schema = next(read_batches(split_dir, batch_rows=1)).schema
        check_cases_fit(cases, schema, config.schema_.training_only)
    plan_slices(split_dir, config.evaluation.slices, config.evaluation.buckets)
    if open_transformed(transformed_dir, "eval").files:
        read_labels(transformed_dir, config.training.label, config.training.task)
