"""Bootstrap weights of rows: how often each row is drawn in each resample.

The weights are Poisson(1), independent from row to row (Hanley & MacGibbon, "Creating
non-parametric bootstrap samples using Poisson frequencies", 2006; Chamandy et al., "Estimating
Uncertainty for Massive Data Streams", Google 2012), which for more than some tens of rows is the
bootstrap of Efron & Tibshirani ("An Introduction to the Bootstrap", 1993).

A weight is a function of the seed, the row's number and the resample's number alone: each row has
a SplitMix64 stream of its own (Steele, Lea & Flood, "Fast Splittable Pseudorandom Number
Generators", OOPSLA 2014). So both models, every metric and every slice see the same weights, no
slice changes another's, and nothing depends on batches or chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

CHUNK_WEIGHTS = 1 << 19
"""Weights of a chunk: some 10 MB with what is computed from them, about a processor's cache."""

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_LANES = 4  # 16-bit draws of one 64-bit output
_MOST = 8  # P(Poisson(1) > 8) is 1e-6, less than a 16-bit draw can tell
_BELOW = [
    np.uint16(round(65536 * sum(math.exp(-1) / math.factorial(j) for j in range(count + 1))))
    for count in range(_MOST)
]


class RowWeights:
    """The bootstrap weights of every row.

    Args:
        seed: Other seeds give other weights.
    """

    def __init__(self, seed: int) -> None:
        self._seed = np.random.default_rng(seed).integers(0, 2**64, dtype=np.uint64)

    def keys(self, rows: np.ndarray) -> np.ndarray:
        """The seeds of the rows' streams, `[rows] uint64`.

        Args:
            rows: `[rows]` numbers of rows in the split, from 0.
        """
        return _mixed(self._seed + (rows.astype(np.uint64) + np.uint64(1)) * _GAMMA)

    def subsample(self, rows: np.ndarray, most: int) -> np.ndarray:
        """A random subset of rows of a fixed size, without replacement; all where they are fewer.

        Of two slices that share rows, the subsets share theirs as far as can be.

        Args:
            rows: `[rows]` numbers of rows, rising.
            most: Rows to take.

        Returns:
            Numbers of rows, rising.
        """
        if len(rows) <= most:
            return rows
        keys = self.keys(rows)
        return rows[np.sort(np.argpartition(keys, most)[:most])]

    def chunks(self, rows: np.ndarray, resamples: int) -> Iterator[np.ndarray]:
        """The weights of some rows, some resamples at a time.

        Args:
            rows: `[rows]` numbers of rows; at least one.
            resamples: Number of resamples.

        Yields:
            `[up to resamples, rows] uint8`.
        """
        keys = self.keys(rows)
        step = max(1, CHUNK_WEIGHTS // (_LANES * len(rows)))
        for first in range(0, -(-resamples // _LANES), step):
            last = min(first + step, -(-resamples // _LANES))
            outputs = np.arange(first + 1, last + 1, dtype=np.uint64)[:, None]
            bits = _mixed(keys + outputs * _GAMMA)
            shifts = (np.uint64(16 * lane) for lane in range(_LANES))
            lanes = np.stack([(bits >> shift).astype(np.uint16) for shift in shifts], axis=1)
            weights = _poisson(lanes.reshape(-1, len(rows)))
            yield weights[: resamples - first * _LANES]


def _mixed(z: np.ndarray) -> np.ndarray:
    """SplitMix64's output function."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def _poisson(draws: np.ndarray) -> np.ndarray:
    """Uniform 16-bit draws as Poisson(1) counts, by the inverse of the distribution."""
    counts = np.zeros(draws.shape, np.uint8)
    for bound in _BELOW:
        counts += (draws >= bound).view(np.uint8)
    return counts
