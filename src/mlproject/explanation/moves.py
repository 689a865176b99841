"""From the baseline to a row: what each transformed feature adds on the way (see gradients.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlproject.explanation.coalitions import Joins, joins_of
from mlproject.explanation.game import Game, Player

if TYPE_CHECKING:
    import numpy as np

    from mlproject.explanation.model import Rows, TransformedModel

TOLERANCE = 5e-3
FLOAT_NOISE = 1e-6  # of float32 predictions, relative
FIRST_STEPS, MAX_STEPS = 16, 512
SMOOTH = 0  # the player of all float features


@dataclass(frozen=True)
class Added:
    """What each feature adds, and how it was found.

    Attributes:
        attributions: Transformed feature -> what it adds; features that do not move add 0.
        steps: Points of the path integral, at most; 0 without gradients.
        permutations: Orders drawn; None where all count.
        parts: Float feature of several values -> what each value adds, in the feature's shape.
    """

    attributions: Mapping[str, float]
    steps: int
    permutations: int | None
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)


def explain(
    model: TransformedModel, there: Rows, base: Rows, output: int, steps: int | None, seed: int
) -> Added:
    """What each transformed feature adds on the way from one row to another.

    Args:
        model: The model.
        there: The row, transformed: feature -> `[1, ...]`.
        base: The baseline, transformed.
        output: The output that is explained.
        steps: Points of the path integral; None for as many as needed.
        seed: Of the orders.
    """
    import numpy as np

    moved = [name for name in there if not np.array_equal(there[name], base[name])]
    smooth = tuple(name for name in moved if _has_path(there[name], base[name]))
    jumping = [(name,) for name in moved if name not in smooth]
    if smooth:
        game = Game(model, there, base, output, [smooth, *jumping])
        joins = joins_of(1 + len(jumping), seed)
        gains, tolerance = _gains(game, joins)
        integral = _integrate(game, joins, gains, smooth, steps, tolerance)
        if integral is not None:
            values = _shapley(joins, gains)[1:]
            added = {name: float(v) for (name,), v in zip(jumping, values, strict=True)}
            several = tuple(name for name in smooth if there[name].size > 1)
            return Added(
                integral.shares | added,
                integral.steps,
                joins.permutations,
                integral.parts(game, several),
            )
    alone = [(name,) for name in moved]
    if not alone:
        return Added({}, 0, None)
    joins = joins_of(len(alone), seed)
    gains, _ = _gains(Game(model, there, base, output, alone), joins)
    values = _shapley(joins, gains)
    added = {name: float(v) for (name,), v in zip(alone, values, strict=True)}
    return Added(added, 0, joins.permutations)


@dataclass(frozen=True)
class _Integral:
    """What each float feature adds, and the moves and the points that told."""

    shares: dict[str, float]
    steps: int
    before: np.ndarray
    weights: np.ndarray

    def parts(self, game: Game, names: Player) -> dict[str, np.ndarray]:
        """What each value of features of several values adds."""
        if not names:
            return {}
        return game.integrate_values(self.before, self.weights, SMOOTH, names, self.steps)


def _gains(game: Game, joins: Joins) -> tuple[np.ndarray, float]:
    """What each join gains, and how far an integral over it may be off."""
    import numpy as np

    values = game.values(np.concatenate([joins.before, joins.after()]))
    tolerance = max(TOLERANCE * np.ptp(values), FLOAT_NOISE * np.abs(values).max())
    before, after = np.split(values, 2)
    return after - before, float(tolerance)


def _shapley(joins: Joins, gains: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.bincount(joins.players, joins.weights * gains)


def _integrate(
    game: Game,
    joins: Joins,
    gains: np.ndarray,
    names: Player,
    steps: int | None,
    tolerance: float,
) -> _Integral | None:
    """What each float feature adds; None where gradients do not add up."""
    import numpy as np

    mine = joins.players == SMOOTH
    before, places = np.unique(joins.before[mine], axis=0, return_inverse=True)
    weights = np.bincount(places.reshape(-1), joins.weights[mine])
    wanted = np.empty(len(before))
    wanted[places.reshape(-1)] = gains[mine]
    sums = np.zeros((len(before), len(names)))
    used = steps or FIRST_STEPS
    todo = np.arange(len(before))
    while True:
        found = game.integrate(before[todo], SMOOTH, names, used)
        if found is None:
            return None
        sums[todo] = found
        errors = np.abs(sums.sum(axis=1) - wanted)
        todo = np.flatnonzero(errors > tolerance)
        if steps is not None or not len(todo):
            break
        if used >= MAX_STEPS:
            if weights @ errors > tolerance:
                return None
            break
        used *= 2
    shares = dict(zip(names, (weights @ sums).tolist(), strict=True))
    return _Integral(shares, used, before, weights)


def _has_path(there: np.ndarray, base: np.ndarray) -> bool:
    import numpy as np

    return there.dtype.kind == "f" and bool(np.isfinite(there).all() and np.isfinite(base).all())
