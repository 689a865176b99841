"""What the Trainer is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mlproject.sections.training import EarlyStoppingSection, Task, TrainingSection

_SECTION = TrainingSection(label="label")  # where the defaults stand


@dataclass(frozen=True)
class TrainRequest:
    """What to train from; what `training` of project.yaml says, with the paths.

    Attributes:
        transformed_dir: The transform artifact's folder.
        schema_file: The raw schema.
        label: Name of the label.
        hyperparameters: Free names and values; `epochs` and `batch_size` win over those below.
        seed: Seed of everything random.
        train_steps: Steps an epoch, or None for the whole split.
        eval_steps: Steps of a validation, or None for the whole split.
        task: `binary`, `multiclass` or `regression`.
        epochs: For `build_model`.
        batch_size: Rows a step, for `build_model`.
        early_stopping: When training ends before its last epoch; None: never.
        checkpoint_steps: Steps between checkpoints; None: at the end of each epoch only.
        state_dir: Folder for checkpoints that outlives a killed process; None: no checkpoints.
        base_model: Folder with the champion's `model.keras`, for a warm start; or None.
        distribute: `none`, `mirrored` or `multi_worker`.
        device: Such as `cpu` or `gpu:1`; empty for TensorFlow's choice.
        mixed_precision: Keras's dtype policy; empty for float32.
        custom_config: Anything else for the module file.
    """

    transformed_dir: Path
    schema_file: Path
    label: str
    hyperparameters: Mapping[str, Any]
    seed: int
    train_steps: int | None
    eval_steps: int | None
    task: Task = _SECTION.task
    epochs: int = _SECTION.epochs
    batch_size: int = _SECTION.batch_size
    early_stopping: EarlyStoppingSection | None = None
    checkpoint_steps: int | None = None
    state_dir: Path | None = None
    base_model: Path | None = None
    distribute: str = _SECTION.distribute
    device: str = _SECTION.device
    mixed_precision: str = _SECTION.mixed_precision
    custom_config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_section(
        cls, section: TrainingSection, transformed_dir: Path, schema_file: Path, **more: Any
    ) -> TrainRequest:
        """What the section `training` of project.yaml asks for.

        Args:
            section: The section.
            transformed_dir: The transform artifact's folder.
            schema_file: The raw schema.
            more: Attributes that the section does not have, or that win over it.
        """
        own = {f.name for f in fields(cls)}
        asked = {name: getattr(section, name) for name in type(section).model_fields if name in own}
        return cls(transformed_dir=transformed_dir, schema_file=schema_file, **{**asked, **more})
