"""The way from the baseline to a row as a game: who moves, and what the prediction gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mlproject.explanation.model import Rows, TransformedModel

Player = tuple[str, ...]
"""Transformed features that move together."""


class Game:
    """Players that go from the baseline to the row, and the prediction that they make.

    Args:
        model: The model.
        there: The row, transformed: feature -> `[1, ...]`.
        base: The baseline, likewise.
        output: The output of the model that is explained.
        players: The features that move together; features of no player stay where they are.
    """

    def __init__(
        self,
        model: TransformedModel,
        there: Rows,
        base: Rows,
        output: int,
        players: Sequence[Player],
    ) -> None:
        self._model, self._there, self._base, self._output = model, there, base, output
        self._player = {name: place for place, names in enumerate(players) for name in names}

    def values(self, coalitions: np.ndarray) -> np.ndarray:
        """The prediction for each coalition.

        Args:
            coalitions: `[n, players] bool`.

        Returns:
            `[n] float64`.
        """
        import numpy as np

        different, places = np.unique(coalitions, axis=0, return_inverse=True)
        parts = [
            self._model.predict(self._rows(different[part].astype(np.float32)))[:, self._output]
            for part in self._pieces(len(different))
        ]
        answers: np.ndarray = np.concatenate(parts).astype(np.float64)[places.reshape(-1)]
        return answers

    def integrate(
        self, coalitions: np.ndarray, player: int, names: Player, steps: int
    ) -> np.ndarray | None:
        """Integrated gradients of one player's features while it joins coalitions.

        Args:
            coalitions: `[n, players] bool`, without the player.
            player: The player.
            names: Its features.
            steps: Points of the Gauss-Legendre quadrature.

        Returns:
            `[n, features] float64`; None where the model has no gradient.
        """
        import numpy as np

        sums = np.zeros((len(coalitions), len(names)))
        for joins, weights, slopes in self._slopes(coalitions, player, names, steps):
            if slopes is None:
                return None
            for place, name in enumerate(names):
                moved = (slopes[name] * self._way(name)).reshape(len(joins), -1).sum(axis=1)
                sums[:, place] += np.bincount(joins, moved * weights, len(sums))
        return sums

    def integrate_values(
        self, coalitions: np.ndarray, shares: np.ndarray, player: int, names: Player, steps: int
    ) -> Rows:
        """The same, value by value of each feature, as a weighted mean over the coalitions.

        Args:
            coalitions: `[n, players] bool`, without the player.
            shares: `[n]`, the weight of each coalition.
            player: The player.
            names: Features of the player.
            steps: Points of the quadrature.

        Returns:
            Feature -> `[...]` float64 in the shape of one row's feature; none where the model has
            no gradient.
        """
        import numpy as np

        sums = {name: np.zeros(self._base[name].shape[1:]) for name in names}
        for joins, weights, slopes in self._slopes(coalitions, player, names, steps):
            if slopes is None:
                return {}
            for name in names:
                mean = np.tensordot(shares[joins] * weights, slopes[name], axes=1)
                sums[name] += mean * self._way(name)[0]
        return sums

    def _slopes(
        self, coalitions: np.ndarray, player: int, names: Player, steps: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, Rows | None]]:
        """Gradients at each point of each coalition's path: its coalition, weight, gradients."""
        import numpy as np

        points, weights = np.polynomial.legendre.leggauss(steps)
        points, weights = (points + 1) / 2, weights / 2
        for part in self._pieces(len(coalitions) * steps):
            joins, step = np.divmod(np.arange(part.start, part.stop), steps)
            gone = coalitions[joins].astype(np.float32)
            gone[:, player] = points[step]
            yield (
                joins,
                weights[step],
                self._model.gradients(self._rows(gone), names, self._output),
            )

    def _way(self, name: str) -> np.ndarray:
        import numpy as np

        way: np.ndarray = self._there[name].astype(np.float64) - self._base[name]
        return way

    def _rows(self, gone: np.ndarray) -> Rows:
        """Transformed rows whose players have gone a part, 0 to 1, of their way."""
        import numpy as np

        rows = {}
        for name, base in self._base.items():
            if name not in self._player:
                rows[name] = np.repeat(base, len(gone), axis=0)
                continue
            part = gone[:, self._player[name]].reshape(-1, *[1] * (base.ndim - 1))
            there = self._there[name]
            mixed = np.where(part == 1, there, base)
            between = (part > 0) & (part < 1)
            if between.any():
                mixed = np.where(between, (1 - part) * base + part * there, mixed)
            rows[name] = mixed.astype(base.dtype, copy=False)
        return rows

    def _pieces(self, count: int) -> Iterator[slice]:
        size = self._model.chunk_rows
        return (slice(start, min(start + size, count)) for start in range(0, count, size))
