"""Reads the file of behavioural cases that `evaluation.cases` names."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from mlproject.cases.sections import Cases, ChangedCase, GoldenCase, InvarianceCase
from mlproject.config import explain, parse_mapping
from mlproject.errors import ConfigError, closest
from mlproject.sections.training import Task

MAX_BYTES = 4 << 20
PAGE = "docs/blessing.md"


def read_cases(path: Path, task: Task | None = None) -> Cases:
    """Reads and checks a file of behavioural cases.

    Args:
        path: The YAML file.
        task: The task of the model, if the cases are to be checked against it.

    Raises:
        ConfigError: There is no such file, it is no YAML, or a key or value is wrong.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(
                "Reading the behavioural cases failed",
                received=f"{path}, of {path.stat().st_size:,} bytes",
                expected=f"at most {MAX_BYTES:,} bytes",
                next_step="keep the rows that matter; large sets of rows belong in the eval split",
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        near = [p.name for p in path.parent.glob("*.y*ml")]
        raise ConfigError(
            "Reading the behavioural cases failed",
            received=f"{path}: {getattr(err, 'strerror', None) or err}",
            expected=f"a YAML file ({closest(path.name, near)})",
            next_step="set `evaluation.cases` in project.yaml",
        ) from err
    values = parse_mapping(text, str(path), "a mapping with golden, invariance or directional")
    try:
        cases = Cases.model_validate(values)
    except ValidationError as err:
        raise explain(err, str(path), Cases, PAGE) from err
    if task is not None:
        check_task(cases, task)
    return cases


def check_task(cases: Cases, task: Task) -> None:
    """Checks that the cases can be asked of a model of this task.

    Raises:
        ConfigError: A case names a class that the task does not have, or has to name one.
    """
    for case in cases.everything:
        wrong = _wrong_class(case, task)
        if wrong:
            raise ConfigError(
                f"The behavioural case '{case.name}' does not fit a {task} task",
                received=wrong,
                expected={
                    "regression": "no 'class': there is one prediction a row",
                    "binary": "class 0 or 1",
                    "multiclass": "'class', whose probability the case is about",
                }[task],
                next_step=f"mend the file of cases ({PAGE})",
            )


def _wrong_class(case: GoldenCase | ChangedCase, task: Task) -> str | None:
    given = case.class_
    if given is None:
        # An invariance may be about all classes at once; nothing else can be.
        every = isinstance(case, InvarianceCase)
        return "no class" if task == "multiclass" and not every else None
    if task == "regression" or (task == "binary" and given > 1):
        return f"class {given}"
    return None
