"""`training`: what the Trainer gets."""

from __future__ import annotations

from pydantic import Field

from mlproject.sections.section import Scalar, Section


class TrainingSection(Section):
    """What `run_fn` gets."""

    label: str = Field(description="Output of `preprocessing_fn` that the model learns, 0 or 1.")
    hyperparameters: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Free names and values, handed to `run_fn` as they are."
    )
    seed: int = Field(42, ge=0, description="Seeds Python, NumPy and TensorFlow.")
    train_steps: int | None = Field(
        None, gt=0, description="Steps of training handed to `run_fn`; None leaves it to `run_fn`."
    )
    eval_steps: int | None = Field(
        None, gt=0, description="Steps of validation handed to `run_fn`; None is the whole split."
    )
