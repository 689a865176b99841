"""The report's content, read from the artifacts of the steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlproject.cases import read_results
from mlproject.evaluation import DIFFERENCES_FILE, read_differences, read_metrics
from mlproject.explanation.importance import read_importance
from mlproject.record import FIGURES
from mlproject.report.about import About
from mlproject.report.captions import CAPTIONS, by_slice
from mlproject.report.content import EvaluationReport


def report_from_artifacts(
    evaluate_dir: Path,
    blessing: Mapping[str, Any],
    infra: Mapping[str, Any] | None,
    about: About,
) -> EvaluationReport:
    """Reads what the evaluate step left; all but the metrics may be missing.

    Args:
        evaluate_dir: The evaluate artifact's folder.
        blessing: The blessing as JSON values: `verdict`, `reasons`, and `override` or None.
        infra: The trial in a server as JSON values: `verdict`, `reasons`, `measurements`; None
            where there was none.
        about: The model and its run.

    Raises:
        DataError: The metrics are missing, or a file is damaged.
    """
    compared = (evaluate_dir / DIFFERENCES_FILE).is_file()
    return EvaluationReport(
        about=about,
        verdict=str(blessing.get("verdict", "NOT_VALIDATED")),
        reasons=tuple(str(reason) for reason in blessing.get("reasons", ())),
        override=_override(blessing),
        rows=tuple(read_metrics(evaluate_dir)),
        differences=tuple(read_differences(evaluate_dir)) if compared else (),
        cases=tuple(read_results(evaluate_dir)),
        infra=infra,
        importance=tuple(read_importance(evaluate_dir)),
        figures=_figures(evaluate_dir / FIGURES),
    )


def _override(blessing: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Who overrode, when, why and to what effect, with the verdict that it was against."""
    found = blessing.get("override")
    if not found:
        return None
    without = blessing.get("without_override")
    return {**found, **({"verdict of the checks": without} if without else {})}


def _figures(folder: Path) -> tuple[Path, ...]:
    """The pictures: those by slice first, then the platform's in their order, then others."""
    order = list(CAPTIONS)

    def rank(path: Path) -> tuple[int, int, str]:
        if by_slice(path.stem):
            return 0, 0, path.stem
        known = path.stem in CAPTIONS
        return (1, order.index(path.stem), "") if known else (2, 0, path.stem)

    return tuple(sorted(folder.glob("*.png"), key=rank))
