"""Why a reproduction differs from what was recorded, or may. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlproject.reproduction.values import Comparison

DIRTY = "-dirty"
# Of the environment: name -> what it is called, most telling first.
_NAMED = {
    "gpus": "GPUs",
    "replicas": "replicas of the training",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "tensorflow-transform": "TensorFlow Transform",
    "benison": "Benison",
    "numpy": "NumPy",
    "pyarrow": "Arrow",
    "python": "Python",
    "system": "system",
    "cpu": "processor",
    "cpu_flags": "instruction sets of the processor",
    "cores": "processor cores",
    "onednn": "TF_ENABLE_ONEDNN_OPTS",
}
_RECORDED = "configuration, module file and what it imports, schema and cases are the recorded ones"
_MADE_OF = {
    "ingest": "how the rows are read and split",
    "statistics": "what the statistics are made with",
    "schema": "the schema",
    "transform": "`preprocessing_fn`, or a file that it reaches",
    "train": "the code of the model, a file that it reaches, or a parameter of the training",
}


@dataclass(frozen=True)
class Circumstances:
    """What is known of then and of now, beside the numbers.

    Attributes:
        then: Environment of the recorded training; empty where it was not recorded.
        now: Environment of this one.
        commit: The recorded git commit, `-dirty` behind it where there were uncommitted changes;
            empty outside git.
        from_folder: The folder that the rest of the project came from, where it is no commit.
        module: The module file that was taken instead of the recorded one; empty for none.
        changed_steps: Steps that are not planned as they were, none of whose inputs changed.
    """

    then: Mapping[str, str] = field(default_factory=dict)
    now: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    from_folder: str = ""
    module: str = ""
    changed_steps: Sequence[str] = ()


def find_reasons(about: Circumstances, comparison: Comparison | None) -> tuple[str, ...]:
    """Everything that may make the reproduced model another one, the most telling first.

    Args:
        about: What is known of then and now.
        comparison: What was found; None where nothing could be compared.
    """
    found = [*_of_code(about), *_of_environment(about)]
    if comparison is None:
        return tuple(found)
    if comparison.asked_again:
        first = comparison.asked_again[0]
        found.insert(
            0,
            "the recorded model itself, asked again on the same rows, has other metrics than were "
            f"recorded ({first.metric} of {first.slice}: {shown(first.then)} then, "
            f"{shown(first.now)} now): what evaluates has changed, not the training alone",
        )
    if not found and comparison.verdict(0.0) != "identical":
        found.append(
            "nothing that was recorded differs: something in the training does not follow the seed "
            "(a random number of its own, the time, threads, a file or a service it reads)"
        )
    return tuple(found)


def changed_steps(
    then: Mapping[str, str], now: Mapping[str, str], inputs: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The steps whose fingerprint changed though those of their inputs did not.

    Args:
        then: Step -> the recorded fingerprint; a step that is not there is not judged.
        now: Step -> the planned fingerprint, in the order of the pipeline.
        inputs: Step -> the steps it is made of.
    """
    differ = [step for step in now if step in then and then[step] != now[step]]
    return tuple(step for step in differ if not set(inputs.get(step, ())) & set(differ))


def shown(value: float | None) -> str:
    """A metric as the messages show it."""
    return "not judged" if value is None else f"{value:.6g}"


def _of_code(about: Circumstances) -> list[str]:
    found = []
    if about.module:
        found.append(f"the module file is {about.module}, not the recorded one")
    for step in about.changed_steps:
        if about.module and step in ("statistics", "transform", "train"):
            continue
        made_of = _MADE_OF.get(step, "its configuration")
        found.append(
            f"the step '{step}' is not planned as it was: {made_of}, or the platform's own step "
            "has changed"
        )
    if about.commit.endswith(DIRTY):
        found.append(
            f"there were uncommitted changes on commit {about.commit.removesuffix(DIRTY)[:12]}; "
            f"{_RECORDED}, other files are not known to be"
        )
    if about.from_folder:
        found.append(f"{_RECORDED}, other files come from {about.from_folder} as it is now")
    return found


def _of_environment(about: Circumstances) -> list[str]:
    if not about.then:
        return ["the environment of the recorded training was not recorded"]
    return [
        f"{called}: {about.then[name] or 'none'} then, {about.now.get(name, '') or 'none'} now"
        for name, called in _NAMED.items()
        if name in about.then and about.then[name] != about.now.get(name, "")
    ]
