"""Reading a report from what the steps left: whole, in part, damaged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.errors import DataError
from mlproject.explanation.importance import Importance, write_importance
from mlproject.metrics import Difference, MetricRow
from mlproject.report import About, report_from_artifacts

BLESSING = {"verdict": "BLESSED", "reasons": ["good"], "override": None, "without_override": "x"}


def write(rows: Sequence[MetricRow | Difference], file: Path) -> None:
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows]), file)


@pytest.fixture
def evaluate_dir(
    tmp_path: Path, rows: tuple[MetricRow, ...], differences: tuple[Difference, ...]
) -> Path:
    folder = tmp_path / "evaluate"
    folder.mkdir()
    write(rows, folder / "metrics.parquet")
    write(differences, folder / "differences.parquet")
    write_importance([Importance("fare", 0.1, 0.05, 0.15)], folder)
    case = {"name": "n", "kind": "golden", "outcome": "pass", "reason": "r"}
    (folder / "cases.json").write_text(json.dumps([case]))
    (folder / "figures").mkdir()
    for name in ("importance", "scores", "auc_by_slice", "roc_and_pr", "aaa"):
        (folder / "figures" / f"{name}.png").write_bytes(b"png")
    (folder / "figures" / "table.json").write_text("[]")
    return folder


def test_everything_is_read(
    evaluate_dir: Path,
    about: About,
    rows: tuple[MetricRow, ...],
    differences: tuple[Difference, ...],
) -> None:
    infra = {"verdict": "INFRA_BLESSED", "reasons": [], "measurements": {}}
    found = report_from_artifacts(evaluate_dir, BLESSING, infra, about)
    assert (found.rows, found.differences) == (rows, differences)
    assert (found.verdict, found.reasons, found.override) == ("BLESSED", ("good",), None)
    assert [case.name for case in found.cases] == ["n"]
    assert [i.feature for i in found.importance] == ["fare"]
    names = [path.stem for path in found.figures]
    assert names == ["auc_by_slice", "roc_and_pr", "scores", "importance", "aaa"]
    assert found.infra is infra


def test_all_but_the_metrics_may_be_missing(
    tmp_path: Path, about: About, rows: tuple[MetricRow, ...]
) -> None:
    write(rows, tmp_path / "metrics.parquet")
    found = report_from_artifacts(tmp_path, {}, None, about)
    assert found.rows == rows
    assert (found.differences, found.cases, found.importance, found.figures) == ((), (), (), ())
    assert found.verdict == "NOT_VALIDATED"


def test_an_override_names_the_verdict_that_it_was_against(
    evaluate_dir: Path, about: About
) -> None:
    blessing = {**BLESSING, "override": {"who": "Ada"}, "without_override": "NOT_BLESSED"}
    found = report_from_artifacts(evaluate_dir, blessing, None, about)
    assert found.override == {"who": "Ada", "verdict of the checks": "NOT_BLESSED"}


def test_without_metrics_there_is_no_report(tmp_path: Path, about: About) -> None:
    with pytest.raises(DataError, match=r"metrics\.parquet.*--from evaluate"):
        report_from_artifacts(tmp_path, BLESSING, None, about)


@pytest.mark.parametrize(
    "content", ["{", "7", '["x"]', '[{"name": "n"}]', '[{"name": "n", "kind": 1, "outcome": 2}]']
)
def test_damaged_cases_are_an_error(evaluate_dir: Path, about: About, content: str) -> None:
    (evaluate_dir / "cases.json").write_text(content)
    with pytest.raises(DataError, match=r"cases\.json.*run it again"):
        report_from_artifacts(evaluate_dir, BLESSING, None, about)
