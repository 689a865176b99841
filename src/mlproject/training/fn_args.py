"""What a project's `run_fn` gets; the names are TFX's where TFX has one (docs/from-tfx.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlproject.sections.training import Task
from mlproject.training_data import DataAccessor


@dataclass(frozen=True)
class FnArgs:
    """The arguments of `run_fn`.

    Attributes:
        data_accessor: Transformed rows as `tf.data.Dataset`: `tf_dataset(split, batch_size)`, or
            TFX's `tf_dataset_factory(file_pattern, options, schema)`.
        train_files: Parquet files of the transformed train split.
        eval_files: Parquet files of the transformed eval split.
        train_steps: Steps of training that project.yaml asks for, or None.
        eval_steps: Steps of validation, or None for the whole split.
        hyperparameters: The free names and values of project.yaml, or what the Tuner found.
        schema_path: The raw schema.
        transform_graph_path: The transform graph, for `tft.TFTransformOutput`.
        serving_model_dir: Where a `run_fn` that exports by itself writes its SavedModel.
        eval_model_dir: Where it may write a model for an evaluation of its own; kept, not read.
        model_run_dir: A folder for the project's own files, kept with the artifact.
        label: Name of the label.
        seed: The project's seed; Python, NumPy and TensorFlow are already seeded with it.
        task: `binary`, `multiclass` or `regression`.
        base_model: The champion's `model.keras` for a warm start, or None.
        custom_config: `training.custom_config` of project.yaml.
        callbacks: Keras callbacks for progress, learning curves, early stopping, TensorBoard and
            checkpoints; pass them to `fit`, after callbacks of your own.
    """

    data_accessor: DataAccessor
    train_files: tuple[str, ...]
    eval_files: tuple[str, ...]
    train_steps: int | None
    eval_steps: int | None
    hyperparameters: Mapping[str, Any]
    schema_path: str
    transform_graph_path: str
    serving_model_dir: str
    eval_model_dir: str
    model_run_dir: str
    label: str
    seed: int
    task: Task
    base_model: str | None = None
    custom_config: Mapping[str, Any] = field(default_factory=dict)
    callbacks: list[Any] = field(default_factory=list)

    @property
    def transform_output(self) -> str:
        """TFX's older name of `transform_graph_path`."""
        return self.transform_graph_path
