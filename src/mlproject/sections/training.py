"""`training` and `tuning`: what the Trainer and the Tuner get."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mlproject.sections.section import Scalar, Section

Task = Literal["binary", "multiclass", "regression"]


class EarlyStoppingSection(Section):
    """When training ends before its last epoch."""

    monitor: str = Field("val_loss", description="Metric of Keras's history that is watched.")
    direction: Literal["minimize", "maximize"] = Field(
        "minimize", description="Whether less or more of it is better."
    )
    patience: int = Field(3, ge=0, description="Epochs without an improvement before it stops.")
    min_delta: float = Field(
        0.0, ge=0, description="Least change that counts as one, in the metric's own unit."
    )
    restore_best: bool = Field(True, description="Take the weights of the best epoch.")


class TrainingSection(Section):
    """What the module's `run_fn` or `build_model` gets."""

    label: str = Field(description="Output of `preprocessing_fn` that the model learns.")
    task: Task = Field(
        "binary",
        description="`binary` (label 0 or 1, one probability), `multiclass` (label 0 to N-1, N "
        "probabilities) or `regression` (one number).",
    )
    hyperparameters: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict,
        description="Free names and values, handed to the module as they are; the Tuner's win.",
    )
    epochs: int = Field(
        5, gt=0, description="For `build_model`; a hyperparameter of that name wins."
    )
    batch_size: int = Field(
        256, gt=0, description="Rows a step, for `build_model`; a hyperparameter of that name wins."
    )
    seed: int = Field(42, ge=0, description="Seeds Python, NumPy and TensorFlow.")
    train_steps: int | None = Field(
        None, gt=0, description="Steps an epoch; the whole split if left out."
    )
    eval_steps: int | None = Field(
        None, gt=0, description="Steps of validation; the whole split if left out."
    )
    early_stopping: EarlyStoppingSection | None = Field(
        None, description="Left out: every epoch is trained."
    )
    checkpoint_steps: int | None = Field(
        None,
        gt=0,
        description="Steps between checkpoints, from which a killed training goes on; at the end "
        "of each epoch if left out.",
    )
    warm_start: bool = Field(
        False, description="Begin with the champion's weights, where their shapes fit."
    )
    distribute: Literal["none", "mirrored", "multi_worker"] = Field(
        "none",
        description="`tf.distribute` strategy: `mirrored` takes all devices of this machine, "
        "`multi_worker` the workers of the environment's TF_CONFIG.",
    )
    device: str = Field(
        "", description="Such as `cpu` or `gpu:1`; TensorFlow's choice if left out."
    )
    mixed_precision: Literal["", "mixed_float16", "mixed_bfloat16"] = Field(
        "", description="Keras's dtype policy; float32 if left out."
    )
    custom_config: dict[str, Any] = Field(
        default_factory=dict, description="Anything else for `run_fn`, as `fn_args.custom_config`."
    )


class SpaceSection(Section):
    """Where a hyperparameter is looked for."""

    low: int | float | None = Field(
        None,
        description="Lowest value (inclusive). With whole bounds (`1`, not `1.0`) only whole "
        "numbers are tried.",
    )
    high: int | float | None = Field(None, description="Highest value (inclusive).")
    step: int | float | None = Field(None, gt=0, description="Distance of the values tried.")
    log: bool = Field(False, description="Search the logarithm.")
    choices: tuple[Scalar | list[Scalar], ...] = Field(
        (), description="Instead of `low` and `high`: the values."
    )

    @model_validator(mode="after")
    def _complete(self) -> SpaceSection:
        bounds = self.low is not None and self.high is not None
        if bounds == bool(self.choices) or (self.choices and (self.log or self.step)):
            raise ValueError("give either 'low' and 'high', or 'choices'")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError("'low' must be below 'high'")
            if self.log and (self.low <= 0 or self.step):
                raise ValueError("'log' needs a 'low' above 0 and no 'step'")
        return self

    @property
    def whole(self) -> bool:
        """True where only whole numbers are tried: the bounds and the step are whole."""
        given = [n for n in (self.low, self.high, self.step) if n is not None]
        return bool(given) and all(isinstance(n, int) for n in given)


class TuningSection(Section):
    """How hyperparameters are looked for: `benison tune`, or in every run of the pipeline."""

    when: Literal["by_hand", "every_run"] = Field(
        "by_hand",
        description="`by_hand`: `benison tune` looks, and training takes what it found last for "
        "this space and code. `every_run`: the pipeline has a step for it.",
    )
    space: dict[str, SpaceSection] = Field(
        default_factory=dict,
        description="Hyperparameter -> where to look. Left out: the module's `tuner_fn(trial)`.",
    )
    objective: str = Field(
        "val_loss", description="Metric of Keras's history; its best epoch counts."
    )
    direction: Literal["minimize", "maximize"] = Field(
        "minimize", description="Whether less or more of it is better."
    )
    trials: int = Field(20, gt=0, description="Trials of a study, over all workers.")
    timeout_s: float | None = Field(None, gt=0, description="Seconds after which none begins.")
    parallel: int = Field(1, gt=0, description="Worker processes on this machine.")
    sampler: Literal["tpe", "random"] = Field("tpe", description="Optuna's sampler.")
    pruner: Literal["median", "hyperband", "none"] = Field(
        "median", description="Optuna's pruner: ends a trial that lags behind the others."
    )
    seed: int = Field(42, ge=0, description="Of the sampler; several workers are not repeatable.")
