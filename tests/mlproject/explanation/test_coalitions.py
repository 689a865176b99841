"""Coalitions: their weights are Shapley's, drawn or counted."""

from __future__ import annotations

import numpy as np
import pytest

from mlproject.explanation.coalitions import MAX_CELLS, MAX_EXACT, PERMUTATIONS, joins_of


@pytest.mark.parametrize("players", [1, 2, 5, MAX_EXACT, MAX_EXACT + 1, 40])
def test_the_weights_of_a_player_sum_to_one_and_it_joins_what_it_is_not_in(players: int) -> None:
    joins = joins_of(players, seed=1)
    sums = np.bincount(joins.players, joins.weights, players)
    np.testing.assert_allclose(sums, 1.0)
    each = np.arange(len(joins.players))
    assert not joins.before[each, joins.players].any()
    after = joins.after()
    assert after[each, joins.players].all()
    assert (after.sum(axis=1) - joins.before.sum(axis=1) == 1).all()
    assert joins.permutations == (None if players <= MAX_EXACT else PERMUTATIONS)


def test_weights_are_those_of_the_formula() -> None:
    joins = joins_of(3, seed=0)
    sizes = joins.before.sum(axis=1)
    assert len(sizes) == 3 * 4
    np.testing.assert_allclose(joins.weights[sizes == 0], 1 / 3)
    np.testing.assert_allclose(joins.weights[sizes == 1], 1 / 6)
    np.testing.assert_allclose(joins.weights[sizes == 2], 1 / 3)


def test_every_drawn_order_is_drawn_in_reverse_too() -> None:
    joins = joins_of(20, seed=3)
    sizes = joins.before.sum(axis=1).reshape(-1, 20)
    assert (np.sort(sizes, axis=1) == np.arange(20)).all()
    first, second = np.split(sizes, 2)
    assert (first + second == 19).all()
    assert len(np.unique(first, axis=0)) == PERMUTATIONS // 2


def test_of_very_many_players_fewer_orders_are_drawn() -> None:
    joins = joins_of(1_500, seed=0)
    assert joins.permutations is not None
    assert 2 <= joins.permutations < PERMUTATIONS
    assert joins.before.size <= MAX_CELLS


def test_the_seed_decides_the_orders() -> None:
    one, same, other = (joins_of(15, seed).before for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
