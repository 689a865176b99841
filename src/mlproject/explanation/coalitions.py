"""Shapley values of features that have no gradient: which coalitions are asked, with what weight.

A coalition is a set of features that have the row's values, the others the baseline's. A feature's
Shapley value (L. S. Shapley, A Value for n-Person Games, 1953) is the mean, over all orders of the
features, of what the prediction gains when the feature joins those before it. Up to
`MAX_EXACT` features all coalitions are asked; beyond that, orders are drawn (Castro, Gomez and
Tejada 2009), each with its reverse. Both add up to prediction minus baseline.
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


@dataclass(frozen=True)
class Joins:
    """Features that join coalitions.

    Attributes:
        players: `[joins] int`, the feature that joins.
        before: `[joins, features] bool`, the coalition that it joins.
        weights: `[joins] float64`; those of one feature sum to 1.
        permutations: Orders that were drawn; None where all count.
    """

    players: np.ndarray
    before: np.ndarray
    weights: np.ndarray
    permutations: int | None

    def after(self) -> np.ndarray:
        """`[joins, features] bool`, the coalitions with those who joined."""
        import numpy as np

        joined = self.before.copy()
        joined[np.arange(len(joined)), self.players] = True
        return joined


def joins_of(features: int, seed: int) -> Joins:
    """The coalitions to ask for so many features.

    Args:
        features: Their number, 1 or more.
        seed: Of the orders, where they are drawn.
    """
    return _all_joins(features) if features <= MAX_EXACT else _drawn_joins(features, seed)


@lru_cache(maxsize=4)
def _all_joins(features: int) -> Joins:
    import numpy as np

    bits = np.arange(2**features)[:, None] >> np.arange(features) & 1
    coalitions = bits.astype(bool)
    places, players = np.nonzero(~coalitions)
    sizes = coalitions.sum(axis=1)[places]
    by_size = [
        factorial(size) * factorial(features - size - 1) / factorial(features)
        for size in range(features)
    ]
    return Joins(players, coalitions[places], np.array(by_size)[sizes], None)


def _drawn_joins(features: int, seed: int) -> Joins:
    import numpy as np

    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(features), (PERMUTATIONS // 2, 1)), axis=1)
    orders = np.concatenate([orders, orders[:, ::-1]])
    ranks = np.argsort(orders, axis=1)  # the place of each feature in each order
    before = ranks[:, None, :] < ranks[:, :, None]
    return Joins(
        np.tile(np.arange(features), len(orders)),
        before.reshape(-1, features),
        np.full(orders.size, 1 / len(orders)),
        len(orders),
    )
