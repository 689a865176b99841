"""Behavioural cases: golden rows, invariances and directions that a model must hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlproject.cases.file import read_cases
from mlproject.cases.results import CASES_FILE, read_results, write_results
from mlproject.cases.sections import Cases
from mlproject.cases.values import CaseResult

if TYPE_CHECKING:
    import pyarrow as pa

    from mlproject.saved_model import Predict
    from mlproject.sections.training import Task

__all__ = [
    "CASES_FILE",
    "CaseResult",
    "Cases",
    "check_cases",
    "read_cases",
    "read_results",
    "write_results",
]


def check_cases(
    cases: Cases, predict: Predict, rows: pa.RecordBatch, task: Task
) -> list[CaseResult]:
    """Asks a model every case; see `check.py`, which imports pyarrow."""
    from mlproject.cases.check import check_cases as check

    return check(cases, predict, rows, task)
