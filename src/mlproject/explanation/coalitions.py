"""Shapley values: which coalitions are asked, with what weight.

A coalition is a set of players that have the row's values, the others the baseline's. A player's
Shapley value (L. S. Shapley, A Value for n-Person Games, 1953) is the mean, over all orders of the
players, of what the prediction gains when the player joins those before it. Up to `MAX_EXACT`
players all coalitions are asked; beyond that, orders are drawn (J. Castro, D. Gomez, J. Tejada,
Polynomial calculation of the Shapley value based on sampling, 2009), each with its reverse. Both
add up to prediction minus baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MAX_EXACT = 12
PERMUTATIONS = 200
MAX_CELLS = 1 << 26


@dataclass(frozen=True)
class Joins:
    """Players that join coalitions.

    Attributes:
        players: `[joins] int`, the player that joins.
        before: `[joins, players] bool`, the coalition that it joins.
        weights: `[joins] float64`; those of one player sum to 1.
        permutations: Orders that were drawn; None where all count.
    """

    players: np.ndarray
    before: np.ndarray
    weights: np.ndarray
    permutations: int | None

    def after(self) -> np.ndarray:
        """`[joins, players] bool`, the coalitions with those who joined."""
        import numpy as np

        joined = self.before.copy()
        joined[np.arange(len(joined)), self.players] = True
        return joined


def joins_of(players: int, seed: int) -> Joins:
    """The coalitions to ask for so many players.

    Args:
        players: Their number, 1 or more.
        seed: Of the orders, where they are drawn: `PERMUTATIONS`, or fewer of many players.
    """
    return _all_joins(players) if players <= MAX_EXACT else _drawn_joins(players, seed)


@lru_cache(maxsize=4)
def _all_joins(players: int) -> Joins:
    import numpy as np

    bits = np.arange(2**players)[:, None] >> np.arange(players) & 1
    coalitions = bits.astype(bool)
    places, joining = np.nonzero(~coalitions)
    sizes = coalitions.sum(axis=1)[places]
    by_size = [
        factorial(size) * factorial(players - size - 1) / factorial(players)
        for size in range(players)
    ]
    return Joins(joining, coalitions[places], np.array(by_size)[sizes], None)


def _drawn_joins(players: int, seed: int) -> Joins:
    import numpy as np

    rng = np.random.default_rng(seed)
    pairs = max(1, min(PERMUTATIONS, MAX_CELLS // players**2) // 2)
    orders = rng.permuted(np.tile(np.arange(players), (pairs, 1)), axis=1)
    orders = np.concatenate([orders, orders[:, ::-1]])
    ranks = np.argsort(orders, axis=1)  # the place of each player in each order
    before = ranks[:, None, :] < ranks[:, :, None]
    return Joins(
        np.tile(np.arange(players), len(orders)),
        before.reshape(-1, players),
        np.full(orders.size, 1 / len(orders)),
        len(orders),
    )
