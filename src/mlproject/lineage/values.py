"""Nodes, edges and the whole of a lineage, and what is read of an MLflow run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from mlproject.promotion.entries import Entry
from mlproject.registry.values import VersionInfo

GONE = "gone"


class Kind(StrEnum):
    """What a node is, in the words that a person reads; in the order of a tree's branches."""

    VERSION = "model version"
    DATA = "data"
    EXAMPLES = "examples"
    STATISTICS = "statistics"
    SCHEMA = "schema"
    VALIDATION = "validation"
    TRANSFORM = "transform graph"
    MODULE = "module file"
    PARAMETERS = "parameters"
    TUNING = "tuning"
    TRAINING = "training"
    PARENT = "parent model"
    EVALUATION = "evaluation"
    BASELINE = "compared with"
    INFRA = "trial in a server"
    BLESSING = "blessing"
    PIPELINE = "pipeline run"
    SOURCE = "copied from"
    DEPLOYMENTS = "deployments"
    EXPORT = "export"
    SERVING = "serving"


@dataclass(frozen=True)
class Node:
    """A thing that a version was made of, or that was made of it.

    Attributes:
        key: Tells it from every other node of a lineage.
        kind: What it is.
        title: Its name.
        facts: Name and text of what is known, in order.
        run_id: The MLflow run that recorded it; empty for none.
        url: That run's page, where MLflow is a server; else empty.
        state: Empty, or `gone`: MLflow no longer has the run or version that is named.
    """

    key: str
    kind: Kind
    title: str
    facts: tuple[tuple[str, str], ...] = ()
    run_id: str = ""
    url: str = ""
    state: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The node as JSON values."""
        return {**vars(self), "kind": self.kind.value, "facts": [list(fact) for fact in self.facts]}


@dataclass(frozen=True)
class Edge:
    """One thing went into another.

    Attributes:
        source: Key of the node that was there first.
        target: Key of the node that was made of it.
        meaning: How it went in, where that is not plain: `warm start`, `compared with`, ...
    """

    source: str
    target: str
    meaning: str = ""


@dataclass(frozen=True)
class Lineage:
    """A graph around one node.

    Attributes:
        root: Key of the node that was asked for.
        nodes: Each key once.
        edges: Between these nodes.
        downstream: What came from the root; else what the root came from.
    """

    root: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    downstream: bool = False

    def node(self, key: str) -> Node:
        """The node of a key."""
        return next(node for node in self.nodes if node.key == key)

    def before(self, key: str) -> Iterator[tuple[Node, str]]:
        """The nodes that went into one, and how."""
        nodes = {node.key: node for node in self.nodes}
        return ((nodes[e.source], e.meaning) for e in self.edges if e.target == key)

    def after(self, key: str) -> Iterator[tuple[Node, str]]:
        """The nodes that one went into, and how."""
        nodes = {node.key: node for node in self.nodes}
        return ((nodes[e.target], e.meaning) for e in self.edges if e.source == key)

    def as_dict(self) -> dict[str, Any]:
        """The graph as JSON values."""
        return {
            "root": self.root,
            "downstream": self.downstream,
            "nodes": [node.as_dict() for node in self.nodes],
            "edges": [vars(edge) for edge in self.edges],
        }


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset input of an MLflow run.

    Attributes:
        name: Its name.
        uri: Where it lies; empty if MLflow does not say.
        digest: Digest of its rows, as MLflow keeps it (36 characters at most).
        rows: Number of rows, or None.
        context: The split.
        spans: Span -> its rows and digest in words.
    """

    name: str
    uri: str
    digest: str
    rows: int | None = None
    context: str = ""
    spans: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFacts:
    """What is read of an MLflow run.

    Attributes:
        run_id: Its id.
        name: Its name.
        status: `FINISHED`, `FAILED`, ...
        started: When it began, in UTC (ISO 8601).
        deleted: It was deleted, and MLflow still has it.
        url: Its page, where MLflow is a server; else empty.
        params: Its parameters.
        metrics: Its last metrics.
        tags: Its tags.
        datasets: Its dataset inputs.
    """

    run_id: str
    name: str = ""
    status: str = ""
    started: str = ""
    deleted: bool = False
    url: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetFacts, ...] = ()


class Reader(Protocol):
    """Where a lineage is read from: MLflow (`registry.lineage_reader`)."""

    @property
    def registry(self) -> str:
        """The registry's address, without secrets."""

    def versions(self, name: str = "") -> list[VersionInfo]:
        """Every version of a registered model, or of all; oldest first."""

    def aliases(self, name: str) -> Mapping[int, tuple[str, ...]]:
        """Version -> its aliases."""

    def runs(self, run_ids: Iterable[str]) -> Mapping[str, RunFacts]:
        """Run -> what is known of it; runs that MLflow does not have are left out."""

    def children(self, run_id: str) -> list[RunFacts]:
        """The runs under a run, oldest first."""

    def runs_with_digest(self, start: str) -> frozenset[str]:
        """The runs with a dataset input whose digest begins with some hex digits."""

    def entries(self, name: str) -> tuple[Entry, ...]:
        """The ledger of a registered model."""
