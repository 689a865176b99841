"""The trial of a model as a text to read: `infra_validation.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlproject.sections import InfraSection
from serving.trial.values import budgets_of

if TYPE_CHECKING:
    from serving.infra_validation import InfraBlessing


def infra_page(blessing: InfraBlessing, section: InfraSection) -> str:
    """The verdict, the measurements with their budgets, and the log of a server that failed."""
    budgets = budgets_of(section)
    lines = [f"# {blessing.verdict}", "", *(f"- {reason}" for reason in blessing.reasons)]
    if blessing.measurements:
        lines += ["", "| measured | value | allowed |", "| --- | --- | --- |"]
        lines += [
            f"| {name} | {value:.4g} | {f'{budgets[name]:g}' if name in budgets else ''} |"
            for name, value in blessing.measurements.items()
        ]
    if blessing.log:
        # Indented, so that nothing in the log is read as Markdown.
        lines += ["", f"The end of the {blessing.server} server's log:", ""]
        lines += [f"    {line}" for line in blessing.log.splitlines()]
    return "\n".join(lines) + "\n"
