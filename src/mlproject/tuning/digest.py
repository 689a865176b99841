"""What a tuned result stands for: the space, the code and the hyperparameters around it."""

from __future__ import annotations

from collections.abc import Mapping

from mlproject.artifacts import fingerprint
from mlproject.sections import ProjectConfig

TUNED_CODE = ("build_model", "run_fn", "tuner_fn")
# Of the training section: what has no part in what a trial makes.
NOT_OF_TRIALS = {"checkpoint_steps", "warm_start"}


def space_digest(config: ProjectConfig, code_digests: Mapping[str, str]) -> str:
    """A hash of what hyperparameters are looked for, and of what they are looked for in.

    The number of trials, the sampler and the data do not count: what was found on other rows, or
    with fewer trials, can still be taken.

    Args:
        config: The project; one without a tuning section has a digest too, which no result has.
        code_digests: Function of the module file -> hash of the code it reaches.

    Returns:
        The hash (hex).
    """
    training, tuning = config.training, config.tuning
    space = tuning.space if tuning else {}
    return fingerprint(
        {
            "space": {name: part.model_dump(mode="json") for name, part in space.items()},
            "objective": tuning.objective if tuning else None,
            "direction": tuning.direction if tuning else None,
            "fixed": {n: v for n, v in training.hyperparameters.items() if n not in space},
            "label": training.label,
            "task": training.task,
            "custom_config": training.model_dump(mode="json")["custom_config"],
            "code": {name: code_digests[name] for name in TUNED_CODE if name in code_digests},
        }
    )
