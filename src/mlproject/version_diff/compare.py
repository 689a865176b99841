"""Two versions compared in every respect that is recorded."""

from __future__ import annotations

from mlproject.version_diff.code import compare_code
from mlproject.version_diff.evidence import Evidence
from mlproject.version_diff.metrics import compare_metrics
from mlproject.version_diff.parameters import compare_parameters
from mlproject.version_diff.result import VersionDiff
from mlproject.version_diff.schema import compare_schemas
from mlproject.version_diff.standing import compare_data, compare_standing
from mlproject.version_diff.statistics import compare_statistics


def compare_versions(before: Evidence, after: Evidence) -> VersionDiff:
    """Compares two versions, of one model or of two.

    Args:
        before: What is recorded of the first.
        after: What is recorded of the second.

    Returns:
        What is the same and what differs; what could not be compared is said in each section.
    """
    return VersionDiff(
        before=before.title,
        after=after.title,
        version=compare_standing(before, after),
        parameters=compare_parameters(before, after),
        data=compare_data(before, after),
        statistics=compare_statistics(before, after),
        schema=compare_schemas(before, after),
        metrics=compare_metrics(before, after),
        code=compare_code(before, after),
    )
