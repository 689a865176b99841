"""Makes what stands in MLflow, and what servers watch, follow the ledgers. Without Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.serve_guard import check_blessed, settle
from mlproject.errors import PlatformError
from mlproject.promotion.findings import Finding
from mlproject.promotion.promoter import Promoter
from mlproject.settings import Settings


@dataclass(frozen=True)
class Reconciled:
    """What came of a model.

    Attributes:
        model: The registered model.
        findings: What was not as its ledger says, and what was done about it.
        champion: The version in production; None for none.
        exported: Where the champion was exported to, if it was not there yet.
        error: What went wrong; empty for nothing.
    """

    model: str
    findings: tuple[Finding, ...] = ()
    champion: int | None = None
    exported: Path | None = None
    error: str = ""

    @property
    def put_back(self) -> bool:
        """Whether an alias was put back."""
        return any(finding.kind == "put_back" for finding in self.findings)

    def lines(self) -> list[str]:
        """What there is to say, a line each; none where all was in order."""
        lines = [finding.text for finding in self.findings]
        if self.exported is not None:
            lines.append(f"{self.model}/{self.champion} was exported to {self.exported}")
        return [*lines, f"{self.model}: {self.error}"] if self.error else lines

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "model": self.model,
            "findings": [
                {"kind": f.kind, "alias": f.alias, "version": f.version, "text": f.text}
                for f in self.findings
            ],
            "champion": self.champion,
            "exported": str(self.exported) if self.exported else None,
            "error": self.error or None,
        }


def chosen_models(promoter: Promoter, names: Sequence[str]) -> tuple[str, ...]:
    """The models to reconcile: those named, or all that have a ledger.

    Raises:
        RegistryError: There is no model of a name; the closest is named.
    """
    for name in names:
        if not promoter.registry.versions(name):
            promoter.registry.resolve(name)
    return tuple(names) or promoter.ledger.models()


def reconcile_model(promoter: Promoter, settings: Settings, name: str) -> Reconciled:
    """Settles a model, and exports its champion for the servers that watch the serving root.

    An error is a value: it keeps no other model from being reconciled.
    """
    findings: tuple[Finding, ...] = ()
    champion: int | None = None
    try:
        findings = settle(promoter, name)
        champion = promoter.standing(name).champion
        exported = _export(promoter, settings, name, champion)
    except PlatformError as err:
        return Reconciled(name, findings, champion, error=str(err))
    return Reconciled(name, findings, champion, exported)


def _export(promoter: Promoter, settings: Settings, name: str, champion: int | None) -> Path | None:
    """Where the champion was exported to; None where it was there, or there is none."""
    from serving.steps import export_registered

    if champion is None:
        return None
    version = promoter.registry.resolve(f"{name}/{champion}")
    check_blessed(version)
    if (settings.serving_root / name / str(champion)).exists():
        return None
    return export_registered(promoter.registry, version, settings.serving_root)
