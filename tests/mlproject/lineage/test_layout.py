"""The layout: boxes in layers that do not touch, and edges that go around them."""

from __future__ import annotations

import random

import pytest

from mlproject.lineage.layout import Box, lay_out

DIAMOND = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")]


def apart(one: Box, other: Box) -> bool:
    return (
        abs(one.across - other.across) >= (one.extent_across + other.extent_across) / 2 - 1e-6
        or one.along + one.extent_along <= other.along + 1e-6
        or other.along + other.extent_along <= one.along + 1e-6
    )


def test_what_goes_in_stands_before() -> None:
    found = lay_out(dict.fromkeys("abcd", (100.0, 40.0)), DIAMOND)
    along = {name: box.along for name, box in found.boxes.items()}
    assert along["a"] < along["b"] == along["c"] < along["d"]


def test_an_edge_past_a_layer_goes_between_its_boxes() -> None:
    found = lay_out(dict.fromkeys("abcd", (100.0, 40.0)), DIAMOND)
    _, enters, leaves, _ = found.routes["a", "d"]
    assert enters[0] == leaves[0]
    for name in "bc":
        box = found.boxes[name]
        assert abs(enters[0] - box.across) > box.extent_across / 2
        assert enters[1] <= box.along < box.along + box.extent_along <= leaves[1]


@pytest.mark.parametrize("seed", range(6))
def test_boxes_of_any_graph_do_not_touch_and_nothing_is_outside(seed: int) -> None:
    draw = random.Random(seed)
    names = [f"n{i}" for i in range(draw.randint(1, 40))]
    sizes = {name: (draw.uniform(20, 300), draw.uniform(10, 200)) for name in names}
    edges = [(draw.choice(names), draw.choice(names)) for _ in range(2 * len(names))]  # circles too
    found = lay_out(sizes, edges)
    boxes = list(found.boxes.values())
    assert set(found.boxes) == set(names)
    assert all(apart(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    for box in boxes:
        assert box.across - box.extent_across / 2 >= -1e-6
        assert box.across + box.extent_across / 2 <= found.across + 1e-6
        assert 0 <= box.along <= box.along + box.extent_along <= found.along + 1e-6
    for route in found.routes.values():
        assert len(route) % 2 == 0
        assert all(-1e-6 <= x <= found.across + 1e-6 for x, _ in route)


def test_edges_that_need_not_cross_do_not() -> None:
    names = [f"{side}{i}" for side in "ab" for i in range(5)]
    pairs = [(f"a{i}", f"b{4 - i}") for i in range(5)]
    found = lay_out(dict.fromkeys(names, (50.0, 20.0)), pairs)
    above = sorted(pairs, key=lambda pair: found.boxes[pair[0]].across)
    below = sorted(pairs, key=lambda pair: found.boxes[pair[1]].across)
    assert above == below


def test_a_circle_is_drawn_with_one_edge_back() -> None:
    found = lay_out(dict.fromkeys("ab", (10.0, 10.0)), [("a", "b"), ("b", "a"), ("a", "a")])
    assert set(found.routes) == {("a", "b"), ("b", "a")}
    first, last = found.routes["b", "a"][0], found.routes["b", "a"][-1]
    assert first[1] > last[1]


def test_nothing_is_laid_out_as_nothing() -> None:
    assert lay_out({}, []).boxes == {}
