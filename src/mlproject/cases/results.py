"""Keeps the results of behavioural cases with an evaluation: `cases.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mlproject.cases.values import CaseResult
from mlproject.errors import DataError

CASES_FILE = "cases.json"
_OUTCOMES = ("pass", "fail", "unjudged")


def write_results(results: Sequence[CaseResult], out_dir: Path) -> Path:
    """Writes `cases.json` in a folder."""
    file = out_dir / CASES_FILE
    text = json.dumps([asdict(result) for result in results], indent=1)
    file.write_text(text, encoding="utf-8")
    return file


def read_results(folder: Path) -> list[CaseResult]:
    """Reads `cases.json` of a folder; empty where there is none.

    Raises:
        DataError: The file is not what `write_results` writes.
    """
    file = folder / CASES_FILE
    try:
        text = file.read_text(encoding="utf-8")
        results = [CaseResult(**values) for values in json.loads(text)]
        wrong = next((r for r in results if r.outcome not in _OUTCOMES), None)
        if wrong is not None:
            raise ValueError(f"the outcome {wrong.outcome!r}, not one of {', '.join(_OUTCOMES)}")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as err:
        raise DataError(
            f"Reading '{file}' failed",
            received=str(err),
            expected="what the step evaluate wrote",
            next_step="run it again: --from evaluate",
        ) from err
    return results
