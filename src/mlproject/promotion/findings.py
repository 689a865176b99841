"""Aliases that are not where the ledger says: what was found, and what it would mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlproject.promotion.entries import Event, Move
from mlproject.promotion.stages import Stage
from mlproject.promotion.standing import Standing
from mlproject.registry.names import CHALLENGER_ALIAS, CHAMPION_ALIAS, PREVIOUS_ALIAS

BY_HAND = "somebody, in MLflow"


@dataclass(frozen=True)
class Finding:
    """Something that was not as the ledger says.

    Attributes:
        kind: `moved`: an alias was moved; `taken_over`: it was in order, and is written down;
            `put_back`: it was not; `expired`: a request that nobody answered.
        version: The version that the alias was moved to; None where it was deleted.
        text: In plain words.
        alias: The alias; empty for a request.
        reasons: Why it cannot stay, as far as the alias alone tells.
        who: Who did it.
    """

    kind: str
    version: int | None
    text: str
    alias: str = ""
    reasons: tuple[str, ...] = ()
    who: str = BY_HAND

    @property
    def alias_is_traffic(self) -> bool:
        """Whether the alias says what is served."""
        return self.alias == CHAMPION_ALIAS

    def taken_over(self) -> Finding:
        """It was in order."""
        return replace(self, kind="taken_over", text=f"{self.text}: taken over")

    def put_back(self, reasons: tuple[str, ...]) -> Finding:
        """It was not."""
        why = "; ".join(reasons) or "it is set by Benison alone"
        return replace(self, kind="put_back", reasons=reasons, text=f"{self.text}: put back: {why}")


def alias_finding(name: str, standing: Standing, aliases: Mapping[str, int]) -> Finding | None:
    """The alias that matters most of those that are not where the ledger says; None where all are.

    Args:
        name: The registered model.
        standing: What its ledger adds up to.
        aliases: What MLflow shows.
    """
    for alias, wanted in (
        (CHAMPION_ALIAS, standing.champion),
        (CHALLENGER_ALIAS, standing.challenger),
        (PREVIOUS_ALIAS, standing.previous),
    ):
        now = aliases.get(alias)
        if now == wanted:
            continue
        text = f"the alias '{alias}' of '{name}' was moved by hand: {wanted or 'nothing'} -> "
        reasons: tuple[str, ...] = ()
        if now is None:
            reasons = ("an alias that is gone would leave nothing to serve",)
        elif alias != CHAMPION_ALIAS:
            reasons = (f"'{alias}' follows from the stages; use `benison promote`",)
        return Finding("moved", now, f"{text}{now or 'nothing'}", alias, reasons)
    return None


def out_of_band(version: int, standing: Standing) -> tuple[Event, tuple[Move, ...]]:
    """The moves that an alias 'champion' moved by hand stands for.

    To an earlier champion it is a rollback: the version that it left is not gone back to.
    """
    champion = standing.champion
    moves = [Move(version, standing.stage(version), Stage.PRODUCTION)]
    if champion is not None:
        back = version in standing.champions
        moves.append(
            Move(champion, Stage.PRODUCTION, Stage.ROLLED_BACK if back else Stage.ARCHIVED)
        )
    return "out_of_band", tuple(moves)
