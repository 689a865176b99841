"""Where the boxes of a picture stand: in layers, without overlaps, with few crossings. Pure.

The steps of Sugiyama's method: layers by the longest path, a place in the layer for each edge that
passes through, an order by barycentres, and coordinates by isotonic regression.
https://en.wikipedia.org/wiki/Layered_graph_drawing

`across` runs along a layer, `along` from one layer to the next; the picture decides which of them
is its x.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SWEEPS = 12
GAP_ACROSS, GAP_ALONG = 26.0, 54.0
_PASSAGE = 12.0  # extent of the place where an edge passes a layer

Pair = tuple[str, str]
Point = tuple[float, float]  # across, along


@dataclass(frozen=True)
class Box:
    """A place of a node.

    Attributes:
        across: Its middle.
        along: Its beginning.
        extent_across: Its extent.
        extent_along: Its extent.
    """

    across: float
    along: float
    extent_across: float
    extent_along: float


@dataclass(frozen=True)
class Layout:
    """Where everything stands.

    Attributes:
        boxes: Node -> its place.
        routes: Edge -> the points it goes through, from box to box: a curve from the first to the
            second, a straight line through a layer to the third, a curve to the fourth, ...
        across: Extent of all.
        along: Extent of all.
    """

    boxes: Mapping[str, Box]
    routes: Mapping[Pair, tuple[Point, ...]]
    across: float
    along: float


def lay_out(sizes: Mapping[str, Point], edges: Iterable[Pair]) -> Layout:
    """Lays a graph out.

    Args:
        sizes: Node -> its extent across and along.
        edges: From node to node; cycles and loops may be among them.
    """
    given = list(dict.fromkeys(edge for edge in edges if edge[0] != edge[1]))
    forward = _without_cycles(list(sizes), given)
    layers = _layers(list(sizes), forward)
    graph = _Layered(dict(sizes), layers)
    for edge in forward:
        graph.add_edge(edge)
    graph.order()
    graph.place()
    return graph.layout(given)


def _without_cycles(nodes: Sequence[str], edges: Sequence[Pair]) -> list[Pair]:
    """The edges, those that would close a cycle turned round."""
    after: dict[str, list[str]] = {node: [] for node in nodes}
    kept: list[Pair] = []
    for source, target in edges:
        turned = (target, source) if _reaches(after, target, source) else (source, target)
        if turned not in kept:
            kept.append(turned)
            after[turned[0]].append(turned[1])
    return kept


def _reaches(after: Mapping[str, Sequence[str]], start: str, end: str) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        node = waiting.pop()
        if node == end:
            return True
        new = [n for n in after[node] if n not in seen]
        seen.update(new)
        waiting += new
    return False


def _layers(nodes: Sequence[str], edges: Sequence[Pair]) -> dict[str, int]:
    """Node -> its layer: behind all that goes into it, and near what it goes into."""
    before: dict[str, list[str]] = {node: [] for node in nodes}
    after: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    layer: dict[str, int] = {}
    waiting = {node: len(before[node]) for node in nodes}
    ready = [node for node in nodes if not waiting[node]]
    ordered = []
    while ready:
        node = ready.pop(0)
        ordered.append(node)
        layer[node] = max((layer[b] + 1 for b in before[node]), default=0)
        for target in after[node]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in reversed(ordered):
        if after[node] and len(after[node]) >= len(before[node]):
            layer[node] = min(layer[a] for a in after[node]) - 1
    return layer


@dataclass
class _Layered:
    """Nodes in layers, with a passage for each edge that goes past a layer."""

    sizes: dict[str, Point]
    layer: dict[str, int]
    chains: dict[Pair, list[str]] = field(default_factory=dict)
    passages: set[str] = field(default_factory=set)
    before: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)
    rows: list[list[str]] = field(default_factory=list)
    middle: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = [[] for _ in range(max(self.layer.values(), default=0) + 1)]
        for node in self.sizes:
            self.rows[self.layer[node]].append(node)

    def add_edge(self, edge: Pair) -> None:
        """Adds an edge, and its passages through the layers between."""
        source, target = edge
        chain = [source]
        for number in range(self.layer[source] + 1, self.layer[target]):
            passage = f"\0{len(self.chains)}\0{number}"
            self.passages.add(passage)
            self.layer[passage] = number
            self.sizes[passage] = (_PASSAGE, 0.0)
            self.rows[number].append(passage)
            chain.append(passage)
        chain.append(target)
        self.chains[edge] = chain
        for one, next_one in itertools.pairwise(chain):
            self.after.setdefault(one, []).append(next_one)
            self.before.setdefault(next_one, []).append(one)

    def order(self) -> None:
        """Orders each layer by the barycentres of its neighbours; keeps the best order met."""
        best, fewest = [list(row) for row in self.rows], self._crossings()
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            neighbours = self.before if down else self.after
            for row in self.rows if down else reversed(self.rows):
                places = self._places()
                wanted = {
                    node: _mean([places[m] for m in neighbours.get(node, ())], places[node])
                    for node in row
                }
                row.sort(key=wanted.__getitem__)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self.rows], crossings
        self.rows = best

    def _places(self) -> dict[str, float]:
        return {n: (i + 0.5) / len(row) for row in self.rows for i, n in enumerate(row)}

    def _crossings(self) -> int:
        place = {n: i for row in self.rows for i, n in enumerate(row)}
        total = 0
        for row in self.rows:
            ends = [(place[n], place[m]) for n in row for m in self.after.get(n, ())]
            total += sum(
                (a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[:i]
            )
        return total

    def place(self) -> None:
        """Gives each node its middle: near its neighbours, and clear of the next one."""
        for row in self.rows:
            self.middle |= self._spread(row, dict.fromkeys(row, 0.0))
        for sweep in range(SWEEPS):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                wanted = {}
                for node in row:
                    near = [*self.before.get(node, ()), *self.after.get(node, ())]
                    wanted[node] = _mean([self.middle[m] for m in near], self.middle[node])
                self.middle |= self._spread(row, wanted)
        least = min((self.middle[n] - self.sizes[n][0] / 2 for n in self.middle), default=0.0)
        self.middle = {node: at - least for node, at in self.middle.items()}

    def _spread(self, row: Sequence[str], wanted: Mapping[str, float]) -> dict[str, float]:
        """The middles nearest to the wanted ones (least squares) that keep order and distance."""
        offsets, at = [], 0.0
        for i, node in enumerate(row):
            if i:
                at += (self.sizes[row[i - 1]][0] + self.sizes[node][0]) / 2 + GAP_ACROSS
            offsets.append(at)
        blocks: list[tuple[float, int]] = []  # mean, count
        for node, offset in zip(row, offsets, strict=True):
            mean, count = wanted[node] - offset, 1
            while blocks and blocks[-1][0] > mean:
                other, more = blocks.pop()
                mean, count = (mean * count + other * more) / (count + more), count + more
            blocks.append((mean, count))
        flat = [mean for mean, count in blocks for _ in range(count)]
        return {n: m + o for n, m, o in zip(row, flat, offsets, strict=True)}

    def layout(self, edges: Sequence[Pair]) -> Layout:
        """The coordinates of all."""
        starts, ends, at = [], [], 0.0
        for row in self.rows:
            starts.append(at)
            at += max((self.sizes[n][1] for n in row), default=0.0)
            ends.append(at)
            at += GAP_ALONG
        real = [n for n in self.sizes if n not in self.passages]
        boxes = {
            n: Box(self.middle[n], starts[self.layer[n]], self.sizes[n][0], self.sizes[n][1])
            for n in real
        }
        routes = {}
        for edge in edges:
            turned = edge not in self.chains
            chain = self.chains[(edge[1], edge[0]) if turned else edge]
            points = self._route(chain, boxes, starts, ends)
            routes[edge] = tuple(reversed(points)) if turned else tuple(points)
        across = max((self.middle[n] + self.sizes[n][0] / 2 for n in self.middle), default=0.0)
        return Layout(boxes, routes, across, ends[-1] if ends else 0.0)

    def _route(
        self,
        chain: Sequence[str],
        boxes: Mapping[str, Box],
        starts: Sequence[float],
        ends: Sequence[float],
    ) -> list[Point]:
        first, last = boxes[chain[0]], boxes[chain[-1]]
        leaves = first.across + self._port(chain[0], chain[1], self.after)
        arrives = last.across + self._port(chain[-1], chain[-2], self.before)
        points = [(leaves, first.along + first.extent_along)]
        below = ends[self.layer[chain[0]]]
        if below > points[0][1]:
            points += [points[0], (leaves, below)]
        for passage in chain[1:-1]:
            row, at = self.layer[passage], self.middle[passage]
            points += [(at, starts[row]), (at, ends[row])]
        return [*points, (arrives, last.along)]

    def _port(self, node: str, other: str, neighbours: Mapping[str, Sequence[str]]) -> float:
        """Where on its side of a box an edge begins, measured from the middle."""
        ordered = sorted(neighbours[node], key=lambda n: self.middle[n])
        share = (ordered.index(other) + 1) / (len(ordered) + 1) - 0.5
        return share * self.sizes[node][0] * 0.7


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
