"""The lines of a lineage's tree. Pure: whoever prints them draws the branches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mlproject.lineage.values import GONE, Kind, Lineage, Node
from mlproject.webpage.text import plain

MOST_FACTS = 8
MOST_BELOW = 200  # versions of a branch of what came from something
_LONG = 2_000
# A digest or a run's id by itself, not as a part of a path.
_HEX = re.compile(r"(?<![\w/])([0-9a-f]{12})[0-9a-f]{8,}(?![\w/.])")
_BELOW = {
    "trained on": "trained on it",
    "warm start": "warm start: began with such a version's weights",
    "compared with": "compared with it",
    "copied from": "copied",
}


@dataclass(frozen=True)
class Branch:
    """A line of the tree and what hangs on it.

    Attributes:
        label: What the line is about.
        text: What is said of it.
        url: The page of its MLflow run, or empty.
        state: Empty, or `gone`.
        branches: The lines below it.
    """

    label: str
    text: str = ""
    url: str = ""
    state: str = ""
    branches: tuple[Branch, ...] = ()

    def lines(self, indent: str = "") -> Iterator[str]:
        """The branch as plain lines, indented by two spaces a level."""
        yield f"{indent}{self.label}  {self.text}".rstrip()
        for branch in self.branches:
            yield from branch.lines(f"{indent}  ")


def tree(lineage: Lineage) -> Branch:
    """The tree of a lineage, from its root."""
    root = lineage.node(lineage.root)
    branches = list(_below(lineage) if lineage.downstream else _back(lineage))
    branches = branches or [Branch("nothing is recorded of it")]
    return Branch(plain(root.title, _LONG), _text(root), root.url, root.state, tuple(branches))


def fact_line(name: str, value: str) -> str:
    """One fact, as short as a person needs it: of digests and runs the first digits."""
    return plain(f"{name} {_short(value)}", _LONG)


def _short(text: str) -> str:
    return _HEX.sub(r"\1", text)


def _back(lineage: Lineage) -> Iterator[Branch]:
    own = {node.key for node in _upstream_of_steps(lineage)}
    for kind in Kind:
        nodes = [n for n in lineage.nodes if n.kind is kind and n.key in own]
        if kind is Kind.DATA and nodes:
            yield Branch(kind.value, branches=tuple(_leaf(n, n.title) for n in nodes))
        elif kind is Kind.PARENT and nodes:
            yield _parent(lineage, nodes[0], {lineage.root})
        elif kind is Kind.DEPLOYMENTS and nodes:
            changes = tuple(
                Branch(when, plain(_short(what), _LONG)) for when, what in nodes[0].facts
            )
            yield Branch(kind.value, nodes[0].title, state=nodes[0].state, branches=changes)
        elif kind is Kind.BASELINE:
            yield from (
                Branch(kind.value, edge.source)
                for edge in lineage.edges
                if edge.meaning == "compared with"
            )
        elif kind is not Kind.VERSION:
            for node in nodes:
                title = "" if node.title == kind.value else f"{node.title}  "
                yield Branch(kind.value, plain(title + _text(node), _LONG), node.url, node.state)


def _upstream_of_steps(lineage: Lineage) -> Iterator[Node]:
    """The nodes of the version itself: all but its ancestors and what these were made of."""
    parents = [node for node in lineage.nodes if node.kind is Kind.PARENT]
    keys = {node.key for node in parents}
    first = {e.source for e in lineage.edges if e.meaning == "warm start"} & keys
    later = {e.source for e in lineage.edges if e.target in keys and e.meaning == "warm start"}
    for node in lineage.nodes:
        targets = {e.target for e in lineage.edges if e.source == node.key}
        of_ancestor = node.kind is Kind.DATA and targets and targets <= keys
        if not of_ancestor and not (node.key in keys and node.key not in first - later):
            yield node


def _parent(lineage: Lineage, node: Node, seen: set[str]) -> Branch:
    seen = {*seen, node.key}
    branches = []
    for before, _ in lineage.before(node.key):
        if before.kind is Kind.DATA:
            branches.append(_leaf(before, f"data {before.title}"))
        elif before.kind is Kind.PARENT and before.key not in seen:
            branches.append(_parent(lineage, before, seen))
    text = plain(f"{node.title}  {_text(node)}".rstrip(), _LONG)
    return Branch(Kind.PARENT.value, text, node.url, node.state, tuple(branches))


def _below(lineage: Lineage) -> Iterator[Branch]:
    nodes = {node.key: node for node in lineage.nodes}
    for meaning, label in _BELOW.items():
        edges = [edge for edge in lineage.edges if edge.meaning == meaning]
        if not edges:
            continue
        found = [
            _leaf(nodes[edge.target], nodes[edge.target].title, _from(lineage, edge.source))
            for edge in edges
            if edge.target in nodes
        ]
        more = len(found) - MOST_BELOW
        shown = found[:MOST_BELOW]
        shown += [Branch(f"and {more:,} more", "--json has them all")] if more > 0 else []
        yield Branch(f"{label} ({len(found):,})", branches=tuple(shown))
    if not lineage.edges:
        yield Branch("nothing came from it", "that this MLflow knows of")


def _from(lineage: Lineage, source: str) -> str:
    return "" if source == lineage.root else f"from {source}  "


def _leaf(node: Node, label: str, prefix: str = "") -> Branch:
    return Branch(plain(label), prefix + _text(node), node.url, node.state)


def _text(node: Node) -> str:
    most = len(node.facts) if node.kind is Kind.PARAMETERS else MOST_FACTS
    ends = [fact for fact in node.facts if fact[0] in ("run", "state")]
    shown = [fact for fact in node.facts if fact not in ends]
    lines = [fact_line(*fact) for fact in shown[:most]]
    if len(shown) > most:
        lines.append(f"and {len(shown) - most} more")
    lines += [fact_line(*fact) for fact in ends]
    if node.state == GONE and not any(name == "state" for name, _ in ends):
        lines.append(GONE)
    return "; ".join(lines)
